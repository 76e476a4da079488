import { instant, LEVELS, LIMITS, PERMISSIONS } from '../../base/index.ts';
import type { GrantedLevel } from '../levels.ts';
import type { ConditionRule, TrustPolicy } from '../policy/policy.ts';
import { CONDITIONS_MAX, isSoundCondition, type TrustCondition, type TrustLimits } from '../trust-certificate.ts';
import type { RequestBody, TrustTerms } from './messages.ts';

/** The terms of certificates: what is asked, what a policy lets be granted, and under which conditions. */

const DAY_MS = 86_400_000;

/** What this side asks for, and offers, by its policy; `extra`: conditions besides those of the policy. */
export function requestTerms(
  policy: TrustPolicy,
  level: GrantedLevel,
  now: number,
  extra: readonly ConditionRule[] = [],
): { readonly asks: TrustTerms; readonly offers: TrustTerms } {
  const terms = { permissions: policy.permissions, limits: policy.limits, conditions: [] };
  const conditions = issuersConditions(policy, level, beginning(now), extra);
  return { asks: terms, offers: { ...terms, conditions } };
}

/** Certificates begin a little earlier, so that they are in force at once where the other clock is behind. */
export function beginning(now: number): number {
  return now - LIMITS.trustClockSkewMillisecondsMax;
}

/** How long a certificate that was asked for may last. */
export function validDays(policy: TrustPolicy, level: GrantedLevel, request: RequestBody): number {
  return Math.min(LEVELS[level].lifeDaysMax, policy.levels[level].lifeDaysMax, request.valid_days);
}

export function lifeOf(days: number, notBefore: number) {
  return { not_before: notBefore, not_after: notBefore + days * DAY_MS };
}

/**
 * The terms that a policy lets this side grant, of those that were asked for, under the
 * conditions of the policy and those that the other side asked for itself [TRUST-49].
 */
export function grantable(asked: TrustTerms, policy: TrustPolicy, level: GrantedLevel, notBefore: number): TrustTerms {
  const own = issuersConditions(policy, level, notBefore, []);
  const others = asked.conditions.filter(({ name }) => own.every((one) => one.name !== name));
  return {
    permissions: PERMISSIONS.filter((one) => asked.permissions.includes(one) && policy.permissions.includes(one)),
    limits: lowerLimits(asked.limits, policy.limits),
    conditions: [...own, ...others].slice(0, CONDITIONS_MAX),
  };
}

/** A downgrade to what the certificate allows anyway says nothing, so it is left out. */
function issuersConditions(
  policy: TrustPolicy,
  level: GrantedLevel,
  notBefore: number,
  extra: readonly ConditionRule[],
): readonly TrustCondition[] {
  const rules = policy.levels[level].conditions;
  const added = extra.filter(({ name }) => rules.every((rule) => rule.name !== name));
  return [...rules, ...added]
    .filter((rule) => isSoundCondition(rule, level))
    .map((rule) => conditionOf(rule, notBefore));
}

function conditionOf({ name, kind, afterDays, action, level }: ConditionRule, notBefore: number): TrustCondition {
  const deadline = instant(notBefore + afterDays * DAY_MS);
  return { name, kind, deadline, action, ...(level === undefined ? {} : { level }) };
}

/** Each limit the lower of the two. */
export function lowerLimits(a: TrustLimits, b: TrustLimits): TrustLimits {
  return {
    message_bytes_max: Math.min(a.message_bytes_max, b.message_bytes_max),
    messages_per_second: Math.min(a.messages_per_second, b.messages_per_second),
    bytes_per_second: Math.min(a.bytes_per_second, b.bytes_per_second),
  };
}
