import type { Domain, Instant } from '../../base/index.ts';
import { instant } from '../../base/index.ts';
import type { GrantedLevel } from '../levels.ts';
import type { RevocationAction, RevocationBody, RevocationChain } from './revocation.ts';

/**
 * What an officer decided at one moment: one statement for each certificate of the
 * partner, side by side in the chain. It is in force when all of them are.
 */
export interface RevocationAct {
  readonly issuer: Domain;
  readonly subject: Domain;
  readonly action: RevocationAction;
  readonly level?: GrantedLevel;
  readonly condition?: string;
  readonly reason: string;
  readonly issuedAt: Instant;
  readonly effectiveAt: Instant;
  /** Numbers of its first and its last statement. */
  readonly first: number;
  readonly last: number;
  /** It says that no certificate of the subject is left. */
  readonly endsTrust?: true;
}

/** Acts of a chain, in order. */
export function actsOf(chain: RevocationChain): readonly RevocationAct[] {
  const acts: RevocationAct[] = [];
  let before: RevocationBody | undefined;
  for (const body of chain.statements) {
    const open = acts.at(-1);
    if (open !== undefined && before !== undefined && belongTogether(before, body)) {
      acts[acts.length - 1] = { ...open, last: body.sequence, ...ending(body) };
    } else acts.push(actFrom(body));
    before = body;
  }
  return acts;
}

/** The act that a statement belongs to; undefined when the chain has no such statement. */
export function actOf({ statements }: RevocationChain, sequence: number): RevocationAct | undefined {
  let [first, last] = [sequence - 1, sequence - 1];
  while (isOneAct(statements[first - 1], statements[first])) first -= 1;
  while (isOneAct(statements[last], statements[last + 1])) last += 1;
  const body = statements[first];
  const end = statements[last];
  return body === undefined || end === undefined ? undefined : { ...actFrom(body), last: last + 1, ...ending(end) };
}

function isOneAct(a: RevocationBody | undefined, b: RevocationBody | undefined): boolean {
  return a !== undefined && b !== undefined && belongTogether(a, b);
}

/** On the last of an act; whatever follows it is another one. */
function ending({ ends_trust }: RevocationBody): { readonly endsTrust?: true } {
  return ends_trust === true ? { endsTrust: true } : {};
}

function belongTogether(a: RevocationBody, b: RevocationBody): boolean {
  return (
    a.subject === b.subject &&
    a.action === b.action &&
    a.level === b.level &&
    a.condition === b.condition &&
    a.reason === b.reason &&
    a.issued_at === b.issued_at &&
    a.effective_at === b.effective_at &&
    a.ends_trust === undefined &&
    a.certificate_id !== b.certificate_id
  );
}

function actFrom(body: RevocationBody): RevocationAct {
  const { issuer, subject, action, level, condition, reason, sequence } = body;
  return {
    ...{ issuer, subject, action, reason, first: sequence, last: sequence },
    ...(level === undefined ? {} : { level }),
    ...(condition === undefined ? {} : { condition }),
    issuedAt: instant(body.issued_at),
    effectiveAt: instant(body.effective_at),
    ...ending(body),
  };
}

/** Whether nothing may pass between the two once it is in force: conversations that both take part in freeze. */
export function endsTrust(action: RevocationAction): boolean {
  return action === 'revoke' || action === 'suspend';
}

/** How long confirmations took, in milliseconds. */
export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

/** Nearest rank: each figure is one that was measured. Undefined without any. */
export function spreadOf(milliseconds: readonly number[]): Spread | undefined {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const rank = (part: number): number => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
  return sorted.length === 0 ? undefined : { count: sorted.length, p50: rank(0.5), p95: rank(0.95), max: rank(1) };
}
