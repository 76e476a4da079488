import { toHex, utf8 } from '@norc/protocol/base';
import { type SessionKeyExchange, sessionKeyExchange } from '@norc/protocol/handshake';
import { type BodyEncoding, encodeBody } from '@norc/protocol/wire';
import type { VectorFile } from '../files.ts';
import {
  direction,
  exchangeOf,
  masterSecret,
  named,
  ReferenceSealer,
  runExchange,
  SUITES,
  type Suite,
  streamKeys,
  transcript,
} from './reference.ts';

const TYPE = 0x32;
const oldSecret = named('rekey old secret');
const oldHash = named('rekey old transcript hash');
export const REKEY_SEQUENCE = 0x010203;
/** The initiator draws the message id and its nonce; here they are the same 16 bytes. */
const initiatorNonce = named('rekey initiator nonce', 16);
const responderNonce = named('rekey responder nonce', 16);
const exchange = exchangeOf('rekey');

const encodingOf = (version: string): BodyEncoding => (version === '2.0' ? 'cbor' : 'json');
const encode = (version: string, body: SessionKeyExchange) => encodeBody(sessionKeyExchange, body, encodingOf(version));

function sealers(suite: Suite, version: string) {
  const sealer = (way: 'c2s' | 's2c') =>
    new ReferenceSealer(suite, version, direction(suite, oldSecret, way, 'control'), oldHash, REKEY_SEQUENCE);
  return { c2s: sealer('c2s'), s2c: sealer('s2c') };
}

function validRekey(suite: Suite, version: string) {
  const { c2s, s2c } = sealers(suite, version);
  const sent = runExchange(exchange);
  const offer = encode(version, {
    step: 'offer',
    nonce: initiatorNonce,
    ephemeral_pub: sent.initiatorPub,
    pq_pub: sent.pqPub,
  });
  const accept = encode(version, {
    step: 'accept',
    nonce: responderNonce,
    ephemeral_pub: sent.responderPub,
    pq_ciphertext: sent.pqCiphertext,
  });
  const hash = transcript('norc-rekey-v1', oldHash, offer, accept);
  const secret = masterSecret(suite, sent.sharedSecret, [initiatorNonce, responderNonce], hash);
  const [offerFrame, acceptFrame] = [c2s.seal(TYPE, initiatorNonce, offer), s2c.seal(TYPE, initiatorNonce, accept)];
  const confirmFrame = c2s.seal(TYPE, initiatorNonce, encode(version, { step: 'confirm' }));
  c2s.changeKeys(direction(suite, secret, 'c2s', 'control'), hash);
  s2c.changeKeys(direction(suite, secret, 's2c', 'control'), hash);
  const body = utf8('after');
  return {
    name: `suite ${suite}, version ${version}`,
    suite,
    version,
    ...streamKeys(suite, oldSecret, 'control'),
    transcript_hash: toHex(oldHash),
    initiator_nonce: toHex(initiatorNonce),
    initiator_x25519: toHex(exchange.initiatorX25519),
    initiator_ml_kem_seed: toHex(exchange.mlKemSeed),
    responder_nonce: toHex(responderNonce),
    responder_x25519: toHex(exchange.responderX25519),
    responder_ml_kem_message: toHex(exchange.mlKemMessage),
    sequence: REKEY_SEQUENCE,
    message_id: toHex(initiatorNonce),
    offer: toHex(offerFrame),
    accept: toHex(acceptFrame),
    confirm: toHex(confirmFrame),
    next_transcript_hash: toHex(hash),
    next_master_secret: toHex(secret),
    next: streamKeys(suite, secret, 'control'),
    body: toHex(body),
    c2s_frame: toHex(c2s.seal(0x10, initiatorNonce, body)),
    s2c_frame: toHex(s2c.seal(0x10, initiatorNonce, body)),
  };
}

function bad(name: string, body: Uint8Array, error: string) {
  const suite = '0x0101';
  const frame = sealers(suite, '2.0').c2s.seal(TYPE, initiatorNonce, body);
  return {
    name,
    suite,
    version: '2.0',
    ...streamKeys(suite, oldSecret, 'control'),
    transcript_hash: toHex(oldHash),
    frame: toHex(frame),
    error,
  };
}

const sent = runExchange(exchange);
const offerOf = (changes: Partial<SessionKeyExchange>) =>
  encode('2.0', {
    step: 'offer',
    nonce: initiatorNonce,
    ephemeral_pub: sent.initiatorPub,
    pq_pub: sent.pqPub,
    ...changes,
  });

export const rekeyVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'rekey',
    about:
      'New keys inside a session, whose two directions begin with these frames at `sequence`: offer and confirm from the initiator, accept from the responder, then one frame each way under the new keys.',
    cases: SUITES.flatMap((suite) => ['2.0', '1.2'].map((version) => validRekey(suite, version))),
  },
  {
    outcome: 'invalid',
    kind: 'rekey',
    about: "The initiator's first frame, authentic, that the responder must refuse.",
    cases: [
      bad('an accept without an offer', encode('2.0', { step: 'accept' }), 'unexpected_message'),
      bad('a confirm without an offer', encode('2.0', { step: 'confirm' }), 'unexpected_message'),
      bad('an offer without keys', encode('2.0', { step: 'offer', nonce: initiatorNonce }), 'missing_field'),
      bad('an X25519 key of low order', offerOf({ ephemeral_pub: new Uint8Array(32) }), 'crypto'),
      bad('an ML-KEM key that is none', offerOf({ pq_pub: new Uint8Array(1184).fill(255) }), 'crypto'),
      bad('an empty body', new Uint8Array(0), 'truncated'),
    ],
  },
];
