import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { nodeCrypto } from '@norc/crypto/node';
import {
  type AuditHead,
  type AuditRecord,
  type AuditReport,
  type AuditSigner,
  auditSigner,
  decodeAuditLine,
  verifyAuditStream,
} from '@norc/protocol/audit';
import { type Domain, fromBase64Url, parseDomain, toBase64Url } from '@norc/protocol/base';
import { fingerprintText, rootKeyFingerprint } from '@norc/protocol/crypto';
import { CommandError, EXIT } from '../command.ts';

/**
 * An audit log in a file: a first line that says whose it is, with the certificates that
 * its signatures need, then the entries (spec/audit-log section 5). The first line proves
 * nothing by itself: whoever verifies knows the root key, or its fingerprint, from elsewhere.
 */
export interface ExportHead {
  readonly org: Domain;
  /** Ed25519. */
  readonly rootKey: Uint8Array;
  readonly serverCertificates: readonly Uint8Array[];
}

const FORMAT = 'norc-audit-export-v1';

export function encodeHead({ org, rootKey, serverCertificates }: ExportHead): string {
  return JSON.stringify({
    format: FORMAT,
    org,
    root_key: toBase64Url(rootKey),
    server_certificates: serverCertificates.map((certificate) => toBase64Url(certificate)),
  });
}

/** Throws CommandError `badData` for anything that `encodeHead` does not write. */
export function decodeHead(line: string): ExportHead {
  const fields = parseObject(line);
  const org = parseDomain(typeof fields['org'] === 'string' ? fields['org'] : '');
  const rootKey = bytesOf(fields['root_key']);
  const list: readonly unknown[] = Array.isArray(fields['server_certificates']) ? fields['server_certificates'] : [];
  const certificates = list.map(bytesOf).filter((bytes) => bytes !== undefined);
  if (fields['format'] !== FORMAT || !org.ok || rootKey?.length !== 32 || certificates.length !== list.length) {
    throw new CommandError(EXIT.badData, 'This is not an exported audit log.', 'Make one with: norc audit export FILE');
  }
  return { org: org.value, rootKey, serverCertificates: certificates };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

const bytesOf = (value: unknown): Uint8Array | undefined =>
  typeof value === 'string' ? fromBase64Url(value) : undefined;

export interface PinnedRoot {
  readonly fingerprint: Uint8Array;
}

/** What a verifier knows from elsewhere. */
export interface Expectation extends PinnedRoot {
  /** An entry of an earlier verification: without it, nobody notices that the end was cut off. */
  readonly contains?: AuditHead;
}

/** What the fingerprint and the certificates make of the head. Throws CommandError when it is another organisation's. */
export function signersOf(head: ExportHead, pinned: PinnedRoot): readonly AuditSigner[] {
  const fingerprint = rootKeyFingerprint(nodeCrypto, head.rootKey);
  if (!nodeCrypto.equal(fingerprint, pinned.fingerprint)) {
    throw new CommandError(
      EXIT.failure,
      `This log belongs to another root key: ${fingerprintText(fingerprint)}.`,
      'Ask the organisation for its root fingerprint over another channel.',
    );
  }
  const trusted = { org: head.org, rootKey: head.rootKey };
  return head.serverCertificates.map((certificate) => {
    const signer = auditSigner(nodeCrypto, trusted, certificate);
    if (signer.ok) return signer.value;
    throw new CommandError(
      EXIT.failure,
      `A server certificate in this log is not certified by its root key (${signer.error.detail}).`,
    );
  });
}

/** Reads and verifies a whole file, entry by entry. Throws CommandError for a file that cannot be read. */
export async function verifyExport(
  file: string,
  expectation: Expectation,
): Promise<{ head: ExportHead; report: AuditReport }> {
  const lines = linesOf(file)[Symbol.asyncIterator]();
  const first = await lines.next();
  const head = decodeHead(first.done === true ? '' : first.value);
  const records = recordsOf({ [Symbol.asyncIterator]: () => lines });
  const { contains } = expectation;
  const report = await verifyAuditStream(nodeCrypto, records, {
    ...{ org: head.org, signers: signersOf(head, expectation) },
    ...(contains === undefined ? {} : { contains }),
  });
  return { head, report };
}

/** A line that is no entry becomes one that fails as the first broken one. */
export async function* recordsOf(lines: AsyncIterable<string>): AsyncIterable<AuditRecord> {
  for await (const line of lines) {
    const record = decodeAuditLine(line);
    yield record.ok ? record.value : { entry: new Uint8Array(), signature: new Uint8Array(64) };
  }
}

async function* linesOf(file: string): AsyncIterable<string> {
  try {
    yield* createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown fault';
    throw new CommandError(EXIT.badData, `${file} cannot be read (${code}).`, undefined, { cause });
  }
}
