import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, TEST_EPOCH, testOrganisation } from '@norc/testkit';
import fc from 'fast-check';
import { instant, LIMITS, toHex, utf8 } from '../base/index.ts';
import type { KeyPair } from '../crypto/index.ts';
import { canonicalJson, type JsonObject, type JsonValue, parseJson } from '../wire/index.ts';
import {
  type AuditEvent,
  type AuditFault,
  type AuditHead,
  type AuditRecord,
  type AuditReport,
  type AuditSigner,
  auditGenesis,
  auditHash,
  auditLeafHash,
  auditParty,
  auditPseudonym,
  auditSigner,
  auditSigningInput,
  decodeAuditLine,
  draftAuditEntry,
  encodeAuditLine,
  parseAuditEntry,
  verifyAuditChain,
  verifyAuditStream,
} from './index.ts';

const crypto = nodeCrypto;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const key = crypto.blake3(utf8('pseudonyms'));
const ann = auditParty('user', auditPseudonym(crypto, key, 'user', 'ann@alpha.example'));
const event: AuditEvent = {
  time: TEST_EPOCH,
  type: 'device_registered',
  actor: 'server:alpha.example',
  subject: ann,
  outcome: 'ok',
  detail: { certificate: 'abc', count: 1, hybrid: true },
};
const signers: AuditSigner[] = [mustBe(auditSigner(crypto, alpha.pinned, alpha.certificate.bytes))];
const expected = { org: alpha.domain, signers };

interface Log {
  readonly records: AuditRecord[];
  readonly heads: AuditHead[];
}

function appended(head: AuditHead, one: AuditEvent, keys: KeyPair = alpha.server): AuditRecord {
  const draft = draftAuditEntry(crypto, head, one, keys.publicKey);
  const signature = crypto.ed25519.sign(keys.privateKey, draft.signingInput);
  return { entry: draft.entry, hash: draft.hash, signature };
}

function logOf(events: readonly AuditEvent[], org = alpha): Log {
  const log: Log = { records: [], heads: [auditGenesis(crypto, org.domain)] };
  for (const one of events) {
    const head = log.heads.at(-1) ?? auditGenesis(crypto, org.domain);
    const record = appended(head, one, org.server);
    log.records.push(record);
    log.heads.push({ sequence: head.sequence + 1, hash: auditHash(crypto, head.hash, record.entry) });
  }
  return log;
}

const five = logOf([0, 1, 2, 3, 4].map((i) => ({ ...event, time: instant(TEST_EPOCH + i) })));

function broken(report: AuditReport, sequence: number, fault: AuditFault): void {
  assert.deepEqual(report.kind === 'broken' ? [report.sequence, report.fault] : report.kind, [sequence, fault]);
}

/** The log with one record replaced. */
function withRecord(index: number, record: AuditRecord): AuditRecord[] {
  return five.records.map((one, at) => (at === index ? record : one));
}

/** The entry with other fields, rehashed and signed by the real key: what a dishonest operator can write in one place. */
function rewritten(index: number, changes: Record<string, JsonValue>): AuditRecord {
  const record = five.records[index];
  assert.ok(record !== undefined);
  const json = mustBe(parseJson(record.entry, { bytesMax: LIMITS.auditEntryBytesMax })) as JsonObject; // an entry is an object
  const entry = canonicalJson({ ...json, ...changes });
  const hash = auditHash(crypto, five.heads[index]?.hash ?? new Uint8Array(), entry);
  return { entry, hash, signature: crypto.ed25519.sign(alpha.server.privateKey, auditSigningInput(hash)) };
}

test('[AUDIT-1] [AUDIT-2] [AUDIT-4] a log is read back entry by entry and is sound', async () => {
  const report = verifyAuditChain(crypto, five.records, expected);
  assert.deepEqual(report, { kind: 'sound', head: five.heads[5], entries: 5, notes: [] });
  async function* stream() {
    yield* five.records;
  }
  assert.deepEqual(await verifyAuditStream(crypto, stream(), expected), report);
  const first = mustBe(parseAuditEntry(five.records[0]?.entry ?? new Uint8Array()));
  assert.equal(first.sequence, 1);
  assert.deepEqual(first.detail && { ...first.detail }, event.detail);
  assert.equal(first.actor, event.actor);
});

test('[AUDIT-3] a log belongs to one organisation and begins at its own genesis', () => {
  assert.notDeepEqual(auditGenesis(crypto, alpha.domain).hash, auditGenesis(crypto, bravo.domain).hash);
  broken(verifyAuditChain(crypto, five.records, { ...expected, org: bravo.domain }), 1, 'prev_hash');
});

test('[AUDIT-7] every way to break a log is found at the first wrong entry', () => {
  const check = (records: readonly AuditRecord[]) => verifyAuditChain(crypto, records, expected);
  const [one, two, three, four, last] = five.records as [
    AuditRecord,
    AuditRecord,
    AuditRecord,
    AuditRecord,
    AuditRecord,
  ];
  broken(check([one, two, four, last]), 3, 'sequence');
  broken(check([one, three, two, four, last]), 2, 'sequence');
  broken(check([one, two, two, three]), 3, 'sequence');
  broken(check([two, three]), 1, 'sequence');
  broken(check(withRecord(1, rewritten(1, { outcome: 'failed' }))), 3, 'prev_hash');
  broken(check(withRecord(2, { ...three, hash: two.hash ?? new Uint8Array() })), 3, 'hash');
  broken(check(withRecord(2, { ...three, signature: two.signature })), 3, 'signature');
  broken(check(withRecord(2, { ...three, entry: utf8('{}') })), 3, 'malformed');
  broken(check(withRecord(2, rewritten(2, { signer: '0'.repeat(32) }))), 3, 'unknown_signer');
  broken(
    check(withRecord(3, rewritten(3, { prev_hash: Buffer.from(crypto.blake3(key)).toString('base64url') }))),
    4,
    'prev_hash',
  );
});

test('[AUDIT-7] any changed bit of any entry or signature is found at that entry', () => {
  fc.assert(
    fc.property(fc.nat(4), fc.boolean(), fc.nat(), fc.nat(7), (index, inEntry, place, bit) => {
      const record = five.records[index];
      assert.ok(record !== undefined);
      const part = Uint8Array.from(inEntry ? record.entry : record.signature);
      part[place % part.length] = (part[place % part.length] ?? 0) ^ (1 << bit);
      const changed = inEntry ? { entry: part, signature: record.signature } : { ...record, signature: part };
      const report = verifyAuditChain(crypto, withRecord(index, changed), expected);
      assert.equal(report.kind === 'broken' ? report.sequence : 0, index + 1);
      assert.deepEqual(report.head, five.heads[index]);
    }),
    { numRuns: 150 },
  );
});

test('[AUDIT-8] a cut-off end shows only against a head that is known from elsewhere', () => {
  const short = five.records.slice(0, 3);
  assert.equal(verifyAuditChain(crypto, short, expected).kind, 'sound');
  const contains = five.heads[5] ?? auditGenesis(crypto, alpha.domain);
  broken(verifyAuditChain(crypto, short, { ...expected, contains }), 4, 'ends_early');
  broken(verifyAuditChain(crypto, [], { ...expected, contains }), 1, 'ends_early');
  assert.equal(verifyAuditChain(crypto, five.records, { ...expected, contains }).kind, 'sound');
  const other = logOf([{ ...event, type: 'server_started' }]);
  const head = other.heads[1] ?? contains;
  broken(verifyAuditChain(crypto, five.records, { ...expected, contains: head }), 1, 'hash');
});

test('a verification goes on where an earlier one ended', () => {
  const after = five.heads[3] ?? auditGenesis(crypto, alpha.domain);
  const report = verifyAuditChain(crypto, five.records.slice(3), { ...expected, after });
  assert.deepEqual(report, { kind: 'sound', head: five.heads[5], entries: 2, notes: [] });
  broken(verifyAuditChain(crypto, five.records.slice(2), { ...expected, after }), 4, 'sequence');
});

test('[AUDIT-5] entries are signed by a key that was certified for audit at their time', () => {
  const day = 86_400_000;
  const old = testOrganisation('alpha.example', { not_after: TEST_EPOCH + 2 }, 'alpha.example');
  const ended = [mustBe(auditSigner(crypto, alpha.pinned, old.certificate.bytes))];
  broken(verifyAuditChain(crypto, five.records, { org: alpha.domain, signers: ended }), 3, 'signer_expired');
  const both = [...ended, ...signers];
  assert.equal(verifyAuditChain(crypto, five.records, { org: alpha.domain, signers: both }).kind, 'sound');
  broken(verifyAuditChain(crypto, five.records, { org: alpha.domain, signers: [] }), 1, 'unknown_signer');
  const frontend = testOrganisation('alpha.example', { usages: ['server'], not_after: TEST_EPOCH + day });
  assert.equal(auditSigner(crypto, alpha.pinned, frontend.certificate.bytes).ok, false);
  assert.equal(auditSigner(crypto, bravo.pinned, alpha.certificate.bytes).ok, false);
});

test('[AUDIT-9] time may step back and types may be newer: both are noted, neither breaks the log', () => {
  const back = logOf([event, { ...event, time: instant(TEST_EPOCH - 1) }, event]);
  const report = verifyAuditChain(crypto, back.records, expected);
  assert.deepEqual(report.kind === 'sound' && report.notes, [{ sequence: 2, kind: 'time_backwards' }]);
  const newer = rewritten(4, { type: 'quantum_leap' });
  const noted = verifyAuditChain(crypto, withRecord(4, newer), expected);
  assert.deepEqual(noted.kind === 'sound' && noted.notes, [{ sequence: 5, kind: 'unknown_type' }]);
});

test('[AUDIT-6] nothing that names a person gets into an entry', () => {
  const head = auditGenesis(crypto, alpha.domain);
  const refused = (changes: Omit<Partial<AuditEvent>, 'detail'> & { readonly detail?: Record<string, unknown> }) =>
    assert.throws(
      () => draftAuditEntry(crypto, head, { ...event, ...changes } as AuditEvent, alpha.server.publicKey),
      RangeError,
    );
  refused({ subject: 'user:ann@alpha.example' });
  refused({ subject: 'user:ann' });
  refused({ actor: 'officer:bob' });
  refused({ actor: 'stranger:x' });
  refused({ detail: { reason: 'asked by ann@alpha.example' } });
  refused({ detail: { nested: { a: 1 } } });
  refused({ detail: { ratio: 0.5 } });
  refused({ detail: {} });
  refused({ detail: { 'Not a name': 1 } });
  refused({ detail: { long: 'x'.repeat(513) } });
  refused({ type: 'gossip' as 'log_started' });
  assert.throws(() => auditParty('device', 'ann-laptop'), RangeError);
  for (const changes of [{ subject: 'user:ann' }, { detail: { who: 'ann@alpha.example' } }]) {
    broken(verifyAuditChain(crypto, withRecord(0, rewritten(0, changes)), expected), 1, 'malformed');
  }
  assert.equal(parseAuditEntry(rewritten(0, { subject: 'planet:earth' }).entry).ok, true);
  assert.equal(parseAuditEntry(rewritten(0, { version: 2 }).entry).ok, false);
});

test('[AUDIT-10] a pseudonym is stable under its key, differs by kind and id, and needs the key', () => {
  const of = (id: string, kind: 'user' | 'device' = 'user', under = key) => auditPseudonym(crypto, under, kind, id);
  assert.match(of('ann@alpha.example'), /^[0-9a-f]{32}$/);
  assert.equal(of('ann@alpha.example'), of('ann@alpha.example'));
  assert.notEqual(of('ann@alpha.example'), of('bob@alpha.example'));
  assert.notEqual(of('ann@alpha.example'), of('ann@alpha.example', 'device'));
  assert.notEqual(of('ann@alpha.example'), of('ann@alpha.example', 'user', crypto.blake3(key)));
  assert.throws(() => of('ann@alpha.example', 'user', new Uint8Array(16)), RangeError);
});

test('[AUDIT-12] the leaf of the Merkle log is the RFC 6962 hash of the entry', () => {
  const leaf = auditLeafHash(crypto, utf8('entry'));
  assert.equal(toHex(leaf), toHex(crypto.sha256(Uint8Array.of(0, ...utf8('entry')))));
});

test('[AUDIT-11] a log travels as lines and comes back the same', () => {
  const lines = five.records.map(encodeAuditLine);
  const back = lines.map((line) => mustBe(decodeAuditLine(line)));
  assert.equal(verifyAuditChain(crypto, back, expected).kind, 'sound');
  for (const bad of [
    '',
    '[]',
    '{}',
    '{"entry":{}}',
    '{"entry":{},"signature":1}',
    '{"entry":{},"signature":"AAAA"}',
    `${lines[0]} `,
  ]) {
    assert.equal(decodeAuditLine(bad).ok, false, bad);
  }
  assert.throws(() => encodeAuditLine({ entry: utf8('{ }'), signature: new Uint8Array(64) }), RangeError);
});
