import { toHex, utf8 } from '@norc/protocol/base';
import { canonicalJson, canonicalJsonText, type JsonObject } from '@norc/protocol/wire';
import type { VectorFile } from '../files.ts';
import {
  base64,
  direction,
  type Exchange,
  exchangeOf,
  masterSecret,
  named,
  organisation,
  ReferenceSealer,
  runExchange,
  SUITES,
  type Suite,
  sign,
  streamKeys,
  transcript,
} from './reference.ts';

export type Role = 'norc-c' | 'norc-f';
export const NOW = 1_790_000_000_000;
const alpha = organisation('alpha.example');

const NAMES = {
  'norc-c': {
    hello: 'client_hello',
    answer: 'server_hello',
    helloPrefix: 'client_',
    answerPrefix: 'server_',
    handshake: 'norc-c-handshake-v1',
    proof: 'norc-c-server-v1',
    streams: ['control'],
  },
  'norc-f': {
    hello: 'federation_hello',
    answer: 'federation_hello_response',
    helloPrefix: '',
    answerPrefix: '',
    handshake: 'norc-f-handshake-v1',
    proof: 'norc-f-server-v1',
    streams: ['control', 'interactive', 'bulk'],
  },
} as const;

/** The parties of a link and their trust certificates; who dials issued the first. */
function linkFields(origin: string, destination: string): JsonObject {
  const reference = (issuer: string) => ({
    certificate_id: base64(named(`trust of ${issuer}`, 16)),
    hash: base64(named(`trust hash of ${issuer}`)),
  });
  return { origin, destination, trust: { issued: reference(origin), held: reference(destination) } };
}

export interface Lists {
  readonly versions: readonly string[];
  readonly suites: readonly string[];
}

const BOTH: Lists = { versions: ['2.0', '1.2'], suites: ['0x0101', '0x0102'] };

export function helloOf(role: Role, lists: Lists, exchange: Exchange, nonce: Uint8Array): JsonObject {
  const { hello, helloPrefix } = NAMES[role];
  const { initiatorPub, pqPub } = runExchange(exchange);
  const extra =
    role === 'norc-c'
      ? {}
      : {
          ...linkFields('bravo.example', 'alpha.example'),
          server_certificate: organisation('bravo.example').certificate,
        };
  return {
    type: hello,
    [`${helloPrefix}versions`]: lists.versions,
    suites: lists.suites,
    capabilities: ['files', 'presence'],
    nonce: base64(nonce),
    ephemeral_pub: base64(initiatorPub),
    pq_pub: base64(pqPub),
    ...extra,
  };
}

interface Answer {
  readonly version: string;
  readonly compatibilityMode: boolean;
  readonly suite: Suite;
  readonly lists: Lists;
  readonly exchange: Exchange;
  readonly nonce: Uint8Array;
  readonly certificate?: JsonObject;
}

export function coveredAnswer(role: Role, answer: Answer): JsonObject {
  const { answer: type, answerPrefix } = NAMES[role];
  const { responderPub, pqCiphertext } = runExchange(answer.exchange);
  return {
    type,
    negotiated_version: answer.version,
    compatibility_mode: answer.compatibilityMode,
    suite: answer.suite,
    [`${answerPrefix}versions`]: answer.lists.versions,
    [`${answerPrefix}suites`]: answer.lists.suites,
    [`${answerPrefix}capabilities`]: ['files'],
    nonce: base64(answer.nonce),
    ephemeral_pub: base64(responderPub),
    pq_ciphertext: base64(pqCiphertext),
    server_certificate: answer.certificate ?? alpha.certificate,
    ...(role === 'norc-c' ? {} : linkFields('alpha.example', 'bravo.example')),
  };
}

export function answerHash(role: Role, hello: JsonObject, covered: JsonObject): Uint8Array {
  return transcript(NAMES[role].handshake, canonicalJson(hello), canonicalJson(covered));
}

/** `proof`: the label under which the server key signs. */
export function signAnswer(
  role: Role,
  hello: JsonObject,
  covered: JsonObject,
  seed: Uint8Array = alpha.serverSeed,
  proof: string = NAMES[role].proof,
): JsonObject {
  const hash = answerHash(role, hello, covered);
  return { ...covered, transcript_hash: base64(hash), signature: base64(sign(seed, utf8(proof), hash)) };
}

function validHandshake(role: Role, version: string, suite: Suite) {
  const name = `${role} ${version} ${suite}`;
  const exchange = exchangeOf(name);
  const nonces = [named(`${name} client nonce`, 16), named(`${name} server nonce`, 16)] as const;
  const initiator = { ...BOTH, suites: [suite] };
  const responder = { ...BOTH, versions: version === '2.0' ? BOTH.versions : ['1.2', '1.1', '1.0'] };
  const hello = helloOf(role, initiator, exchange, nonces[0]);
  const compatibilityMode = version !== '2.0';
  const choice = { version, compatibilityMode, suite, lists: responder, exchange, nonce: nonces[1] };
  const covered = coveredAnswer(role, choice);
  const hash = answerHash(role, hello, covered);
  const { sharedSecret } = runExchange(exchange);
  const secret = masterSecret(suite, sharedSecret, nonces, hash);
  return {
    name,
    role,
    initiator_versions: initiator.versions,
    initiator_suites: initiator.suites,
    initiator_nonce: toHex(nonces[0]),
    initiator_x25519: toHex(exchange.initiatorX25519),
    initiator_ml_kem_seed: toHex(exchange.mlKemSeed),
    hello: canonicalJsonText(hello),
    responder_versions: responder.versions,
    responder_suites: responder.suites,
    responder_nonce: toHex(nonces[1]),
    responder_x25519: toHex(exchange.responderX25519),
    responder_ml_kem_message: toHex(exchange.mlKemMessage),
    responder_signing_seed: toHex(alpha.serverSeed),
    answer: canonicalJsonText(signAnswer(role, hello, covered)),
    root_key: toHex(alpha.rootKey),
    now: NOW,
    version,
    compatibility_mode: compatibilityMode,
    suite,
    transcript_hash: toHex(hash),
    shared_secret: toHex(sharedSecret),
    master_secret: toHex(secret),
    streams: NAMES[role].streams.map((stream) => ({
      stream,
      ...streamKeys(suite, secret, stream),
      ...firstFrames(version, suite, secret, stream, hash),
    })),
  };
}

export const INITIATOR_START = 0x010203;
export const RESPONDER_START = 0xfffefd;
export const MESSAGE_ID = named('message id', 16);

/** One ping each way. */
function firstFrames(version: string, suite: Suite, secret: Uint8Array, stream: string, hash: Uint8Array): JsonObject {
  const body = version === '2.0' ? Uint8Array.of(0xa0) : utf8('{}');
  const sealer = (way: 'c2s' | 's2c', start: number) =>
    new ReferenceSealer(suite, version, direction(suite, secret, way, stream), hash, start);
  return {
    message_id: toHex(MESSAGE_ID),
    body: toHex(body),
    c2s_frame: toHex(sealer('c2s', INITIATOR_START).seal(0xf0, MESSAGE_ID, body)),
    s2c_frame: toHex(sealer('s2c', RESPONDER_START).seal(0xf1, MESSAGE_ID, body)),
  };
}

export const helloVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'hello',
    about:
      'Whole handshakes with the secrets of both sides. `hello` and `answer` are the text messages; the responder is alpha.example. Per stream: keys, and the first frame of each direction, a ping (f0) from the initiator with sequence 0x010203 and a pong (f1) from the responder with sequence 0xfffefd.',
    cases: (['norc-c', 'norc-f'] as const).flatMap((role) =>
      ['2.0', '1.2'].flatMap((version) => SUITES.map((suite) => validHandshake(role, version, suite))),
    ),
  },
];
