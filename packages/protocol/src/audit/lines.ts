import { fromBase64Url, LIMITS, ok, type Result, reject, toBase64Url } from '../base/index.ts';
import { canonicalJson, canonicalJsonText, isJsonObject, parseJson } from '../wire/index.ts';
import type { AuditRecord } from './verify.ts';

/** One line of an exported log (spec/audit-log section 5): `{"entry":{…},"signature":"…"}`, without a line break. */
export function encodeAuditLine({ entry, signature }: AuditRecord): string {
  const json = parseJson(entry, { bytesMax: LIMITS.auditEntryBytesMax, requireCanonical: true });
  if (!json.ok) throw new RangeError(`audit entry: ${json.error.code}`);
  return canonicalJsonText({ entry: json.value, signature: toBase64Url(signature) });
}

/** Errors: those of `parseJson`; missing_field, wrong_type. The entry itself is checked by `verifyAuditChain`. */
export function decodeAuditLine(line: string): Result<AuditRecord> {
  const json = parseJson(line, { bytesMax: LIMITS.documentBytesMax, requireCanonical: true });
  if (!json.ok) return json;
  if (!isJsonObject(json.value)) return reject('wrong_type', 'line of the log');
  const { entry, signature } = json.value;
  if (entry === undefined || signature === undefined) return reject('missing_field', 'entry or signature');
  const bytes = typeof signature === 'string' ? fromBase64Url(signature) : undefined;
  if (bytes === undefined || bytes.length !== 64) return reject('wrong_type', 'signature');
  return ok({ entry: canonicalJson(entry), signature: bytes });
}
