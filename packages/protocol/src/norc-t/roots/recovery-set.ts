import { type Domain, type Instant, instant, ok, type Result, reject, sameBytes } from '../../base/index.ts';
import {
  type Crypto,
  type DocumentKind,
  documentHash,
  documentKind,
  draftDocument,
  parseDocument,
  type SignedDocument,
  type Verified,
  verifyDocument,
} from '../../crypto/index.ts';
import { domain, fixedBytes, type Infer, list, struct, uint } from '../../wire/index.ts';

/**
 * Who may replace a root key that was lost or stolen (spec/root-rotation section 1): officers whom the
 * root key named while it was still in good hands, and how many of them it takes.
 */

export const RECOVERY_OFFICERS_MAX = 16;
/** A rotation holds eight signatures, two of them by the new keys. */
export const RECOVERY_THRESHOLD_MAX = 6;
/** How long a partner waits before a newer set replaces the one that it pinned. */
export const RECOVERY_CHANGE_DAYS = 30;
const DAY_MS = 86_400_000;

const recoverySetSchema = struct({
  org: domain(),
  /** Ed25519 organisation root key, which signs the set. */
  root_key: fixedBytes(32),
  /** Rises with every set that one root key signs. */
  sequence: uint(),
  /** How many different officers replace a root key together. */
  threshold: uint(RECOVERY_THRESHOLD_MAX),
  /** Ed25519 keys of the officers. Their certificates may be over by then: only the root key could renew them. */
  officers: list(fixedBytes(32), RECOVERY_OFFICERS_MAX),
  issued_at: uint(),
});
export type RecoverySetBody = Infer<typeof recoverySetSchema>;
/** Signed by the organisation root key. */
export const RECOVERY_SET: DocumentKind<RecoverySetBody> = documentKind('recovery_set', 1, recoverySetSchema);

/** Evidence that the root key named these officers. Made by `verifyRecoverySet` alone. */
export type RecoverySet = Verified<{
  readonly org: Domain;
  readonly rootKey: Uint8Array;
  readonly sequence: number;
  readonly threshold: number;
  readonly officers: readonly Uint8Array[];
  /** `documentHash` of the set. */
  readonly hash: Uint8Array;
  readonly document: SignedDocument<RecoverySetBody>;
}>;

/** Unsigned; sign it with the organisation root key. Throws RangeError for a set that no verifier would take. */
export function draftRecoverySet(crypto: Crypto, body: RecoverySetBody): SignedDocument<RecoverySetBody> {
  const fault = setFault(crypto, body);
  if (fault !== undefined) throw new RangeError(fault);
  return draftDocument(RECOVERY_SET, body);
}

/**
 * Checks a recovery set against the root key that is pinned for its organisation [ROOT-1] [ROOT-2].
 * Errors: certificate_invalid (another organisation or root key, or an unsound set), signature_invalid, and those of parsing.
 */
export function verifyRecoverySet(
  crypto: Crypto,
  bytes: Uint8Array,
  pinned: { readonly org: Domain; readonly rootKey: Uint8Array },
): Result<RecoverySet> {
  const parsed = parseDocument(RECOVERY_SET, bytes);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  if (body.org !== pinned.org || !sameBytes(body.root_key, pinned.rootKey))
    return reject('certificate_invalid', 'organisation or root key of the recovery set');
  const fault = setFault(crypto, body);
  if (fault !== undefined) return reject('certificate_invalid', fault);
  const signed = verifyDocument(crypto, parsed.value, pinned.rootKey);
  if (!signed.ok) return signed;
  const set = {
    org: body.org,
    rootKey: body.root_key,
    sequence: body.sequence,
    threshold: body.threshold,
    officers: body.officers,
    hash: documentHash(crypto, parsed.value),
    document: parsed.value,
  };
  return ok(set as unknown as RecoverySet); // the root key's signature was checked just now
}

function setFault(crypto: Crypto, { root_key, sequence, threshold, officers }: RecoverySetBody): string | undefined {
  if (sequence < 1) return 'sequence of the recovery set';
  if (threshold < 1 || threshold > officers.length) return 'threshold of the recovery set';
  if (officers.some((key) => !crypto.ed25519.isPublicKey(key))) return 'key of a recovery officer';
  if (officers.some((key) => sameBytes(key, root_key))) return 'the root key is no recovery officer';
  const repeated = officers.some((key, i) => officers.slice(0, i).some((other) => sameBytes(key, other)));
  return repeated ? 'one recovery officer twice' : undefined;
}

/** A set that was shown, and since when. */
export interface RecoveryPin {
  readonly set: RecoverySet;
  /** By the clock of whoever pinned it: a date that the other side chose would skip the wait [ROOT-2]. */
  readonly since: Instant;
}

/**
 * Adds a set to those pinned for an organisation, those of one root key in the order of their numbers. Numbers of different
 * root keys are not compared: whoever stole one could use up those of the next [ROOT-3].
 * Errors: rotation_fork (another set of the same key and number), downgrade_refused (an older number).
 */
export function pinRecoverySet(
  pins: readonly RecoveryPin[],
  set: RecoverySet,
  now: Instant,
): Result<readonly RecoveryPin[]> {
  const own = pinsOf(pins, set.rootKey);
  const same = own.find(({ set: { sequence } }) => sequence === set.sequence);
  if (same !== undefined) {
    return sameBytes(same.set.hash, set.hash) ? ok(pins) : reject('rotation_fork', `recovery set ${set.sequence}`);
  }
  const last = own.at(-1);
  if (last !== undefined && set.sequence < last.set.sequence) return reject('downgrade_refused', 'recovery set');
  return ok([...pins, { set, since: now }]);
}

/** The sets that one root key signed, in their order. */
export function pinsOf(pins: readonly RecoveryPin[], rootKey: Uint8Array): readonly RecoveryPin[] {
  return pins.filter(({ set }) => sameBytes(set.rootKey, rootKey));
}

/** Of the sets of one root key, the newest that was pinned `RECOVERY_CHANGE_DAYS` before `at` or earlier. */
export function settledSet(pins: readonly RecoveryPin[], at: Instant): RecoverySet | undefined {
  return pins.findLast(({ since }) => instant(since + RECOVERY_CHANGE_DAYS * DAY_MS) <= at)?.set;
}

/**
 * Of the sets of one root key, the one that counts at `at`: the settled one, else the first. So whoever
 * steals a root key cannot at once replace the people who would take it back [ROOT-4].
 */
export function recoverySetAt(pins: readonly RecoveryPin[], at: Instant): RecoverySet | undefined {
  return settledSet(pins, at) ?? pins.find(({ since }) => since <= at)?.set;
}
