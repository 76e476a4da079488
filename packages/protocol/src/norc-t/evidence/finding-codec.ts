import { EVIDENCE, type EvidenceKind, instant, type Result, utf8Length } from '../../base/index.ts';
import {
  choice,
  decodeBody,
  domain,
  encodeBody,
  fixedBytes,
  type Infer,
  list,
  optional,
  struct,
  text,
  uint,
} from '../../wire/index.ts';
import { exchangeId } from '../identifiers.ts';
import { levelSchema } from '../trust-certificate.ts';
import type { Finding } from './findings.ts';

/**
 * How findings are kept (spec/norc-t section 3.3): in the state of an exchange, and as the
 * record that officers are shown afterwards. Canonical JSON; it never leaves the server.
 */

export const FINDINGS_MAX = 64;
const METHOD_BYTES_MAX = 32;
const DETAIL_BYTES_MAX = 512;
const PER_MILLE = 1000;
const EVIDENCE_KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds

export const findingSchema = struct({
  kind: choice(EVIDENCE_KINDS),
  result: choice(['held', 'failed', 'absent']),
  hash: optional(fixedBytes(32)),
  method: optional(text(METHOD_BYTES_MAX)),
  weight_per_mille: uint(PER_MILLE),
  checked_at: uint(),
  expires_at: optional(uint()),
  detail: text(DETAIL_BYTES_MAX),
});
export type StoredFinding = Infer<typeof findingSchema>;

export function storeFinding(finding: Finding): StoredFinding {
  const { kind, result, hash, method, weight, checkedAt, expiresAt, detail } = finding;
  if (!(weight >= 0 && weight <= 1)) throw new RangeError('weight of a finding');
  return {
    kind,
    result,
    ...(hash === undefined ? {} : { hash }),
    ...(method === undefined ? {} : { method: clipText(method, METHOD_BYTES_MAX) }),
    weight_per_mille: Math.round(weight * PER_MILLE),
    checked_at: checkedAt,
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    detail: clipText(detail, DETAIL_BYTES_MAX),
  };
}

export function loadFinding(stored: StoredFinding): Finding {
  const { kind, result, hash, method, weight_per_mille, checked_at, expires_at, detail } = stored;
  return {
    ...{ kind, result, detail, weight: weight_per_mille / PER_MILLE, checkedAt: instant(checked_at) },
    ...(hash === undefined ? {} : { hash }),
    ...(method === undefined ? {} : { method }),
    ...(expires_at === undefined ? {} : { expiresAt: instant(expires_at) }),
  };
}

const evidenceRecordSchema = struct({
  exchange_id: exchangeId(),
  /** What this side was in the exchange. */
  side: choice(['initiator', 'responder']),
  /** Whom the findings are about. */
  peer: domain(),
  level: levelSchema,
  findings: list(findingSchema, FINDINGS_MAX),
  /** Trust with the partner that ended badly, and whole days of trust, when it was checked. */
  incidents: uint(),
  days_in_force: uint(),
  /** Of 100, as it came out then. */
  score: uint(100),
});
/** One side's findings about the other in one exchange, as the store keeps them. */
export type EvidenceRecord = Infer<typeof evidenceRecordSchema>;

/** Canonical JSON. */
export function encodeEvidenceRecord(record: EvidenceRecord): Uint8Array {
  return encodeBody(evidenceRecordSchema, record, 'json');
}

/** Errors: those of `decodeBody`. */
export function decodeEvidenceRecord(bytes: Uint8Array): Result<EvidenceRecord> {
  return decodeBody(evidenceRecordSchema, bytes, 'json');
}

/** The beginning of a text, at most `bytesMax` bytes of UTF-8, with no character cut in two. */
export function clipText(whole: string, bytesMax: number): string {
  let [bytes, clipped] = [0, ''];
  for (const character of whole) {
    const length = utf8Length(character);
    const sound = length < 0 ? '\ufffd' : character; // half a surrogate pair has no UTF-8 form
    bytes += length < 0 ? 3 : length;
    if (bytes > bytesMax) break;
    clipped += sound;
  }
  return clipped;
}
