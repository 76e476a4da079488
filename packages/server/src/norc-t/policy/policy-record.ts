import { type Domain, type Instant, InvariantError, instant, toHex } from '@norc/protocol/base';
import { type Crypto, draftDocument, parseDocument } from '@norc/protocol/crypto';
import {
  comparePolicies,
  POLICY_RECORD,
  type PolicyChange,
  type PolicyRecordBody,
  policyFromBody,
  policyHash,
  policyToBody,
  type SignedApproval,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import type { Audit, AuditEvent } from '../../services.ts';
import { StorageError, type Store, type StoreWrite } from '../../storage/port.ts';

/** Policies that were in force, as the store keeps them, numbered from 1; and which one a server starts with. */

export interface PolicyInForce {
  /** 0: the built-in policy; nothing was ever applied. */
  readonly number: number;
  readonly policy: TrustPolicy;
  readonly hash: Uint8Array;
  /** Absent for the built-in policy. */
  readonly at?: Instant;
}

export type PolicyRecord = PolicyRecordBody;

const NUMBER_DIGITS = 10;
const ACTOR_LENGTH_MAX = 128;

interface RecordParts {
  readonly number: number;
  readonly previous: Uint8Array;
  readonly policy: TrustPolicy;
  readonly at: Instant;
  readonly source: PolicyRecordBody['source'];
  readonly actor: string;
  readonly changes: readonly PolicyChange[];
  readonly signed: readonly SignedApproval[];
  readonly planChanged?: boolean;
}

export function recordOf(crypto: Crypto, parts: RecordParts): PolicyRecord {
  const { number, previous, policy, at, source, actor, changes, signed, planChanged = false } = parts;
  const count = (effect: PolicyChange['effect']) => changes.filter((one) => one.effect === effect).length;
  return {
    ...{ number, previous, at, source, policy: policyToBody(policy), actor: actor.slice(0, ACTOR_LENGTH_MAX) },
    approvals: signed.map(({ approval }) => crypto.blake3(approval)),
    ...{ loosens: count('loosens'), tightens: count('tightens'), neutral: count('neutral') },
    plan_changed: planChanged,
  };
}

export function recordWrite(record: PolicyRecord): StoreWrite {
  const key = String(record.number).padStart(NUMBER_DIGITS, '0');
  const document = draftDocument(POLICY_RECORD, record).bytes;
  return { op: 'trust.record.put', record: { kind: 'policy', key, at: instant(record.at), document } };
}

export function recordEvent(self: Domain, record: PolicyRecord, hash: Uint8Array): AuditEvent {
  const { number, previous, source, loosens, tightens, neutral, approvals, plan_changed } = record;
  return {
    ...{ type: 'policy_changed', actor: record.actor, subject: `org:${self}`, outcome: 'ok' },
    detail: {
      ...{ number, policy: toHex(hash), previous: toHex(previous), source, loosens, tightens, neutral, plan_changed },
      approvals: approvals.length,
    },
  };
}

/** Oldest first. Throws StorageError when one cannot be read: a server without its policy must not guess one. */
export async function policyHistory(store: Pick<Store, 'read'>): Promise<readonly PolicyRecord[]> {
  const rows = await store.read.trustRecords('policy');
  return rows
    .map(({ document }) => {
      const parsed = parseDocument(POLICY_RECORD, document);
      if (parsed.ok) return parsed.value.body;
      throw new StorageError('corrupt', `the stored trust policy cannot be read: ${parsed.error.detail}`);
    })
    .sort((a, b) => a.number - b.number);
}

/** Reads the configured file; throws what is wrong with it. */
export type PolicyReader = () => TrustPolicy;

export interface FileState {
  /** How the configured file differs from the policy in force: the one that counts is the stored one. */
  readonly fileChanges: readonly PolicyChange[];
  /** Why the file could not be read, when a stored policy makes that harmless. */
  readonly fileFault?: string;
}

export interface StartingPolicy extends FileState {
  readonly inForce: PolicyInForce;
}

/**
 * The policy that a server starts with [POLICY-44]: the one that is stored; at the first start the
 * configured file, which is stored then; else the built-in one.
 */
export async function startingPolicy(
  {
    store,
    audit,
    crypto,
    self,
  }: { readonly store: Store; readonly audit: Audit; readonly crypto: Crypto; readonly self: Domain },
  now: Instant,
  { builtIn, readFile }: { readonly builtIn: TrustPolicy; readonly readFile: PolicyReader | undefined },
): Promise<StartingPolicy> {
  const last = (await policyHistory(store)).at(-1);
  if (last !== undefined) {
    const policy = policyFromBody(last.policy);
    const inForce = { number: last.number, policy, hash: policyHash(crypto, policy), at: instant(last.at) };
    return { inForce, ...compareWithFile(policy, readFile) };
  }
  const none = { number: 0, policy: builtIn, hash: policyHash(crypto, builtIn) };
  if (readFile === undefined) return { inForce: none, fileChanges: [] };
  const policy = readFile();
  const record = recordOf(crypto, {
    ...{ number: 1, previous: none.hash, policy, at: now, source: 'file', actor: 'system:server' },
    ...{ changes: comparePolicies(builtIn, policy), signed: [] },
  });
  const hash = policyHash(crypto, policy);
  const outcome = await audit.commit([recordWrite(record)], [recordEvent(self, record, hash)]);
  if (!outcome.ok) throw new InvariantError('the first policy could not be written');
  return { inForce: { number: 1, policy, hash, at: now }, fileChanges: [] };
}

export function compareWithFile(policy: TrustPolicy, readFile: PolicyReader | undefined): FileState {
  if (readFile === undefined) return { fileChanges: [] };
  try {
    return { fileChanges: comparePolicies(policy, readFile()) };
  } catch (error) {
    return { fileChanges: [], fileFault: error instanceof Error ? error.message : 'it cannot be read' };
  }
}
