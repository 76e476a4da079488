import {
  AUDIT_TYPES,
  type AuditType,
  concatBytes,
  type Domain,
  type Instant,
  instant,
  LIMITS,
  ok,
  type Result,
  reject,
  toHex,
  utf8,
  utf8Length,
} from '../base/index.ts';
import { type Crypto, keyId } from '../crypto/index.ts';
import {
  canonicalJson,
  choice,
  decodeBody,
  encodeBody,
  fixedBytes,
  type Infer,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJson,
  struct,
  text,
  uint,
} from '../wire/index.ts';

/**
 * Audit entries (spec/audit-log): canonical JSON, chained by hash, each signed by a
 * server key. They name organisations; people, devices and conversations only by pseudonym.
 */

const ENTRY_VERSION = 1;
const PARTY_BYTES_MAX = 300;
const TYPE_BYTES_MAX = 64;
const KEY_ID_LENGTH = 32;
const DETAILS_MAX = 24;
const DETAIL_BYTES_MAX = 512;
const DETAIL_NAME = /^[a-z][a-z0-9_]{0,39}$/;

/** Kinds of actors and subjects. Those with `true` are people or lead to people: their id is a pseudonym. */
const PARTY_KINDS = {
  system: false,
  org: false,
  server: false,
  exchange: false,
  certificate: false,
  officer: true,
  user: true,
  device: true,
  conversation: true,
  source: true,
} as const;
export type AuditPartyKind = keyof typeof PARTY_KINDS;
const PARTY = /^([a-z]+):([A-Za-z0-9._-]{1,253})$/;
const PSEUDONYM = /^[0-9a-f]{32}$/;

export const AUDIT_OUTCOMES = ['ok', 'refused', 'failed'] as const;
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

export type AuditDetail = Readonly<Record<string, string | number | boolean>>;

/** What happened, before it has a place in the log. */
export interface AuditEvent {
  readonly time: Instant;
  readonly type: AuditType;
  /** `kind:id`, see `auditParty`. */
  readonly actor: string;
  readonly subject: string;
  readonly outcome: AuditOutcome;
  readonly detail?: AuditDetail;
}

/** The last entry of a log, or its beginning. */
export interface AuditHead {
  readonly sequence: number;
  readonly hash: Uint8Array;
}

/** An entry that is to be signed and stored. */
export interface AuditDraft {
  readonly sequence: number;
  readonly time: Instant;
  readonly type: AuditType;
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
  /** Canonical JSON. */
  readonly entry: Uint8Array;
  /** What the server key signs. */
  readonly signingInput: Uint8Array;
}

/** An entry as it was read. Its type may be one that this version does not know. */
export interface AuditEntry {
  readonly sequence: number;
  readonly time: Instant;
  readonly type: string;
  readonly actor: string;
  readonly subject: string;
  readonly outcome: AuditOutcome;
  readonly detail?: AuditDetail;
  readonly previousHash: Uint8Array;
  /** `keyId` of the server key that signs this entry. */
  readonly signer: string;
}

const entrySchema = struct({
  version: uint(65535),
  sequence: uint(),
  time: uint(),
  type: text(TYPE_BYTES_MAX),
  actor: text(PARTY_BYTES_MAX),
  subject: text(PARTY_BYTES_MAX),
  outcome: choice(AUDIT_OUTCOMES),
  prev_hash: fixedBytes(32),
  signer: text(KEY_ID_LENGTH),
});
type EntryFields = Infer<typeof entrySchema>;

const GENESIS_LABEL = utf8('norc-audit-genesis-v1');
const SIGNATURE_LABEL = utf8('norc-audit-v1');
const PSEUDONYM_LABEL = utf8('norc-audit-pseudonym-v1');

/** Where an organisation's log begins: sequence 0, so that the first entry is 1 and cannot be another organisation's [AUDIT-3]. */
export function auditGenesis(crypto: Crypto, org: Domain): AuditHead {
  return { sequence: 0, hash: crypto.blake3(concatBytes(GENESIS_LABEL, utf8(org))) };
}

/** The next entry. Throws RangeError for an event that may not be in a log (our own fault). */
export function draftAuditEntry(
  crypto: Crypto,
  head: AuditHead,
  event: AuditEvent,
  signerPublicKey: Uint8Array,
): AuditDraft {
  const fields: EntryFields = {
    version: ENTRY_VERSION,
    sequence: head.sequence + 1,
    time: event.time,
    type: event.type,
    actor: event.actor,
    subject: event.subject,
    outcome: event.outcome,
    prev_hash: head.hash,
    signer: keyId(crypto, signerPublicKey),
  };
  const fault = AUDIT_TYPES.includes(event.type) ? (partyFault(event, isParty) ?? detailFault(event.detail)) : 'type';
  if (fault !== undefined) throw new RangeError(`audit entry: ${fault}`);
  const entry = encodeEntry(fields, event.detail);
  const hash = auditHash(crypto, head.hash, entry);
  const { sequence } = fields;
  const signingInput = auditSigningInput(hash);
  return { sequence, time: event.time, type: event.type, previousHash: head.hash, hash, entry, signingInput };
}

function encodeEntry(fields: EntryFields, detail: AuditDetail | undefined): Uint8Array {
  const bare = parseJson(encodeBody(entrySchema, fields, 'json'), { bytesMax: LIMITS.auditEntryBytesMax });
  if (!bare.ok) throw new RangeError('audit entry is too large');
  const object = bare.value as JsonObject; // the schema is a struct
  const entry = canonicalJson(detail === undefined ? object : { ...object, detail });
  if (entry.length > LIMITS.auditEntryBytesMax) throw new RangeError('audit entry is too large');
  return entry;
}

/**
 * Strict reading of one entry; says nothing about its place in a log.
 * Errors: those of `parseJson` and `decodeBody`; malformed.
 */
export function parseAuditEntry(input: Uint8Array): Result<AuditEntry> {
  const json = parseJson(input, { bytesMax: LIMITS.auditEntryBytesMax, requireCanonical: true });
  if (!json.ok) return json;
  const fields = decodeBody(entrySchema, input, 'json');
  if (!fields.ok) return fields;
  if (fields.value.version !== ENTRY_VERSION) return reject('malformed', 'version of the entry');
  const detail = (json.value as JsonObject)['detail']; // the schema is a struct
  const fault = partyFault(fields.value, isReadableParty) ?? detailFault(detail);
  if (fault !== undefined) return reject('malformed', fault);
  const { sequence, time, type, actor, subject, outcome, prev_hash, signer } = fields.value;
  return ok({
    sequence,
    time: instant(time),
    type,
    actor,
    subject,
    outcome,
    ...(detail === undefined ? {} : { detail: detail as AuditDetail }), // checked by detailFault
    previousHash: prev_hash,
    signer,
  });
}

/** `entry_hash` [AUDIT-2]. */
export function auditHash(crypto: Crypto, previousHash: Uint8Array, entry: Uint8Array): Uint8Array {
  return crypto.blake3(concatBytes(previousHash, entry));
}

/** What the server key signs for an entry [AUDIT-4]. */
export function auditSigningInput(hash: Uint8Array): Uint8Array {
  return concatBytes(SIGNATURE_LABEL, hash);
}

/** RFC 6962 leaf hash of an entry; entry `sequence` is leaf `sequence - 1` of the Merkle log [AUDIT-12]. */
export function auditLeafHash(crypto: Crypto, entry: Uint8Array): Uint8Array {
  return crypto.sha256(concatBytes(Uint8Array.of(0), entry));
}

/**
 * Stands for a person, device, conversation or address in the log: the same for the
 * same id under one key, and nothing without the key. 32 hexadecimal digits.
 */
export function auditPseudonym(crypto: Crypto, key: Uint8Array, kind: AuditPartyKind, id: string): string {
  if (key.length < 32) throw new RangeError('a pseudonym key has 32 bytes at least');
  const input = concatBytes(PSEUDONYM_LABEL, utf8(kind), Uint8Array.of(0), utf8(id));
  return toHex(crypto.hmac('blake3', key, input).subarray(0, 16));
}

/** An actor or subject, `kind:id`. Throws RangeError when the id of a person's kind is not a pseudonym. */
export function auditParty(kind: AuditPartyKind, id: string): string {
  const party = `${kind}:${id}`;
  if (!isParty(party)) throw new RangeError(`audit party of kind ${kind}`);
  return party;
}

function isParty(party: string): boolean {
  const [, kind = ''] = PARTY.exec(party) ?? [];
  return Object.hasOwn(PARTY_KINDS, kind) && !namesPerson(party);
}

/** A person's kind with something else than a pseudonym. */
function namesPerson(party: string): boolean {
  const [, kind = '', id = ''] = PARTY.exec(party) ?? [];
  return Object.hasOwn(PARTY_KINDS, kind) && PARTY_KINDS[kind as AuditPartyKind] && !PSEUDONYM.test(id); // an own key
}

function partyFault({ actor, subject }: Parties, accepts: (party: string) => boolean): string | undefined {
  if (!accepts(actor)) return 'actor';
  return accepts(subject) ? undefined : 'subject';
}

/** Kinds of a later version are read; a plain name of a person is not, whoever wrote it. */
function isReadableParty(party: string): boolean {
  return PARTY.test(party) && !namesPerson(party);
}

interface Parties {
  readonly actor: string;
  readonly subject: string;
}

/** Flat and small; no `@`, so that no user address can be in it [AUDIT-6]. */
function detailFault(detail: JsonValue | undefined): string | undefined {
  if (detail === undefined) return undefined;
  if (!isJsonObject(detail)) return 'detail';
  const entries = Object.entries(detail);
  if (entries.length === 0 || entries.length > DETAILS_MAX) return 'detail';
  return entries.every(([name, value]) => DETAIL_NAME.test(name) && isDetailValue(value)) ? undefined : 'detail';
}

function isDetailValue(value: JsonValue): boolean {
  if (typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isSafeInteger(value);
  return typeof value === 'string' && utf8Length(value) <= DETAIL_BYTES_MAX && !value.includes('@');
}
