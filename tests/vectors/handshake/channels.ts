import assert from 'node:assert/strict';
import { nodeCrypto } from '@norc/crypto/node';
import { instant, type Random, type Result } from '@norc/protocol/base';
import { deriveChannelKeys } from '@norc/protocol/crypto';
import { parseVersion, SecureChannel } from '@norc/protocol/handshake';
import { nobleCrypto } from '@norc/testkit';
import { VectorCase } from '../harness.ts';
import { assertKeys, keysOf, messageId, must, scripted, suiteNamed, texts, uint24 } from './support.ts';

const crypto = nodeCrypto;

export function channelOf(
  vector: VectorCase,
  side: 'initiator' | 'responder',
  random: Random = EMPTY_CHANNEL,
): SecureChannel {
  return new SecureChannel({
    crypto: vector.has('responder_ml_kem_message')
      ? nobleCrypto(scripted(vector.hex('responder_ml_kem_message')))
      : crypto,
    random,
    version: must(parseVersion(vector.text('version'))),
    suite: suiteNamed(vector.text('suite')),
    keys: keysOf(vector),
    keyClass: 'control',
    transcriptHash: vector.hex('transcript_hash'),
    side,
    now: instant(0),
  });
}

export const EMPTY_CHANNEL = scripted(new Uint8Array(3), new Uint8Array(16).fill(1), new Uint8Array(32).fill(2));

/** A vector of one direction: the other direction's keys are never used. */
export function oneDirection(vector: VectorCase, side: 'initiator' | 'responder', random: Random): SecureChannel {
  const keys = () => ({ key: vector.hex('key'), iv: vector.hex('iv') });
  const [version, suite] = [must(parseVersion(vector.text('version'))), suiteNamed(vector.text('suite'))];
  const transcriptHash = vector.hex('transcript_hash');
  const rest = { crypto, random, keyClass: 'control', side, now: instant(0) } as const;
  return new SecureChannel({ ...rest, version, suite, transcriptHash, keys: { c2s: keys(), s2c: keys() } });
}

export function validFrames(vector: VectorCase): void {
  const sealer = oneDirection(vector, 'initiator', scripted(uint24(vector.number('sequence'))));
  const opener = oneDirection(vector, 'responder', EMPTY_CHANNEL);
  for (const value of vector.list('frames')) {
    const one = new VectorCase(value, 'frame');
    const [type, id, body, frame] = [one.number('type'), messageId(one), one.hex('body'), one.hex('frame')];
    assert.deepEqual(sealer.seal(type, id, body), frame);
    assert.deepEqual(must(opener.open(frame, instant(0))), { kind: 'message', type, messageId: id, body });
  }
}

export function invalidFrames(vector: VectorCase): Result<unknown> {
  const opener = oneDirection(vector, 'responder', EMPTY_CHANNEL);
  const frames = texts(vector, 'frames').map((text) => Uint8Array.from(Buffer.from(text, 'hex')));
  const last = frames.pop();
  assert.ok(last !== undefined);
  for (const frame of frames) must(opener.open(frame, instant(0)));
  return opener.open(last, instant(0));
}

export function validRekey(vector: VectorCase): void {
  const start = uint24(vector.number('sequence'));
  const secrets = [vector.hex('initiator_x25519'), vector.hex('initiator_ml_kem_seed')];
  const initiator = channelOf(vector, 'initiator', scripted(vector.hex('initiator_nonce'), ...secrets, start));
  const responderDraws = scripted(vector.hex('responder_nonce'), vector.hex('responder_x25519'), start);
  const responder = channelOf(vector, 'responder', responderDraws);
  assert.deepEqual(initiator.startRekey(), vector.hex('offer'));
  const accept = must(responder.open(vector.hex('offer'), instant(0)));
  assert.deepEqual(accept, { kind: 'rekey', reply: vector.hex('accept') });
  const confirm = must(initiator.open(vector.hex('accept'), instant(0)));
  assert.deepEqual(confirm, { kind: 'rekey', reply: vector.hex('confirm') });
  must(responder.open(vector.hex('confirm'), instant(0)));
  for (const one of [initiator, responder]) assert.deepEqual(one.transcriptHash, vector.hex('next_transcript_hash'));
  const [id, body] = [messageId(vector), vector.hex('body')];
  assert.deepEqual(initiator.seal(0x10, id, body), vector.hex('c2s_frame'));
  assert.deepEqual(responder.seal(0x10, id, body), vector.hex('s2c_frame'));
  const { hash } = suiteNamed(vector.text('suite'));
  const next = deriveChannelKeys(crypto, hash, vector.hex('next_master_secret'), 'control');
  assertKeys(next, vector.object('next'));
}
