import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, seededRandom, TEST_EPOCH, testHandshake } from '@norc/testkit';
import fc from 'fast-check';
import { LIMITS, type MessageId, type Random, toHex, utf8 } from '../base/index.ts';
import type { ChannelKeys } from '../crypto/index.ts';
import { decodeFrame, FRAME_HEADER_BYTES, frameAad, frameNonce, padBody, unpadBody } from '../wire/index.ts';
import { type ChannelSide, SecureChannel } from './channel.ts';
import { type FrameFault, FrameOpener } from './frame-opener.ts';
import { FrameSealer } from './frame-sealer.ts';
import { NORC_C_HELLO, NORC_F_HELLO } from './roles.ts';
import { HYBRID_SUITES, type HybridSuiteName, suitesOf } from './suites.ts';
import { VERSION_1_2, VERSION_2_0, type Version } from './versions.ts';

const ID = '00112233445566778899aabbccddeeff' as MessageId; // 32 hexadecimal digits
const TYPE = 0x10;
const fill = (length: number, value: number) => new Uint8Array(length).fill(value);
const TRANSCRIPT = fill(32, 9);

function suiteOf(name: HybridSuiteName) {
  const [suite] = suitesOf([name]);
  assert.ok(suite !== undefined);
  return suite;
}

function keys(): ChannelKeys {
  return { c2s: { key: fill(32, 1), iv: fill(12, 2) }, s2c: { key: fill(32, 3), iv: fill(12, 4) } };
}

function channel(
  side: ChannelSide,
  options: { version?: Version; suite?: HybridSuiteName; random?: Random } = {},
): SecureChannel {
  return new SecureChannel({
    crypto: nodeCrypto,
    random: options.random ?? seededRandom(`channel ${side}`),
    version: options.version ?? VERSION_2_0,
    suite: suiteOf(options.suite ?? 'hybrid_chacha20_blake3'),
    keys: keys(),
    keyClass: 'control',
    transcriptHash: TRANSCRIPT,
    side,
    now: TEST_EPOCH,
  });
}

const bothEnds = () => ({ initiator: channel('initiator'), responder: channel('responder') });

function assertDead(opener: SecureChannel, frame: Uint8Array, fault: FrameFault): void {
  const result = opener.open(frame, TEST_EPOCH);
  assert.ok(!result.ok);
  assert.deepEqual(result.error, { code: 'frame_rejected', detail: 'frame', fault });
}

for (const suite of HYBRID_SUITES) {
  for (const version of [VERSION_2_0, VERSION_1_2]) {
    test(`any sequence of bodies comes through, in both directions (${suite}, ${version.major}.${version.minor})`, () => {
      const initiator = channel('initiator', { suite, version });
      const responder = channel('responder', { suite, version });
      fc.assert(
        fc.property(
          fc.boolean(),
          fc.integer({ min: 0, max: 255 }).filter((type) => type !== 0x32),
          fc.uint8Array({ maxLength: 2000 }),
          (forward, type, body) => {
            const [from, to] = forward ? [initiator, responder] : [responder, initiator];
            const opened = mustBe(to.open(from.seal(type, ID, body), TEST_EPOCH));
            assert.deepEqual(opened, { kind: 'message', type, messageId: ID, body });
          },
        ),
      );
    });
  }
}

test('[CH-1] [CH-2] [CH-3] [CH-4] a frame is what the specification spells out, bit for bit', () => {
  const initiator = channel('initiator');
  const bodies = [utf8('one'), utf8('two'), fill(5000, 7)];
  let prevHash: Uint8Array = new Uint8Array(32);
  let start: number | undefined;
  for (const [index, body] of bodies.entries()) {
    const { header, ciphertext } = mustBe(decodeFrame(initiator.seal(TYPE, ID, body)));
    start ??= header.sequence;
    assert.ok(start < 2 ** 24);
    assert.equal(header.sequence, start + index);
    assert.deepEqual(header.prevHash, prevHash);
    const aad = frameAad(header, ciphertext.length, TRANSCRIPT);
    const nonce = frameNonce(fill(12, 2), header.sequence);
    const plaintext = nodeCrypto.aead['chacha20-poly1305'].open(fill(32, 1), nonce, aad, ciphertext);
    assert.deepEqual(plaintext, padBody(body, index === 0 ? start : undefined));
    prevHash = blake3(ciphertext);
  }
});

test('[CH-1] sequences begin anywhere in 24 bits, each direction at its own place', () => {
  const starts = Array.from({ length: 40 }, (_, i) => {
    const one = channel('initiator', { random: seededRandom(`start ${i}`) });
    return mustBe(decodeFrame(one.seal(TYPE, ID, utf8('')))).header.sequence;
  });
  assert.equal(new Set(starts).size, starts.length);
  assert.ok(starts.some((start) => start > 2 ** 23) && starts.some((start) => start < 2 ** 23));
});

test('[CH-5] any change of any bit of a frame ends the channel with one and the same error', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 3 }), (at, bit, before) => {
      const { initiator, responder } = bothEnds();
      for (let i = 0; i < before; i += 1) mustBe(responder.open(initiator.seal(TYPE, ID, utf8('x')), TEST_EPOCH));
      const frame = initiator.seal(TYPE, ID, utf8('body'));
      const changed = Uint8Array.from(frame);
      changed[at % frame.length] = (changed[at % frame.length] ?? 0) ^ (1 << bit);
      const result = responder.open(changed, TEST_EPOCH);
      assert.equal(result.ok ? 'opened' : result.error.code, 'frame_rejected');
      assertDead(responder, frame, 'closed');
    }),
    { numRuns: 300 },
  );
});

test('[CH-5] a frame cut anywhere, or with bytes after it, is refused', () => {
  fc.assert(
    fc.property(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 20 }), (at, more) => {
      const cut = bothEnds();
      const frame = cut.initiator.seal(TYPE, ID, utf8('body'));
      assertDead(cut.responder, frame.subarray(0, at % frame.length), 'header');
      const longer = bothEnds();
      const long = Uint8Array.from([...longer.initiator.seal(TYPE, ID, utf8('body')), ...more]);
      assertDead(longer.responder, long, 'header');
    }),
    { numRuns: 60 },
  );
});

test('[CH-5] replayed, repeated, left out or reordered: whatever is not the next frame ends the channel', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 8 }), (order) => {
      const { initiator, responder } = bothEnds();
      const frames = Array.from({ length: 6 }, (_, i) => initiator.seal(TYPE, ID, Uint8Array.of(i)));
      let expected = 0;
      let dead = false;
      for (const index of order) {
        const result = responder.open(frames[index] ?? new Uint8Array(0), TEST_EPOCH);
        dead ||= index !== expected;
        assert.equal(result.ok, !dead);
        expected += 1;
      }
    }),
  );
});

test('[CH-5] the error does not tell the sender why; our own metrics know', () => {
  const cases: readonly (readonly [FrameFault, (frame: Uint8Array) => void])[] = [
    ['version', (frame) => frame.set([0x21], 0)],
    ['sequence', (frame) => frame.set([1], 26)],
    ['prev_hash', (frame) => frame.set([1], 30)],
    ['tag', (frame) => frame.set([0x11], 1)],
    ['tag', (frame) => frame.set([0xff], FRAME_HEADER_BYTES + 3)],
  ];
  for (const [fault, change] of cases) {
    const { initiator, responder } = bothEnds();
    const frame = initiator.seal(TYPE, ID, utf8('body'));
    change(frame);
    assertDead(responder, frame, fault);
  }
});

test('[CH-1] a later frame with another sequence is refused for that, whatever its tag', () => {
  const { initiator, responder } = bothEnds();
  assert.ok(responder.open(initiator.seal(TYPE, ID, utf8('x')), TEST_EPOCH).ok);
  const frame = initiator.seal(TYPE, ID, utf8('x'));
  frame[29] = (frame[29] ?? 0) ^ 1;
  assertDead(responder, frame, 'sequence');
});

test('[CH-2] a first frame whose hidden offset differs from its header is refused', () => {
  const suite = suiteOf('hybrid_chacha20_blake3');
  const direction = { crypto: nodeCrypto, version: VERSION_2_0, suite, transcriptHash: TRANSCRIPT };
  const header = { version: VERSION_2_0, type: TYPE, messageId: ID, sequence: 5, prevHash: new Uint8Array(32) };
  for (const [offset, accepted] of [
    [5, true],
    [6, false],
  ] as const) {
    const plaintext = padBody(utf8('x'), offset);
    const aad = frameAad(header, plaintext.length + 16, TRANSCRIPT);
    const nonce = frameNonce(fill(12, 2), 5);
    const ciphertext = nodeCrypto.aead['chacha20-poly1305'].seal(fill(32, 1), nonce, aad, plaintext);
    const honest = new FrameSealer({ ...direction, keys: keys().c2s }, 5).seal(TYPE, ID, utf8('x'));
    const frame = Uint8Array.from([...honest.subarray(0, FRAME_HEADER_BYTES), ...ciphertext]);
    const opener = new FrameOpener({ ...direction, keys: keys().c2s });
    const result = opener.open(frame);
    assert.equal(result.ok, accepted);
    if (!result.ok) assert.equal(result.error.fault, 'plaintext');
  }
});

test('[CH-1] a first frame that begins above 24 bits is refused', () => {
  const suite = suiteOf('hybrid_chacha20_blake3');
  const direction = { crypto: nodeCrypto, version: VERSION_2_0, suite, transcriptHash: TRANSCRIPT };
  const frame = new FrameSealer({ ...direction, keys: keys().c2s }, 2 ** 24).seal(TYPE, ID, utf8('x'));
  const result = new FrameOpener({ ...direction, keys: keys().c2s }).open(frame);
  assert.ok(!result.ok && result.error.fault === 'sequence');
});

test('[CH-4] a frame of another channel, direction or stream does not open', () => {
  const one = testHandshake({ role: NORC_C_HELLO, random: seededRandom('one') });
  const two = testHandshake({ role: NORC_C_HELLO, random: seededRandom('two') });
  const frame = one.initiator.channels.control.seal(TYPE, ID, utf8('x'));
  assertDead(two.responder.channels.control, frame, 'tag');
  assertDead(one.initiator.channels.control, frame, 'tag');
  const link = testHandshake({ role: NORC_F_HELLO });
  const bulk = link.initiator.channels.bulk.seal(TYPE, ID, utf8('x'));
  assertDead(link.responder.channels.interactive, bulk, 'tag');
  assert.ok(link.responder.channels.bulk.open(bulk, TEST_EPOCH).ok);
});

test('[CH-4] the length of what is said does not show: bodies of one bucket give frames of one length', () => {
  const { initiator } = bothEnds();
  const lengths = [0, 1, 100, 200].map((length) => initiator.seal(TYPE, ID, fill(length, 1)).length);
  assert.equal(new Set(lengths).size, 1);
});

test('[CH-6] a closed channel seals nothing and opens nothing, and its keys are gone', () => {
  const given = keys();
  const init = { crypto: nodeCrypto, random: seededRandom('close'), version: VERSION_2_0, keys: given } as const;
  const suite = suiteOf('hybrid_chacha20_blake3');
  const rest = { suite, keyClass: 'control', transcriptHash: TRANSCRIPT, side: 'initiator', now: TEST_EPOCH } as const;
  const closed = new SecureChannel({ ...init, ...rest });
  closed.close();
  for (const direction of [given.c2s, given.s2c]) {
    assert.deepEqual(direction.key, new Uint8Array(32));
    assert.deepEqual(direction.iv, new Uint8Array(12));
  }
  assert.throws(() => closed.seal(TYPE, ID, utf8('x')), TypeError);
  assertDead(closed, channel('responder').seal(TYPE, ID, utf8('x')), 'closed');
});

test("a body over the limit, a key exchange sealed by hand: our own faults, and the channel's sequence is unharmed", () => {
  const { initiator, responder } = bothEnds();
  assert.throws(() => initiator.seal(TYPE, ID, new Uint8Array(LIMITS.bodyBytesMax + 1)), RangeError);
  assert.throws(() => initiator.seal(0x32, ID, utf8('x')), RangeError);
  assert.throws(() => initiator.seal(256, ID, utf8('x')), RangeError);
  assert.ok(responder.open(initiator.seal(TYPE, ID, utf8('x')), TEST_EPOCH).ok);
  assert.ok(responder.open(initiator.seal(TYPE, ID, fill(LIMITS.bodyBytesMax, 1)), TEST_EPOCH).ok);
});

test('the example of the plaintext: length, body, zeros', () => {
  const opened = mustBe(unpadBody(padBody(utf8('hi'), 7), true));
  assert.deepEqual([toHex(opened.body), opened.sequenceOffset], ['6869', 7]);
});
