import {
  AUDIT_TYPES,
  type Domain,
  type ErrorName,
  type Instant,
  instant,
  type Result,
  sameBytes,
} from '../base/index.ts';
import {
  type Crypto,
  keyId,
  type PinnedOrg,
  parseDocument,
  SERVER_CERTIFICATE,
  verifyServerCertificate,
} from '../crypto/index.ts';
import {
  type AuditEntry,
  type AuditHead,
  auditGenesis,
  auditHash,
  auditSigningInput,
  parseAuditEntry,
} from './entry.ts';

/** An entry as it is stored or exported. */
export interface AuditRecord {
  /** Canonical JSON. */
  readonly entry: Uint8Array;
  /** Ed25519, by the server key that the entry names. */
  readonly signature: Uint8Array;
  /** When the store keeps it beside: must be the hash that follows. */
  readonly hash?: Uint8Array;
}

/** A server key that may sign entries from `notBefore` on and before `notAfter`. */
export interface AuditSigner {
  readonly publicKey: Uint8Array;
  readonly notBefore: Instant;
  readonly notAfter: Instant;
}

/** Why an entry breaks its log, in the order of the checks, with the registry code of each [AUDIT-7]. */
export const AUDIT_FAULTS = {
  malformed: 'malformed',
  sequence: 'log_gap',
  prev_hash: 'log_fork',
  hash: 'log_fork',
  unknown_signer: 'certificate_invalid',
  signer_expired: 'certificate_expired',
  signature: 'signature_invalid',
  ends_early: 'truncated',
} as const satisfies Record<string, ErrorName>;
export type AuditFault = keyof typeof AUDIT_FAULTS;

/** Something that an auditor should look at, but that breaks nothing [AUDIT-9]. */
export interface AuditNote {
  readonly sequence: number;
  readonly kind: 'time_backwards' | 'unknown_type';
}

export type AuditReport =
  | {
      readonly kind: 'sound';
      readonly head: AuditHead;
      readonly entries: number;
      readonly notes: readonly AuditNote[];
    }
  | {
      readonly kind: 'broken';
      /** The place of the first entry that is wrong or missing. */
      readonly sequence: number;
      readonly fault: AuditFault;
      /** Names fields and rules; no content of the entry. */
      readonly detail: string;
      /** The last entry that is sound. */
      readonly head: AuditHead;
      readonly entries: number;
      readonly notes: readonly AuditNote[];
    };

export interface AuditChainExpectation {
  readonly org: Domain;
  readonly signers: readonly AuditSigner[];
  /** Continue after an entry that was verified before; the log's beginning when absent. */
  readonly after?: AuditHead;
  /** A head known from elsewhere (a checkpoint, an earlier run): the log must reach and contain it. */
  readonly contains?: AuditHead;
}

/** Checks a log from its beginning (or after a known entry) and names the first broken entry. */
export function verifyAuditChain(
  crypto: Crypto,
  records: Iterable<AuditRecord>,
  expected: AuditChainExpectation,
): AuditReport {
  const check = new AuditCheck(crypto, expected);
  for (const record of records) if (!check.next(record)) break;
  return check.report();
}

/** As `verifyAuditChain`, for a log that is read in pieces. */
export async function verifyAuditStream(
  crypto: Crypto,
  records: AsyncIterable<AuditRecord>,
  expected: AuditChainExpectation,
): Promise<AuditReport> {
  const check = new AuditCheck(crypto, expected);
  for await (const record of records) if (!check.next(record)) break;
  return check.report();
}

/**
 * Server certificates with the usage `audit`, as signers. Each is checked at the begin of
 * its own time: old ones signed old entries. Errors: those of `verifyServerCertificate`.
 */
export function auditSigner(crypto: Crypto, pinned: PinnedOrg, certificate: Uint8Array): Result<AuditSigner> {
  const parsed = parseDocument(SERVER_CERTIFICATE, certificate);
  if (!parsed.ok) return parsed;
  const now = instant(parsed.value.body.not_before);
  return verifyServerCertificate(crypto, parsed.value, { pinned, usage: 'audit', now });
}

class AuditCheck {
  readonly #crypto: Crypto;
  readonly #signers: ReadonlyMap<string, readonly AuditSigner[]>;
  readonly #contains: AuditHead | undefined;
  readonly #notes: AuditNote[] = [];
  #head: AuditHead;
  #time: Instant | undefined;
  #entries = 0;
  #broken: { readonly sequence: number; readonly fault: AuditFault; readonly detail: string } | undefined;

  constructor(crypto: Crypto, expected: AuditChainExpectation) {
    this.#crypto = crypto;
    this.#head = expected.after ?? auditGenesis(crypto, expected.org);
    this.#contains = expected.contains;
    this.#signers = Map.groupBy(expected.signers, ({ publicKey }) => keyId(crypto, publicKey));
  }

  /** False when the log is broken here. */
  next(record: AuditRecord): boolean {
    const parsed = parseAuditEntry(record.entry);
    if (!parsed.ok) return this.#fail('malformed', `${parsed.error.code}: ${parsed.error.detail}`);
    const entry = parsed.value;
    const hash = auditHash(this.#crypto, this.#head.hash, record.entry);
    const fault = this.#placeFault(entry, hash, record) ?? this.#signatureFault(entry, hash, record.signature);
    if (fault !== undefined) return this.#fail(...fault);
    this.#note(entry);
    this.#head = { sequence: entry.sequence, hash };
    this.#entries += 1;
    return true;
  }

  #placeFault(entry: AuditEntry, hash: Uint8Array, record: AuditRecord): readonly [AuditFault, string] | undefined {
    const wanted = this.#head.sequence + 1;
    if (entry.sequence !== wanted) return ['sequence', `entry ${entry.sequence} in place ${wanted}`];
    if (!sameBytes(entry.previousHash, this.#head.hash)) return ['prev_hash', 'does not follow the entry before'];
    if (record.hash !== undefined && !sameBytes(record.hash, hash)) return ['hash', 'stored hash differs'];
    const known = this.#contains;
    if (known?.sequence === wanted && !sameBytes(known.hash, hash)) return ['hash', 'differs from the known head'];
    return undefined;
  }

  #signatureFault(
    entry: AuditEntry,
    hash: Uint8Array,
    signature: Uint8Array,
  ): readonly [AuditFault, string] | undefined {
    const named = this.#signers.get(entry.signer);
    if (named === undefined) return ['unknown_signer', 'no certified key of this name'];
    const inDate = named.find(({ notBefore, notAfter }) => entry.time >= notBefore && entry.time < notAfter);
    if (inDate === undefined) return ['signer_expired', 'the key was not certified at that time'];
    const valid = this.#crypto.ed25519.verify(inDate.publicKey, auditSigningInput(hash), signature);
    return valid ? undefined : ['signature', 'does not verify'];
  }

  #note({ sequence, time, type }: AuditEntry): void {
    if (this.#time !== undefined && time < this.#time) this.#notes.push({ sequence, kind: 'time_backwards' });
    this.#time = time;
    if (!isKnownType(type)) this.#notes.push({ sequence, kind: 'unknown_type' });
  }

  #fail(fault: AuditFault, detail: string): false {
    this.#broken = { sequence: this.#head.sequence + 1, fault, detail };
    return false;
  }

  report(): AuditReport {
    const found = { head: this.#head, entries: this.#entries, notes: this.#notes };
    if (this.#broken === undefined && (this.#contains?.sequence ?? 0) > this.#head.sequence) {
      this.#fail('ends_early', `the log is known to have ${this.#contains?.sequence} entries`);
    }
    return this.#broken === undefined ? { kind: 'sound', ...found } : { kind: 'broken', ...this.#broken, ...found };
  }
}

function isKnownType(type: string): boolean {
  return (AUDIT_TYPES as readonly string[]).includes(type);
}
