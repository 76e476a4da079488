import { fromBase64Url, LEVELS, LIMITS, ok, parseDomain, type Result, toBase64Url, toHex } from '@norc/protocol/base';
import {
  comparePolicies,
  defaultPolicy,
  type GrantedLevel,
  policyDocument,
  policyFromBody,
} from '@norc/protocol/norc-t';
import type { PolicyPlan } from '../norc-t/policy/policy-plan.ts';
import type { PolicyRecord } from '../norc-t/policy/policy-record.ts';
import type { ApplyOutcome, PlannedPolicy } from '../norc-t/policy/policy-service.ts';
import type { OrgNode } from '../org-node.ts';
import { approvalActor, optionalApprovalOf } from './officer-routes.ts';
import { type AdminInput, AdminInputError, type AdminRoute } from './router.ts';

const ACTOR = 'officer:admin-socket';
/** A policy document in base64url, and what stands beside it. */
const BODY_BYTES_MAX = 2 * LIMITS.documentBytesMax;

/** The policy in force, what a change of it would do, and the change itself (spec/trust-policy). */
export function policyRoutes(node: OrgNode): readonly AdminRoute[] {
  const { policy } = node;
  return [
    get('/policy', async () => ok(await shown(node))),
    get('/policy/history', async () => ok({ policies: historyView(await policy.history()) })),
    get('/policy/impact', async (input) => ok(await impact(node, input))),
    post('/policy/plan', async (input) => planned(await policy.plan(bytesOf(input, 'policy')))),
    post('/policy/apply', async (input) => await applied(node, input)),
  ];
}

const get = (path: string, run: AdminRoute['run']): AdminRoute => ({ method: 'GET', path, run });
const post = (path: string, run: AdminRoute['run']): AdminRoute => ({
  ...{ method: 'POST', path, run, bodyBytesMax: BODY_BYTES_MAX },
});

async function shown({ policy }: OrgNode): Promise<object> {
  const { number, hash, at, policy: inForce } = policy.inForce;
  const record = (await policy.history()).at(-1);
  const file = policy.fileState();
  return {
    ...{ number, hash: toHex(hash), at, actor: record?.actor, source: record?.source ?? 'built-in' },
    policy: policyDocument(inForce).json,
    differs_from_default: comparePolicies(defaultPolicy(), inForce),
    file: file === undefined ? undefined : { changes: file.fileChanges, fault: file.fileFault },
  };
}

function historyView(records: readonly PolicyRecord[]): readonly object[] {
  return records.map((record, index) => {
    const { number, at, actor, source, loosens, tightens, neutral, approvals, plan_changed } = record;
    const before = records[index - 1];
    const was = before === undefined ? defaultPolicy() : policyFromBody(before.policy);
    return {
      ...{ number, at, actor, source, loosens, tightens, neutral, plan_changed },
      approvals: approvals.map(toHex),
      changes: comparePolicies(was, policyFromBody(record.policy)),
    };
  });
}

function planned(outcome: Result<PlannedPolicy>): Result<object> {
  if (!outcome.ok) return outcome;
  const { plan, planHash, change, before, hash } = outcome.value;
  return ok({
    ...{ number: before.number, before: toHex(before.hash), after: toHex(hash) },
    ...{ plan: toBase64Url(planHash), change: toBase64Url(change), ...planView(plan) },
  });
}

function planView({ partners, conversations, exchanges, renewals, ownLabels, replay, ...plan }: PolicyPlan): object {
  return {
    ...{ changes: plan.changes, people: plan.people, opens: plan.opens, replay, own_labels: ownLabels },
    partners: partners.map(({ labelBefore, labelAfter, ...one }) => ({
      ...one,
      label_before: labelBefore,
      label_after: labelAfter,
    })),
    conversations,
    exchanges: exchanges.map(({ exchangeId, ...one }) => ({ exchange: exchangeId, ...one })),
    renewals: renewals.map(({ certificateId, notAfter, ...one }) => ({
      ...one,
      certificate: certificateId,
      not_after: notAfter,
    })),
  };
}

async function applied({ policy }: OrgNode, input: AdminInput): Promise<Result<object>> {
  const number = input.optionalCount('number');
  if (number === undefined) throw new AdminInputError('number is missing');
  const approval = optionalApprovalOf(input);
  const outcome = await policy.apply({
    ...{ document: bytesOf(input, 'policy'), number, plan: bytesOf(input, 'plan') },
    ...(approval === undefined ? { actor: ACTOR } : { approval, actor: approvalActor(approval) }),
  });
  return outcome.ok ? ok(outcomeView(outcome.value)) : outcome;
}

function outcomeView(outcome: ApplyOutcome): object {
  if (outcome.state !== 'waiting') return outcome;
  const { proposalId: proposal, needed, approvedBy, requestedBy, expiresAt } = outcome.proposal;
  return {
    state: outcome.state,
    proposal,
    needed,
    approved_by: approvedBy,
    requested_by: requestedBy,
    expires_at: expiresAt,
  };
}

async function impact({ policy }: OrgNode, input: AdminInput): Promise<object> {
  const peer = parseDomain(input.text('peer').toLowerCase());
  if (!peer.ok) throw new AdminInputError('peer is not a domain');
  const level = input.text('level');
  if (!isLevel(level)) throw new AdminInputError('level is none of basic, verified, classified, nato');
  const { conversationsAllowed, conversationsHeld, ...rest } = await policy.impact(peer.value, level, level === 'nato');
  return { ...rest, conversations_allowed: conversationsAllowed, conversations_held: conversationsHeld };
}

function isLevel(text: string): text is GrantedLevel {
  return text !== 'untrusted' && Object.hasOwn(LEVELS, text);
}

function bytesOf(input: AdminInput, name: string): Uint8Array {
  const bytes = fromBase64Url(input.text(name));
  if (bytes === undefined) throw new AdminInputError(`${name} is not base64url`);
  return bytes;
}
