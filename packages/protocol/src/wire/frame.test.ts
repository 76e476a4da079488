import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { idFromBytes, LIMITS, type MessageId } from '../base/index.ts';
import {
  bucketLength,
  decodeFrame,
  encodeFrame,
  FRAME_AAD_BYTES,
  FRAME_HEADER_BYTES,
  FRAME_TAG_BYTES,
  type FrameHeader,
  frameAad,
  frameNonce,
} from './index.ts';

const fixed = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const header: fc.Arbitrary<FrameHeader> = fc.record(
  {
    version: fc.record({ major: fc.nat(15), minor: fc.nat(15) }, { noNullPrototype: true }),
    type: fc.nat(255),
    messageId: fixed(16).map((id) => idFromBytes<MessageId>(id)),
    sequence: fc.oneof(fc.maxSafeNat(), fc.nat(1 << 24)),
    prevHash: fixed(32),
  },
  { noNullPrototype: true },
);
const ciphertext = fc.uint8Array({ minLength: 16, maxLength: 300 });

/** The layouts of spec/wire section 4, written with the platform's own tools. */
function referenceFrame(h: FrameHeader, sealed: Uint8Array): Buffer {
  const bytes = Buffer.alloc(62);
  bytes.writeUInt8(h.version.major * 16 + h.version.minor, 0);
  bytes.writeUInt8(h.type, 1);
  bytes.writeUInt32BE(sealed.length, 2);
  bytes.write(h.messageId, 6, 'hex');
  bytes.writeBigUInt64BE(BigInt(h.sequence), 22);
  bytes.set(h.prevHash, 30);
  return Buffer.concat([bytes, sealed]);
}

function referenceAad(h: FrameHeader, length: number, transcriptHash: Uint8Array): Buffer {
  const bytes = Buffer.alloc(95);
  bytes.writeUInt8(h.version.major, 0);
  bytes.writeUInt8(h.version.minor, 1);
  bytes.writeUInt8(h.type, 2);
  bytes.writeBigUInt64BE(BigInt(h.sequence), 3);
  bytes.write(h.messageId, 11, 'hex');
  bytes.writeUInt32BE(length, 27);
  bytes.set(h.prevHash, 31);
  bytes.set(transcriptHash, 63);
  return bytes;
}

test('[WIRE-21] header and AAD have the fields of the specification, in its order', () => {
  assert.equal(FRAME_HEADER_BYTES, 62);
  assert.equal(FRAME_AAD_BYTES, 95);
  fc.assert(
    fc.property(header, ciphertext, fixed(32), (h, sealed, transcriptHash) => {
      const frame = encodeFrame(h, sealed);
      assert.deepEqual(Buffer.from(frame), referenceFrame(h, sealed));
      assert.deepEqual(decodeFrame(frame), { ok: true, value: { header: h, ciphertext: sealed } });
      const aad = frameAad(h, sealed.length, transcriptHash);
      assert.deepEqual(Buffer.from(aad), referenceAad(h, sealed.length, transcriptHash));
    }),
  );
});

test('[WIRE-21] no two headers share an AAD', () => {
  fc.assert(
    fc.property(header, header, ciphertext, (a, b, sealed) => {
      const hash = new Uint8Array(32);
      const same = Buffer.compare(encodeFrame(a, sealed), encodeFrame(b, sealed)) === 0;
      assert.equal(Buffer.compare(frameAad(a, 20, hash), frameAad(b, 20, hash)) === 0, same);
    }),
  );
});

test('[WIRE-20] random bytes never throw, and an accepted frame encodes to itself', () => {
  const likely = fc.tuple(fixed(2), fc.nat(40), fixed(16), fixed(8), fixed(32), fc.uint8Array({ maxLength: 40 }));
  const almost = likely.map(([start, length, id, sequence, hash, rest]) =>
    Uint8Array.from([...start, 0, 0, 0, length, ...id, 0, 0, ...sequence.subarray(2), ...hash, ...rest]),
  );
  fc.assert(
    fc.property(fc.oneof(almost, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      const decoded = decodeFrame(bytes);
      if (decoded.ok) assert.deepEqual(encodeFrame(decoded.value.header, decoded.value.ciphertext), bytes);
    }),
    { numRuns: 2000 },
  );
});

test('[WIRE-20] cut and extended frames are refused', () => {
  fc.assert(
    fc.property(header, ciphertext, (h, sealed) => {
      const frame = encodeFrame(h, sealed);
      const cut = decodeFrame(frame.subarray(0, -1));
      assert.ok(!cut.ok && cut.error.code === 'truncated');
      const longer = decodeFrame(Uint8Array.from([...frame, 0]));
      assert.ok(!longer.ok && longer.error.code === 'trailing_bytes');
    }),
  );
});

const HEADER: FrameHeader = {
  version: { major: 2, minor: 0 },
  type: 0x10,
  messageId: idFromBytes<MessageId>(new Uint8Array(16)),
  sequence: 1,
  prevHash: new Uint8Array(32),
};

test('[WIRE-20] the largest body fits the largest frame, and nothing above the limit does', () => {
  const largest = bucketLength(12 + LIMITS.bodyBytesMax) + FRAME_TAG_BYTES;
  assert.ok(FRAME_HEADER_BYTES + largest <= LIMITS.frameBytesMax);
  assert.ok(decodeFrame(encodeFrame(HEADER, new Uint8Array(largest))).ok);
  const over = new Uint8Array(LIMITS.frameBytesMax - FRAME_HEADER_BYTES + 1);
  assert.throws(() => encodeFrame(HEADER, over), RangeError);
  const refused = decodeFrame(new Uint8Array(LIMITS.frameBytesMax + 1));
  assert.ok(!refused.ok && refused.error.code === 'frame_too_large');
});

test('[WIRE-20] a sequence that a number cannot hold is refused', () => {
  for (const sequence of [2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
    const frame = Buffer.from(encodeFrame(HEADER, new Uint8Array(16)));
    frame.writeBigUInt64BE(sequence, 22);
    const decoded = decodeFrame(frame);
    assert.ok(!decoded.ok && decoded.error.code === 'limit_exceeded');
  }
});

test('the nonce is the sequence under the IV, and no two sequences share one', () => {
  const iv = Uint8Array.from({ length: 12 }, (_, i) => 0xf0 + i);
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
      const expected = Buffer.alloc(12);
      expected.writeBigUInt64BE(BigInt(a), 4);
      for (let i = 0; i < 12; i += 1) expected[i] = (expected[i] ?? 0) ^ (iv[i] ?? 0);
      assert.deepEqual(Buffer.from(frameNonce(iv, a)), expected);
      assert.equal(Buffer.compare(frameNonce(iv, a), frameNonce(iv, b)) === 0, a === b);
    }),
  );
  assert.deepEqual(
    [...iv],
    Array.from({ length: 12 }, (_, i) => 0xf0 + i),
    'the IV itself is not written to',
  );
});

test('a header without a form is our own fault', () => {
  const wrong: readonly Partial<FrameHeader>[] = [
    { version: { major: 16, minor: 0 } },
    { version: { major: 1, minor: -1 } },
    { type: 256 },
    { sequence: -1 },
    { sequence: 2 ** 53 },
    { sequence: 0.5 },
    { prevHash: new Uint8Array(31) },
  ];
  for (const change of wrong) {
    assert.throws(() => encodeFrame({ ...HEADER, ...change }, new Uint8Array(16)), RangeError);
    assert.throws(() => frameAad({ ...HEADER, ...change }, 16, new Uint8Array(32)), RangeError);
  }
  assert.throws(() => encodeFrame(HEADER, new Uint8Array(15)), RangeError);
  assert.throws(() => frameAad(HEADER, 16, new Uint8Array(31)), RangeError);
  assert.throws(() => frameNonce(new Uint8Array(11), 1), RangeError);
  assert.throws(() => frameNonce(new Uint8Array(12), 2 ** 53), RangeError);
});
