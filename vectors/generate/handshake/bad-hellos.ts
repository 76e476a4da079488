import { toHex } from '@norc/protocol/base';
import { canonicalJsonText, type JsonObject, type JsonValue } from '@norc/protocol/wire';
import type { VectorFile } from '../files.ts';
import { coveredAnswer, helloOf, NOW, signAnswer } from './hellos.ts';
import { base64, exchangeOf, named, organisation } from './reference.ts';

const exchange = exchangeOf('bad hello');
const nonce = named('bad hello client nonce', 16);
const lists = { versions: ['2.0', '1.2'], suites: ['0x0101', '0x0102'] };
const hello = helloOf('norc-c', lists, exchange, nonce);
const choice = {
  version: '2.0',
  compatibilityMode: false,
  suite: '0x0101',
  lists,
  exchange,
  nonce: named('bad hello server nonce', 16),
} as const;
const covered = coveredAnswer('norc-c', choice);
const alpha = organisation('alpha.example');
const bravo = organisation('bravo.example');
const zeroKey = base64(new Uint8Array(32));

const text = (change: JsonObject): string => canonicalJsonText({ ...hello, ...change });

function without(object: JsonObject, name: string): JsonObject {
  const { [name]: _, ...rest } = object;
  return rest;
}

const badHello = (name: string, message: string, error: string) => ({ name, hello: message, error });

function listOf(length: number, item: (index: number) => string): readonly string[] {
  return Array.from({ length }, (_, index) => item(index));
}

const badHellos = [
  badHello('only a later major', text({ client_versions: ['3.0'] }), 'no_compatible_version'),
  badHello('majors that are not adjacent', text({ client_versions: ['3.0', '1.2'] }), 'version_span'),
  badHello('a version twice', text({ client_versions: ['2.0', '2.0'] }), 'malformed'),
  badHello('too many versions', text({ client_versions: listOf(17, (i) => `2.${i}`) }), 'limit_exceeded'),
  badHello('only the classical suite', text({ suites: ['0x0001'] }), 'no_compatible_suite'),
  badHello('a suite twice', text({ suites: ['0x0101', '0x0101'] }), 'malformed'),
  badHello('no suites', canonicalJsonText(without(hello, 'suites')), 'missing_field'),
  badHello('no ML-KEM key', canonicalJsonText(without(hello, 'pq_pub')), 'missing_field'),
  badHello('a nonce of 15 bytes', text({ nonce: base64(new Uint8Array(15)) }), 'wrong_type'),
  badHello('a nonce in base64url', text({ nonce: '-_-_-_-_-_-_-_-_-_-_-w' }), 'wrong_type'),
  badHello('too many capabilities', text({ capabilities: listOf(65, (i) => `c${i}`) }), 'limit_exceeded'),
  badHello('an X25519 key of low order', text({ ephemeral_pub: zeroKey }), 'crypto'),
  badHello(
    'an ML-KEM key with coefficients above q',
    text({ pq_pub: base64(new Uint8Array(1184).fill(255)) }),
    'crypto',
  ),
  badHello('another message in its place', text({ type: 'auth_response' }), 'unexpected_message'),
  badHello('a hello of a link', text({ type: 'federation_hello' }), 'unexpected_message'),
  badHello('over the limit', text({ padding: 'x'.repeat(16384) }), 'limit_exceeded'),
  badHello('a member twice', `{"type":"client_hello",${canonicalJsonText(hello).slice(1)}`, 'duplicate_key'),
  badHello('bytes after it', `${canonicalJsonText(hello)}{}`, 'trailing_bytes'),
  badHello('cut', canonicalJsonText(hello).slice(0, -1), 'truncated'),
];

interface BadAnswer {
  readonly name: string;
  readonly answer: JsonObject;
  readonly error: string;
  readonly newestMajorSeen?: number;
  readonly now?: number;
}

/** Fields of a malicious responder's choice, signed by the right key. */
const signed = (name: string, change: JsonObject, error: string): BadAnswer => ({
  name,
  answer: signAnswer('norc-c', hello, { ...covered, ...change }),
  error,
});

/** A good answer that somebody changed on its way. */
const changed = (name: string, change: JsonObject, error: string): BadAnswer => ({
  name,
  answer: { ...signAnswer('norc-c', hello, covered), ...change },
  error,
});

const certified = (name: string, certificate: JsonObject, error: string): BadAnswer =>
  signed(name, { server_certificate: certificate as JsonValue }, error);

const badAnswers: readonly BadAnswer[] = [
  signed(
    'a version that is not the highest',
    { negotiated_version: '1.2', compatibility_mode: true },
    'downgrade_refused',
  ),
  signed('a version that was not offered', { negotiated_version: '1.1' }, 'no_compatible_version'),
  signed('a wrong compatibility mode', { compatibility_mode: true }, 'malformed'),
  signed('a list that spans three majors', { server_versions: ['3.0', '2.0', '1.2'] }, 'version_span'),
  signed('a suite that is not the highest', { suite: '0x0102' }, 'suite_downgrade'),
  signed('the classical suite', { suite: '0x0001' }, 'suite_downgrade'),
  signed('an X25519 key of low order', { ephemeral_pub: zeroKey }, 'crypto'),
  changed('a field added on the way', { added: true }, 'transcript_mismatch'),
  changed('a nonce changed on the way', { nonce: base64(new Uint8Array(16)) }, 'transcript_mismatch'),
  changed('another signature', { signature: base64(new Uint8Array(64)) }, 'signature_invalid'),
  {
    name: 'signed by another server key',
    answer: signAnswer('norc-c', hello, covered, bravo.serverSeed),
    error: 'signature_invalid',
  },
  {
    name: 'signed as the answer of a link',
    answer: signAnswer('norc-c', hello, covered, alpha.serverSeed, 'norc-f-server-v1'),
    error: 'signature_invalid',
  },
  {
    name: 'an answer to another hello',
    answer: signAnswer('norc-c', { ...hello, nonce: base64(new Uint8Array(16)) }, covered),
    error: 'transcript_mismatch',
  },
  certified('a certificate of another organisation', bravo.certificate, 'certificate_invalid'),
  certified(
    'a certificate that names alpha.example, signed by another root key',
    forgedCertificate(),
    'certificate_invalid',
  ),
  certified(
    'a certificate without the usage server',
    organisation('alpha.example', { usages: ['audit'] }).certificate,
    'certificate_invalid',
  ),
  { ...signed('a certificate that is over', {}, 'certificate_expired'), now: 1_800_000_000_000 },
  {
    ...signed('a responder that was newer before', {}, 'downgrade_refused'),
    newestMajorSeen: 3,
  },
  { name: 'another message in its place', answer: hello, error: 'unexpected_message' },
  { name: 'an error', answer: { type: 'error', name: 'rate_limited' }, error: 'rate_limited' },
];

function forgedCertificate(): JsonObject {
  const { signatures } = bravo.certificate;
  return { ...alpha.certificate, signatures };
}

export const badHelloVectors: readonly VectorFile[] = [
  {
    outcome: 'invalid',
    kind: 'hello',
    about:
      'Hellos of a device (text messages) that a server with the versions 2.0, 1.2 and both hybrid suites must refuse.',
    cases: badHellos,
  },
  {
    outcome: 'invalid',
    kind: 'answer',
    about:
      'Answers (text messages) that the initiator of `hello` must refuse. It pinned `root_key` for alpha.example; `newest_major_seen` is what it remembers, 0 for nothing.',
    cases: badAnswers.map(({ name, answer, error, newestMajorSeen, now }) => ({
      name,
      initiator_nonce: toHex(nonce),
      initiator_x25519: toHex(exchange.initiatorX25519),
      initiator_ml_kem_seed: toHex(exchange.mlKemSeed),
      hello: canonicalJsonText(hello),
      answer: canonicalJsonText(answer),
      root_key: toHex(alpha.rootKey),
      now: now ?? NOW,
      newest_major_seen: newestMajorSeen ?? 0,
      error,
    })),
  },
];
