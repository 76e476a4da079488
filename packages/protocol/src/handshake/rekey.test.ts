import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, seededRandom, TEST_EPOCH, testHandshake } from '@norc/testkit';
import fc from 'fast-check';
import {
  type ErrorName,
  type Instant,
  instant,
  LIMITS,
  MESSAGE_TYPES,
  type MessageId,
  type Result,
  toHex,
  utf8,
} from '../base/index.ts';
import { type BodyEncoding, decodeFrame, encodeBody } from '../wire/index.ts';
import { type ChannelInput, SecureChannel } from './channel.ts';
import { FrameSealer } from './frame-sealer.ts';
import { HybridOfferKeys } from './hybrid.ts';
import { type SessionKeyExchange, sessionKeyExchange } from './rekey.ts';
import { NORC_C_HELLO } from './roles.ts';
import { HYBRID_SUITES, suitesOf } from './suites.ts';
import { VERSION_1_2, VERSION_2_0, type Version } from './versions.ts';

const ID = '00112233445566778899aabbccddeeff' as MessageId; // 32 hexadecimal digits
const TYPE = 0x10;
const LATER = instant(TEST_EPOCH + 1000);

function ends(versions: readonly string[] = ['2.0'], suite = HYBRID_SUITES[0]) {
  assert.ok(suite !== undefined);
  const { initiator, responder } = testHandshake({
    role: NORC_C_HELLO,
    initiator: { versions, suites: [suite] },
    responder: { versions },
  });
  return { initiator: initiator.channels.control, responder: responder.channels.control };
}

function reply(result: Result<ChannelInput>): Uint8Array {
  const input = mustBe(result);
  assert.ok(input.kind === 'rekey' && input.reply !== undefined);
  return input.reply;
}

function assertTalks(from: SecureChannel, to: SecureChannel): void {
  const opened = mustBe(to.open(from.seal(TYPE, ID, utf8('x')), LATER));
  assert.deepEqual(opened, { kind: 'message', type: TYPE, messageId: ID, body: utf8('x') });
}

function exchange({ initiator, responder }: ReturnType<typeof ends>, now: Instant = LATER): void {
  const accept = reply(responder.open(initiator.startRekey(), now));
  const confirm = reply(initiator.open(accept, now));
  assert.deepEqual(mustBe(responder.open(confirm, now)), { kind: 'rekey', reply: undefined });
}

for (const versions of [['2.0'], ['1.2']]) {
  for (const suite of HYBRID_SUITES) {
    test(`[CH-8] [CH-10] new keys inside a session (${versions}, ${suite}); both sides agree on them and go on`, () => {
      const both = ends(versions, suite);
      const before = toHex(both.initiator.transcriptHash);
      for (let round = 0; round < 3; round += 1) {
        assertTalks(both.initiator, both.responder);
        exchange(both);
        assert.deepEqual(both.initiator.transcriptHash, both.responder.transcriptHash);
        assertTalks(both.initiator, both.responder);
        assertTalks(both.responder, both.initiator);
      }
      assert.notEqual(toHex(both.initiator.transcriptHash), before);
    });
  }
}

test('[CH-9] each side changes its keys exactly after its own last old frame, with traffic under way', () => {
  const { initiator, responder } = ends();
  const offer = initiator.startRekey();
  const old1 = initiator.seal(TYPE, ID, utf8('old 1'));
  const accept = reply(responder.open(offer, LATER));
  const new1 = responder.seal(TYPE, ID, utf8('new 1'));
  assert.ok(responder.open(old1, LATER).ok);
  const old2 = initiator.seal(TYPE, ID, utf8('old 2'));
  assert.ok(responder.open(old2, LATER).ok);
  const confirm = reply(initiator.open(accept, LATER));
  assert.ok(initiator.open(new1, LATER).ok);
  const new2 = initiator.seal(TYPE, ID, utf8('new 2'));
  assert.ok(responder.open(confirm, LATER).ok);
  assert.ok(responder.open(new2, LATER).ok);
});

test('[CH-9] [CH-3] sequence and hash chain go on across new keys, and no offset is sent again', () => {
  const both = ends();
  const header = (frame: Uint8Array) => mustBe(decodeFrame(frame)).header;
  const first = both.initiator.seal(TYPE, ID, utf8('x'));
  assert.ok(both.responder.open(first, LATER).ok);
  exchange(both);
  const next = both.initiator.seal(TYPE, ID, utf8('x'));
  // first, offer, confirm, next
  assert.equal(header(next).sequence, header(first).sequence + 3);
  assert.notDeepEqual(header(next).prevHash, new Uint8Array(32));
});

test('[CH-9] after the change nothing opens under the old keys: a frame kept back or recorded is refused', () => {
  const { initiator, responder } = ends();
  const accept = reply(responder.open(initiator.startRekey(), LATER));
  const kept = initiator.seal(TYPE, ID, utf8('kept back'));
  const confirm = reply(initiator.open(accept, LATER));
  const result = responder.open(confirm, LATER);
  assert.equal(result.ok ? 'opened' : result.error.code, 'frame_rejected');
  assert.equal(responder.open(kept, LATER).ok, false);
});

test('[CH-7] [CH-11] keys are due after 10,000 frames or 60 minutes, 10 % more or less, and overdue at twice that', () => {
  const minutes = (n: number) => instant(TEST_EPOCH + n * 60_000);
  const dueAt: number[] = [];
  for (let i = 0; i < 30; i += 1) {
    const { channels } = testHandshake({ role: NORC_C_HELLO, random: seededRandom(`jitter ${i}`) }).initiator;
    assert.equal(channels.control.keyAge(minutes(53.9)), 'fresh');
    assert.equal(channels.control.rekeyDue(minutes(66.1)), true);
    assert.equal(channels.control.keyAge(minutes(132.1)), 'overdue');
    const first = [...Array(130).keys()].find((step) => channels.control.rekeyDue(minutes(53 + step / 10)));
    dueAt.push(first ?? -1);
  }
  assert.ok(new Set(dueAt).size > 10, 'jitter spreads the sessions');
});

test('[CH-7] the age counts from the last exchange', () => {
  const both = ends();
  const hours = (n: number) => instant(TEST_EPOCH + n * LIMITS.rekeyMillisecondsMax);
  exchange(both, hours(1));
  for (const side of [both.initiator, both.responder]) {
    assert.equal(side.keyAge(hours(1.8)), 'fresh');
    assert.equal(side.keyAge(hours(2.2)), 'due');
  }
});

test('[CH-7] frames of either direction count', () => {
  const { initiator, responder } = ends();
  for (let i = 0; i < 1.1 * LIMITS.rekeyFramesMax; i += 1) {
    mustBe(initiator.open(responder.seal(TYPE, ID, utf8('')), TEST_EPOCH));
  }
  assert.equal(initiator.rekeyDue(TEST_EPOCH), true);
  assert.equal(responder.keyAge(TEST_EPOCH), 'due');
  assert.equal(responder.rekeyDue(TEST_EPOCH), false, 'only the initiator offers');
  exchange({ initiator, responder });
  assert.equal(initiator.rekeyDue(LATER), false);
  assert.equal(responder.keyAge(LATER), 'fresh');
});

test('[CH-8] only the initiator offers, and one exchange at a time', () => {
  const { initiator, responder } = ends();
  assert.throws(() => responder.startRekey(), TypeError);
  initiator.startRekey();
  assert.throws(() => initiator.startRekey(), TypeError);
  assert.equal(initiator.rekeyDue(instant(TEST_EPOCH + 10 * LIMITS.rekeyMillisecondsMax)), false);
});

/** A peer that holds the right keys and breaks the rules of the exchange. */
class RulebreakingPeer {
  readonly victim: SecureChannel;
  readonly #sealer: FrameSealer;
  readonly #encoding: BodyEncoding;

  constructor(victimSide: 'initiator' | 'responder', version: Version = VERSION_2_0) {
    const [suite] = suitesOf(HYBRID_SUITES);
    assert.ok(suite !== undefined);
    const direction = { crypto: nodeCrypto, version, suite, transcriptHash: new Uint8Array(32) };
    const key = () => ({ key: new Uint8Array(32).fill(1), iv: new Uint8Array(12) });
    const init = { random: seededRandom('rules'), keyClass: 'control', side: victimSide, now: TEST_EPOCH } as const;
    this.victim = new SecureChannel({ ...direction, ...init, keys: { c2s: key(), s2c: key() } });
    this.#sealer = new FrameSealer({ ...direction, keys: key() }, 1);
    this.#encoding = version.major === 2 ? 'cbor' : 'json';
  }

  send(body: SessionKeyExchange | Uint8Array, id: MessageId = ID): Result<ChannelInput> {
    const bytes = body instanceof Uint8Array ? body : encodeBody(sessionKeyExchange, body, this.#encoding);
    return this.victim.open(this.#sealer.seal(MESSAGE_TYPES.session_key_exchange, id, bytes), LATER);
  }
}

function refusedAndDead(peer: RulebreakingPeer, result: Result<ChannelInput>, code: ErrorName): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
  const after = peer.send({ step: 'confirm' });
  assert.equal(after.ok ? 'accepted' : after.error.code, 'frame_rejected');
}

test('[CH-8] a step out of place ends the channel', () => {
  for (const step of ['accept', 'confirm'] as const) {
    const peer = new RulebreakingPeer('responder');
    refusedAndDead(peer, peer.send({ step }), 'unexpected_message');
  }
  const offerToInitiator = new RulebreakingPeer('initiator');
  refusedAndDead(offerToInitiator, offerToInitiator.send({ step: 'offer' }), 'unexpected_message');
  const confirmFirst = new RulebreakingPeer('initiator');
  const offer = mustBe(decodeFrame(confirmFirst.victim.startRekey()));
  refusedAndDead(confirmFirst, confirmFirst.send({ step: 'confirm' }, offer.header.messageId), 'unexpected_message');
  const otherId = new RulebreakingPeer('initiator');
  otherId.victim.startRekey();
  refusedAndDead(otherId, otherId.send({ step: 'accept' }), 'unexpected_message');
  const otherConfirm = new RulebreakingPeer('responder');
  assert.ok(otherConfirm.send(goodOffer()).ok);
  const another = 'ffeeddccbbaa99887766554433221100' as MessageId; // 32 hexadecimal digits
  refusedAndDead(otherConfirm, otherConfirm.send({ step: 'confirm' }, another), 'unexpected_message');
});

function goodOffer(): SessionKeyExchange {
  const { offer } = new HybridOfferKeys(nodeCrypto, seededRandom('offer'));
  return { step: 'offer', nonce: new Uint8Array(16), ephemeral_pub: offer.ephemeralPub, pq_pub: offer.pqPub };
}

test('[CH-8] an exchange without its fields, with bad keys or a bad body ends the channel', () => {
  const nonce = new Uint8Array(16);
  const bodies: readonly (readonly [SessionKeyExchange | Uint8Array, ErrorName])[] = [
    [{ step: 'offer' }, 'missing_field'],
    [{ step: 'offer', nonce, ephemeral_pub: new Uint8Array(32) }, 'missing_field'],
    [{ step: 'offer', nonce, ephemeral_pub: new Uint8Array(32), pq_pub: new Uint8Array(1184) }, 'crypto'],
    [utf8('not a body'), 'wrong_type'],
  ];
  for (const [body, code] of bodies) {
    const peer = new RulebreakingPeer('responder');
    refusedAndDead(peer, peer.send(body), code);
  }
  const incomplete = new RulebreakingPeer('initiator');
  const { messageId } = mustBe(decodeFrame(incomplete.victim.startRekey())).header;
  refusedAndDead(incomplete, incomplete.send({ step: 'accept', nonce }, messageId), 'missing_field');
  const lowOrder = new RulebreakingPeer('initiator', VERSION_1_2);
  const id = mustBe(decodeFrame(lowOrder.victim.startRekey())).header.messageId;
  const zeros = { ephemeral_pub: new Uint8Array(32), pq_ciphertext: new Uint8Array(1088) };
  refusedAndDead(lowOrder, lowOrder.send({ step: 'accept', nonce, ...zeros }, id), 'crypto');
});

test('[CH-8] whatever bytes stand for an exchange, the answer is a refusal and never an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(VERSION_2_0, VERSION_1_2), (body, version) => {
      assert.equal(new RulebreakingPeer('responder', version).send(body).ok, false);
    }),
  );
});

test('[CH-6] closing in the middle of an exchange leaves no keys behind', () => {
  const { initiator, responder } = ends();
  responder.open(initiator.startRekey(), LATER);
  initiator.close();
  responder.close();
  assert.throws(() => initiator.startRekey(), TypeError);
  assert.throws(() => responder.seal(TYPE, ID, utf8('x')), TypeError);
});
