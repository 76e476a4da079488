import { type Domain, type Instant, instant, ok, type Result, reject, sameBytes } from '../../base/index.ts';
import {
  type Crypto,
  checkPostQuantumSignature,
  type DocumentKind,
  documentHash,
  documentKind,
  draftDocument,
  ML_DSA_65_PUBLIC_KEY_BYTES,
  type PinnedOrg,
  type PredecessorKey,
  parseDocument,
  SERVER_CERTIFICATE_LIFE_MS_MAX,
  type SignedDocument,
  type Verified,
  verifyDocument,
} from '../../crypto/index.ts';
import { choice, domain, fixedBytes, type Infer, optional, struct, uint } from '../../wire/index.ts';
import { pinsOf, type RecoveryPin, type RecoverySet, recoverySetAt, settledSet } from './recovery-set.ts';

/**
 * Replacing an organisation root key (spec/root-rotation section 2). Whoever pinned the first key follows
 * the rotations to the one that counts now. Each is signed by the new key and by the old
 * one, or by enough officers of the recovery set that was pinned before.
 */

const DAY_MS = 86_400_000;
/** Clocks of two machines may differ by this much. */
const CLOCK_SKEW_MS = 300_000;
/** A rotation takes effect within this time after it is issued. */
export const ROTATION_AHEAD_DAYS_MAX = 90;
/** A theft is noticed within this time, or everything has to begin anew. */
export const ROTATION_BACK_DAYS_MAX = 365;
/** How many rotations of one kind (by the old key, by officers) take effect within a year [ROOT-22]. */
export const ROTATIONS_PER_YEAR_MAX = 4;
const YEAR_MS = 365 * DAY_MS;
/** A replacement with both post-quantum keys and six officers has about 12,700 bytes. */
export const ROTATION_BYTES_MAX = 16384;
const NO_HASH = new Uint8Array(32);

/** `compromised`: what the old key certified counts for nothing from `effective_at` on. */
export const ROTATION_REASONS = ['scheduled', 'lost', 'compromised'] as const;
export type RotationReason = (typeof ROTATION_REASONS)[number];

const rotationSchema = struct({
  org: domain(),
  /** 1 for the first replacement, then rising by one. */
  sequence: uint(),
  /** `documentHash` of the rotation before; zeros for the first. */
  previous: fixedBytes(32),
  old_root_key: fixedBytes(32),
  /** Ed25519. */
  new_root_key: fixedBytes(32),
  /** ML-DSA-65; must be there when the organisation had one before. */
  new_root_pq_key: optional(fixedBytes(ML_DSA_65_PUBLIC_KEY_BYTES)),
  reason: choice(ROTATION_REASONS),
  /** `documentHash` of the recovery set that the organisation had in force; absent when the old key signs. */
  recovery_set: optional(fixedBytes(32)),
  issued_at: uint(),
  /** Until then the old key counts. With `compromised` it may be earlier than `issued_at`. */
  effective_at: uint(),
});
export type RotationBody = Infer<typeof rotationSchema>;
export const ROOT_ROTATION: DocumentKind<RotationBody> = documentKind('root_rotation', 1, rotationSchema);

export interface RotationStep {
  readonly sequence: number;
  /** `documentHash` of the rotation. */
  readonly hash: Uint8Array;
  readonly rootKey: Uint8Array;
  /** Pinned: the post-quantum key before it, which was pinned too, signed the rotation [ROOT-23]. */
  readonly rootPqKey?: Uint8Array;
  readonly by: 'old_key' | 'recovery';
  /** The set whose officers signed. */
  readonly recovery?: RecoverySet;
  readonly reason: RotationReason;
  readonly effectiveAt: Instant;
  /** By the clock of whoever took it. */
  readonly takenAt: Instant;
  readonly document: SignedDocument<RotationBody>;
}

/** An organisation's root keys, from the one that was pinned on. Made by `startLineage` and `verifyRootRotation` alone. */
export type RootLineage = Verified<{
  readonly org: Domain;
  /** Pinned by other means: enrolment, or a trust certificate. */
  readonly first: { readonly rootKey: Uint8Array; readonly rootPqKey?: Uint8Array };
  readonly steps: readonly RotationStep[];
}>;

export function startLineage(org: Domain, rootKey: Uint8Array, rootPqKey?: Uint8Array): RootLineage {
  const first = { rootKey, ...(rootPqKey === undefined ? {} : { rootPqKey }) };
  return { org, first, steps: [] } as unknown as RootLineage; // claims no more than what its caller pinned
}

/** The root keys of an organisation as they count at one moment. */
export interface RootStanding extends PinnedOrg {
  readonly rootPqKey?: Uint8Array;
  /** Keys that came before. What they certified until they were replaced counts until it ends. */
  readonly predecessors: readonly PredecessorKey[];
  /** Keys that were reported as stolen: nothing that they certified counts. */
  readonly compromised: readonly Uint8Array[];
  readonly former: readonly Uint8Array[];
}

/** Pure, and linear in the rotations. A rotation counts from its `effective_at` on [ROOT-16] [ROOT-17]. */
export function rootStanding({ org, first, steps }: RootLineage, now: Instant): RootStanding {
  let current: RotationStep | RootLineage['first'] = first;
  const replaced: PredecessorKey[] = [];
  const compromised: Uint8Array[] = [];
  for (const step of steps) {
    if (step.effectiveAt > now) break; // they take effect in their order
    replaced.push({ rootKey: current.rootKey, until: step.effectiveAt });
    if (step.reason === 'compromised') compromised.push(...replaced.splice(0).map((one) => one.rootKey));
    current = step;
  }
  const { rootKey, rootPqKey } = current;
  const predecessors = replaced.filter(({ until }) => now < endOfPredecessor(until));
  const ended = replaced.slice(0, replaced.length - predecessors.length).map((one) => one.rootKey);
  const former = [...compromised, ...ended];
  return { org, rootKey, ...(rootPqKey === undefined ? {} : { rootPqKey }), predecessors, compromised, former };
}

/** Every server certificate that a replaced key signed in time is over by then. */
function endOfPredecessor(until: Instant): Instant {
  return instant(until + SERVER_CERTIFICATE_LIFE_MS_MAX + CLOCK_SKEW_MS);
}

/** The next moment after `now` at which the standing changes by itself. */
export function nextStandingChange({ steps }: RootLineage, now: Instant): Instant {
  const moments = steps.flatMap(({ effectiveAt }) => [effectiveAt, endOfPredecessor(effectiveAt)]);
  return instant(moments.reduce((next, at) => (at > now && at < next ? at : next), Number.MAX_SAFE_INTEGER));
}

/**
 * The recovery set that may replace the key that a lineage ends in [ROOT-4]: the one of that key
 * that has settled; until there is one, the set that counted when the key before it was
 * replaced, for a year; of the key that was pinned first, else its first set.
 */
export function recoverySetOf(
  { first, steps }: RootLineage,
  pins: readonly RecoveryPin[],
  now: Instant,
): RecoverySet | undefined {
  let inherited: RecoverySet | undefined;
  let from: RotationStep | undefined;
  for (const step of [...steps, undefined]) {
    const own = pinsOf(pins, from?.rootKey ?? first.rootKey);
    const at = step === undefined ? now : endOfNaming(step);
    if (from !== undefined && at > from.takenAt + YEAR_MS) inherited = undefined;
    // The first set of a later key has to settle too: the thief who made that key would name officers at once.
    inherited = settledSet(own, at) ?? (from === undefined ? recoverySetAt(own, at) : inherited);
    from = step;
  }
  return inherited;
}

/** A set that a key named later counts for nothing: after a theft, the thief may have named it. */
function endOfNaming({ reason, takenAt, effectiveAt }: RotationStep): Instant {
  return reason === 'compromised' && effectiveAt < takenAt ? effectiveAt : takenAt;
}

/**
 * The set that may put out `displaced`, which the old key signed, and what followed it: the one that counted
 * before. Where none was pinned by the time that a theft is dated back to, the one that counted when
 * the rotation was taken, since a thief chooses that date too [ROOT-14].
 */
function recoverySetBefore(
  before: RootLineage,
  displaced: RotationStep,
  pins: readonly RecoveryPin[],
): RecoverySet | undefined {
  return recoverySetOf(before, pins, endOfNaming(displaced)) ?? recoverySetOf(before, pins, displaced.takenAt);
}

/** The next rotation of a lineage, unsigned. Throws RangeError for one that no verifier would take. */
export function draftRootRotation(
  crypto: Crypto,
  lineage: RootLineage,
  rotation: Omit<RotationBody, 'org' | 'sequence' | 'previous' | 'old_root_key'>,
): SignedDocument<RotationBody> {
  const last = lineage.steps.at(-1);
  const body = {
    ...rotation,
    org: lineage.org,
    sequence: (last?.sequence ?? 0) + 1,
    previous: last?.hash ?? NO_HASH,
    old_root_key: (last ?? lineage.first).rootKey,
  };
  const fault = bodyFault(crypto, lineage, body);
  if (fault !== undefined) throw new RangeError(fault);
  if (isTooMany(lineage, body)) throw new RangeError(TOO_MANY);
  return draftDocument(ROOT_ROTATION, body);
}

export interface ExpectedRotation {
  /** The recovery sets that were pinned for the organisation. Which of them counts, the lineage says. */
  readonly pins: readonly RecoveryPin[];
  readonly now: Instant;
}

/**
 * Checks one rotation and adds it to the lineage [ROOT-5] to [ROOT-15]. One that the lineage holds already
 * gives the same lineage. A rotation by recovery officers takes the place of one that the
 * old key signed, and of what followed it, within a year: whoever stole the key cannot be the first.
 * Errors: limit_exceeded (too large, or too many in a year), rotation_gap, rotation_fork, certificate_invalid (another organisation or old key),
 * signature_invalid, approval_required (not enough officers, or not of the pinned set),
 * downgrade_refused (no post-quantum key any more), clock_skew, malformed, and those of parsing.
 */
export function verifyRootRotation(
  crypto: Crypto,
  lineage: RootLineage,
  rotation: Uint8Array,
  { pins, now }: ExpectedRotation,
): Result<RootLineage> {
  if (rotation.length > ROTATION_BYTES_MAX) return reject('limit_exceeded', 'size of the rotation');
  const parsed = parseDocument(ROOT_ROTATION, rotation);
  if (!parsed.ok) return parsed;
  const document = parsed.value;
  const { body } = document;
  if (body.org !== lineage.org) return reject('certificate_invalid', 'organisation of the rotation');
  const hash = documentHash(crypto, document);
  const placed = place(lineage, body, hash, now);
  if (!placed.ok || placed.value === 'held') return placed.ok ? ok(lineage) : placed;
  const { before, displaced } = placed.value;
  const fault = bodyFault(crypto, before, body);
  if (fault !== undefined) return reject('malformed', fault);
  if (body.issued_at > now + CLOCK_SKEW_MS) return reject('clock_skew', 'issued_at of the rotation');
  if (isTooMany(before, body)) return reject('limit_exceeded', TOO_MANY);
  const recovery =
    displaced === undefined ? recoverySetOf(before, pins, now) : recoverySetBefore(before, displaced, pins);
  const signed = checkSignatures(crypto, before, document, recovery);
  if (!signed.ok) return signed;
  const step: RotationStep = {
    sequence: body.sequence,
    hash,
    rootKey: body.new_root_key,
    ...pinnedPostQuantum(before, body),
    ...(body.recovery_set === undefined || recovery === undefined ? {} : { recovery }),
    by: kindOf(body),
    reason: body.reason,
    effectiveAt: instant(body.effective_at),
    takenAt: now,
    document,
  };
  return ok({ ...before, steps: [...before.steps, step] } as RootLineage); // number, hash and signatures were checked just now
}

/**
 * Whether a rotation that was refused as a fork is evidence against its organisation: another successor of a key, which
 * the same kind of signers signed for [ROOT-13]. Gives the rotation that is held in its place.
 */
export function forkOf(
  crypto: Crypto,
  lineage: RootLineage,
  rotation: Uint8Array,
  pins: readonly RecoveryPin[],
): RotationStep | undefined {
  const parsed = parseDocument(ROOT_ROTATION, rotation);
  if (!parsed.ok || rotation.length > ROTATION_BYTES_MAX || parsed.value.body.org !== lineage.org) return undefined;
  const { body } = parsed.value;
  const at = successorOf(lineage, body.old_root_key);
  const held = lineage.steps[at];
  if (at < 0 || held === undefined || held.by !== kindOf(body)) return undefined;
  if (sameBytes(held.hash, documentHash(crypto, parsed.value))) return undefined;
  const before = { ...lineage, steps: lineage.steps.slice(0, at) } as RootLineage; // less than what was checked before
  const recovery = held.recovery ?? recoverySetOf(before, pins, held.takenAt);
  return checkSignatures(crypto, before, parsed.value, recovery).ok ? held : undefined;
}

function kindOf(body: RotationBody): RotationStep['by'] {
  return body.recovery_set === undefined ? 'old_key' : 'recovery';
}

/** Officers sign with Ed25519 alone: the post-quantum key that they name is proven by a new exchange, or not at all [ROOT-23]. */
function pinnedPostQuantum(before: RootLineage, body: RotationBody): { readonly rootPqKey?: Uint8Array } {
  const { rootPqKey } = before.steps.at(-1) ?? before.first;
  const { new_root_pq_key: next, recovery_set: byOfficers } = body;
  return rootPqKey === undefined || next === undefined || byOfficers !== undefined ? {} : { rootPqKey: next };
}

const TOO_MANY = `more than ${ROTATIONS_PER_YEAR_MAX} rotations take effect within a year`;

/** What the officers do is counted apart: a thief must not use up what they need. */
function isTooMany({ steps }: RootLineage, body: RotationBody): boolean {
  const since = body.effective_at - YEAR_MS;
  const recent = steps.filter(({ by, effectiveAt }) => by === kindOf(body) && effectiveAt > since);
  return recent.length >= ROTATIONS_PER_YEAR_MAX;
}

interface Place {
  readonly before: RootLineage;
  /** The first rotation that is put out. */
  readonly displaced?: RotationStep;
}

/** How many rotations lead to a key; -1 for one that the lineage does not hold. */
function successorOf({ first, steps }: RootLineage, rootKey: Uint8Array): number {
  if (sameBytes(first.rootKey, rootKey)) return 0;
  return steps.findIndex((step) => sameBytes(step.rootKey, rootKey)) + 1 || -1;
}

/** The lineage that a rotation follows; `held` when it is part of it already, or from before it. */
function place(lineage: RootLineage, body: RotationBody, hash: Uint8Array, now: Instant): Result<Place | 'held'> {
  const { first, steps } = lineage;
  if (steps.some((step) => sameBytes(step.hash, hash))) return ok('held');
  const at = successorOf(lineage, body.old_root_key);
  if (at < 0) return sameBytes(body.new_root_key, first.rootKey) ? ok('held') : unknownOldKey(steps, body);
  const displaced = steps[at];
  if (displaced !== undefined) {
    const outranks = body.recovery_set !== undefined && steps.slice(at).every(({ by }) => by === 'old_key');
    if (!outranks || now > displaced.takenAt + YEAR_MS) return reject('rotation_fork', `rotation ${body.sequence}`);
  }
  const last = steps[at - 1];
  // Whoever pinned a later key than the first holds what followed, and takes the number that it begins with.
  const [sequence, previous] = last === undefined ? [body.sequence, body.previous] : [last.sequence + 1, last.hash];
  if (body.sequence !== sequence || !sameBytes(body.previous, previous))
    return reject('rotation_fork', `rotation ${body.sequence}`);
  const before = { ...lineage, steps: steps.slice(0, at) } as RootLineage; // less than what was checked before
  return ok(displaced === undefined ? { before } : { before, displaced });
}

function unknownOldKey(steps: readonly RotationStep[], { sequence }: RotationBody): Result<never> {
  const last = steps.at(-1)?.sequence ?? 0;
  if (sequence > last + 1) return reject('rotation_gap', `rotations after ${last}`);
  if (last === 0) return reject('certificate_invalid', 'old root key of the rotation');
  return reject('rotation_fork', `rotation ${sequence}`);
}

function bodyFault(crypto: Crypto, before: RootLineage, body: RotationBody): string | undefined {
  if (body.sequence < 1) return 'sequence of the rotation';
  if (!crypto.ed25519.isPublicKey(body.new_root_key)) return 'new root key';
  const earlier = [before.first.rootKey, ...before.steps.map(({ rootKey }) => rootKey)];
  if (earlier.some((key) => sameBytes(key, body.new_root_key))) return 'a root key that was in use before';
  const { issued_at: issued, effective_at: effective } = body;
  if (effective > issued + ROTATION_AHEAD_DAYS_MAX * DAY_MS) return 'effective_at of the rotation';
  const earliest = body.reason === 'compromised' ? issued - ROTATION_BACK_DAYS_MAX * DAY_MS : issued;
  if (effective < earliest || effective < (before.steps.at(-1)?.effectiveAt ?? 0))
    return 'effective_at of the rotation';
  return undefined;
}

function checkSignatures(
  crypto: Crypto,
  before: RootLineage,
  document: SignedDocument<RotationBody>,
  recovery: RecoverySet | undefined,
): Result<undefined> {
  const { new_root_key: newKey, new_root_pq_key: newPqKey, recovery_set: byRecovery } = document.body;
  const old = before.steps.at(-1) ?? before.first;
  const byNew = checkBoth(crypto, document, newKey, newPqKey);
  if (!byNew.ok) return byNew;
  if (newPqKey === undefined && hadPostQuantum(before))
    return reject('downgrade_refused', 'the rotation leaves out the post-quantum root key');
  // The old keys sign both, or neither counts: one broken algorithm must not be enough to take a root key over.
  if (byRecovery === undefined) return checkBoth(crypto, document, old.rootKey, old.rootPqKey);
  return checkOfficers(crypto, document, recovery);
}

/** Also when nobody has proven it yet, as after a rotation by officers. */
function hadPostQuantum({ first, steps }: RootLineage): boolean {
  return first.rootPqKey !== undefined || steps.some(({ document }) => document.body.new_root_pq_key !== undefined);
}

function checkBoth(
  crypto: Crypto,
  document: SignedDocument<RotationBody>,
  rootKey: Uint8Array,
  rootPqKey: Uint8Array | undefined,
): Result<undefined> {
  const signed = verifyDocument(crypto, document, rootKey);
  if (!signed.ok) return signed;
  return rootPqKey === undefined ? ok(undefined) : checkPostQuantumSignature(crypto, document, rootPqKey);
}

function checkOfficers(
  crypto: Crypto,
  document: SignedDocument<RotationBody>,
  recovery: RecoverySet | undefined,
): Result<undefined> {
  if (recovery === undefined || recovery.org !== document.body.org)
    return reject('approval_required', 'no recovery set of this organisation is pinned');
  // Whichever set the rotation names, the pinned one decides: a newer one of the same people has not settled everywhere.
  // The officers' keys are different ones, so that nobody counts twice.
  const signed = recovery.officers.filter((key) => verifyDocument(crypto, document, key).ok);
  if (signed.length >= recovery.threshold) return ok(undefined);
  return reject('approval_required', `${signed.length} of ${recovery.threshold} recovery officers signed`);
}
