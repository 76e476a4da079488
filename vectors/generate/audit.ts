import { nodeCrypto } from '@norc/crypto/node';
import {
  type AuditEvent,
  type AuditHead,
  auditGenesis,
  auditHash,
  auditLeafHash,
  auditParty,
  auditPseudonym,
  auditSigningInput,
  draftAuditEntry,
  encodeAuditLine,
} from '@norc/protocol/audit';
import { type AuditType, instant, toBase64Url, toHex, utf8 } from '@norc/protocol/base';
import { canonicalJson, type JsonObject, parseJson } from '@norc/protocol/wire';
import { mustBe, TEST_EPOCH, type TestOrganisation, testOrganisation } from '@norc/testkit';
import { type VectorFile, writeWhenRun } from './files.ts';

/** Test vectors for spec/audit-log. */

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const key = nodeCrypto.blake3(utf8('pseudonym key'));
const pseudonym = (kind: 'user' | 'device' | 'officer', id: string) => auditPseudonym(nodeCrypto, key, kind, id);
const ann = auditParty('user', pseudonym('user', 'ann@alpha.example'));
const officer = auditParty('officer', pseudonym('officer', 'officer-1'));

const event = (type: AuditType, seconds: number, more: Partial<AuditEvent> = {}): AuditEvent => ({
  time: instant(TEST_EPOCH + 1000 * seconds),
  type,
  actor: 'server:alpha.example',
  subject: 'org:alpha.example',
  outcome: 'ok',
  ...more,
});

const EVENTS: readonly AuditEvent[] = [
  event('log_started', 0, { actor: 'system:norc', detail: { version: '0.1.0' } }),
  event('user_added', 1, { actor: officer, subject: ann }),
  event('device_registered', 2, { actor: ann, subject: auditParty('device', pseudonym('device', 'laptop')) }),
  event('trust_requested', 3, { actor: officer, subject: 'org:bravo.example', detail: { level: 'basic' } }),
  event('relay_refused', 4, {
    actor: 'org:bravo.example',
    subject: ann,
    outcome: 'refused',
    detail: { code: 5004, count: 3 },
  }),
];

interface Line {
  readonly entry: Uint8Array;
  readonly signature: Uint8Array;
}

interface Log {
  readonly lines: readonly Line[];
  readonly heads: readonly AuditHead[];
}

function logOf(events: readonly AuditEvent[], org: TestOrganisation = alpha): Log {
  const lines: Line[] = [];
  const heads: AuditHead[] = [auditGenesis(nodeCrypto, org.domain)];
  for (const one of events) {
    const draft = draftAuditEntry(
      nodeCrypto,
      heads.at(-1) ?? auditGenesis(nodeCrypto, org.domain),
      one,
      org.server.publicKey,
    );
    lines.push({ entry: draft.entry, signature: nodeCrypto.ed25519.sign(org.server.privateKey, draft.signingInput) });
    heads.push({ sequence: draft.sequence, hash: draft.hash });
  }
  return { lines, heads };
}

const log = logOf(EVENTS);
const shown = (lines: readonly Line[]) => lines.map(encodeAuditLine);
const at = (index: number): Line => log.lines[index] ?? { entry: new Uint8Array(), signature: new Uint8Array() };

/** The entry with other fields, in its place, signed by the real key. */
function rewritten(index: number, changes: Readonly<Record<string, unknown>>): Line {
  const fields = mustBe(parseJson(at(index).entry, { bytesMax: 8192 })) as JsonObject; // an entry is an object
  const entry = canonicalJson({ ...fields, ...changes } as JsonObject); // the changes are JSON
  const hash = auditHash(nodeCrypto, log.heads[index]?.hash ?? new Uint8Array(), entry);
  return { entry, signature: nodeCrypto.ed25519.sign(alpha.server.privateKey, auditSigningInput(hash)) };
}

const withLine = (index: number, line: Line) => log.lines.map((one, place) => (place === index ? line : one));
const certificates = (org: TestOrganisation) => [new TextDecoder().decode(org.certificate.bytes)];
const base = { org: alpha.domain, root_key: toHex(alpha.root.publicKey), server_certificates: certificates(alpha) };
const head = { sequence: EVENTS.length, hash: toHex(log.heads[EVENTS.length]?.hash ?? new Uint8Array()) };

const back = logOf([event('server_started', 10), event('server_started', 9), event('server_started', 11)]);

const valid: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'chain',
    about:
      'lines: a whole log in its exported form; org, root_key and server_certificates: what the verifier knows; head: of the ' +
      'log; genesis: the hash before the first entry; notes: what an auditor should look at. after, where present: the log ' +
      'goes on from this head.',
    cases: [
      {
        name: 'five entries',
        ...base,
        genesis: toHex(log.heads[0]?.hash ?? new Uint8Array()),
        lines: shown(log.lines),
        head,
        notes: [],
      },
      {
        name: 'the rest of a log',
        ...base,
        after: { sequence: 3, hash: toHex(log.heads[3]?.hash ?? new Uint8Array()) },
        lines: shown(log.lines.slice(3)),
        head,
        notes: [],
      },
      {
        name: 'time steps back',
        ...base,
        lines: shown(back.lines),
        head: { sequence: 3, hash: toHex(back.heads[3]?.hash ?? new Uint8Array()) },
        notes: [{ sequence: 2, kind: 'time_backwards' }],
      },
    ],
  },
  {
    outcome: 'valid',
    kind: 'pseudonym',
    about: 'pseudonym: of an id of this kind under the key.',
    cases: [
      {
        name: 'a user',
        key: toHex(key),
        kind: 'user',
        id: 'ann@alpha.example',
        pseudonym: pseudonym('user', 'ann@alpha.example'),
      },
      {
        name: 'the same text as a device',
        key: toHex(key),
        kind: 'device',
        id: 'ann@alpha.example',
        pseudonym: pseudonym('device', 'ann@alpha.example'),
      },
    ],
  },
  {
    outcome: 'valid',
    kind: 'leaf',
    about: 'entry: canonical JSON of an entry; leaf_hash: its leaf in the Merkle log, RFC 6962 with SHA-256.',
    cases: [
      {
        name: 'the first entry',
        entry: new TextDecoder().decode(at(0).entry),
        leaf_hash: toHex(auditLeafHash(nodeCrypto, at(0).entry)),
      },
    ],
  },
];

const broken = (name: string, lines: readonly Line[], sequence: number, fault: string, error: string, more = {}) => ({
  name,
  ...base,
  lines: shown(lines),
  ...more,
  sequence,
  fault,
  error,
});
const expired = testOrganisation('alpha.example', { not_after: TEST_EPOCH + 2000 });
const foreignHash = toBase64Url(nodeCrypto.blake3(utf8('elsewhere')));

const invalid: readonly VectorFile[] = [
  {
    outcome: 'invalid',
    kind: 'chain',
    about:
      'As in valid/chain.json; contains: a head known from elsewhere. sequence: the first broken entry; fault: what is wrong ' +
      'with it; error: the code that stands for the fault.',
    cases: [
      broken('an entry is missing', log.lines.toSpliced(2, 1), 3, 'sequence', 'log_gap'),
      broken('the first entry is missing', log.lines.slice(1), 1, 'sequence', 'log_gap'),
      broken('an entry twice', log.lines.toSpliced(2, 0, at(1)), 3, 'sequence', 'log_gap'),
      broken('two entries exchanged', [at(0), at(2), at(1), at(3), at(4)], 2, 'sequence', 'log_gap'),
      broken(
        'an entry replaced by another one, signed by the real key',
        withLine(1, rewritten(1, { outcome: 'failed' })),
        3,
        'prev_hash',
        'log_fork',
      ),
      broken(
        'an entry that follows something else',
        withLine(2, rewritten(2, { prev_hash: foreignHash })),
        3,
        'prev_hash',
        'log_fork',
      ),
      broken(
        'the log of another organisation',
        logOf([event('server_started', 0)], bravo).lines,
        1,
        'prev_hash',
        'log_fork',
      ),
      broken(
        'a signature of another entry',
        withLine(2, { ...at(2), signature: at(1).signature }),
        3,
        'signature',
        'signature_invalid',
      ),
      broken(
        'an entry changed after signing',
        withLine(4, { ...rewritten(4, { outcome: 'ok' }), signature: at(4).signature }),
        5,
        'signature',
        'signature_invalid',
      ),
      broken(
        'a signer that nobody certified',
        withLine(4, rewritten(4, { signer: '0'.repeat(32) })),
        5,
        'unknown_signer',
        'certificate_invalid',
      ),
      broken('a signer whose certificate was over', log.lines, 3, 'signer_expired', 'certificate_expired', {
        server_certificates: certificates(expired),
      }),
      broken('a plain name of a user', withLine(4, rewritten(4, { subject: 'user:ann' })), 5, 'malformed', 'malformed'),
      broken(
        'an address of a user in the detail',
        withLine(4, rewritten(4, { detail: { who: 'ann@alpha.example' } })),
        5,
        'malformed',
        'malformed',
      ),
      broken(
        'a detail that is nested',
        withLine(4, rewritten(4, { detail: { a: { b: 1 } } })),
        5,
        'malformed',
        'malformed',
      ),
      broken('a later version of the format', withLine(4, rewritten(4, { version: 2 })), 5, 'malformed', 'malformed'),
      broken('the end is cut off', log.lines.slice(0, 3), 4, 'ends_early', 'truncated', { contains: head }),
      broken('a known head is not in it', back.lines, 3, 'hash', 'log_fork', {
        contains: { sequence: 3, hash: toHex(log.heads[3]?.hash ?? new Uint8Array()) },
      }),
    ],
  },
];

export const auditVectors: readonly VectorFile[] = [...valid, ...invalid];

writeWhenRun(import.meta, 'audit', auditVectors);
