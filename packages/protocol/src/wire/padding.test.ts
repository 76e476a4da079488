import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../base/index.ts';
import { bucketLength, padBody, unpadBody, withPadded } from './index.ts';

test('[WIRE-22] a bucket is the smallest that holds the plaintext', () => {
  const buckets = [256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];
  for (let multiple = 2; multiple <= 66; multiple += 1) buckets.push(multiple * 65536);
  fc.assert(
    fc.property(fc.oneof(fc.nat(70000), fc.nat(4_300_000)), (length) => {
      assert.equal(
        bucketLength(length),
        buckets.find((bucket) => bucket >= length),
      );
    }),
    { numRuns: 500 },
  );
  for (const bucket of buckets) {
    assert.equal(bucketLength(bucket), bucket);
    assert.ok(bucketLength(bucket + 1) > bucket);
  }
});

const body = fc.oneof(
  fc.uint8Array({ maxLength: 600 }),
  fc.nat(140_000).map((length) => new Uint8Array(length).fill(9)),
);
const offset = fc.option(fc.maxSafeNat(), { nil: undefined });

test('padding comes off again, with or without a sequence offset', () => {
  fc.assert(
    fc.property(body, offset, (content, sequenceOffset) => {
      const opened = unpadBody(padBody(content, sequenceOffset), sequenceOffset !== undefined);
      assert.ok(opened.ok);
      assert.ok(Buffer.from(opened.value.body).equals(content));
      assert.equal(opened.value.sequenceOffset, sequenceOffset);
    }),
  );
});

test('[WIRE-23] [WIRE-24] random plaintexts never throw, and an accepted one is what padding gives', () => {
  const small = fc.tuple(fc.nat(300), fc.constantFrom(0, 4, 251, 252, 255, 256, 508, 512), fc.nat(2));
  fc.assert(
    fc.property(small, fc.boolean(), ([length, size, noise], first) => {
      const plaintext = new Uint8Array(size);
      if (size > 12) plaintext.set([0, 0, length >> 8, length & 255], first ? 8 : 0);
      if (noise > 0 && size > 0) plaintext[size - noise] = noise - 1;
      const opened = unpadBody(plaintext, first);
      if (opened.ok) assert.deepEqual(padBody(opened.value.body, opened.value.sequenceOffset), plaintext);
    }),
    { numRuns: 1000 },
  );
});

test('[WIRE-24] every byte of the padding must be zero', () => {
  const plaintext = padBody(Uint8Array.of(1, 2, 3));
  for (let at = 7; at < plaintext.length; at += 1) {
    const changed = plaintext.slice();
    changed[at] = 1;
    const opened = unpadBody(changed, false);
    assert.ok(!opened.ok && opened.error.code === 'not_canonical');
  }
});

test('[WIRE-23] the largest body passes, one byte more does not', () => {
  const largest = new Uint8Array(LIMITS.bodyBytesMax);
  assert.ok(unpadBody(padBody(largest, 5), true).ok);
  assert.throws(() => padBody(new Uint8Array(LIMITS.bodyBytesMax + 1)), RangeError);
  const over = new Uint8Array(65 * 65536);
  new DataView(over.buffer).setUint32(0, LIMITS.bodyBytesMax + 1);
  const opened = unpadBody(over, false);
  assert.ok(!opened.ok && opened.error.code === 'frame_too_large');
});

test('a sequence offset without a form is our own fault', () => {
  for (const wrong of [-1, 0.5, 2 ** 53]) assert.throws(() => padBody(new Uint8Array(), wrong), RangeError);
});

test('padding for a moment is the same, and leaves nothing behind, also after a fault', () => {
  fc.assert(
    fc.property(body, offset, (content, sequenceOffset) => {
      const expected = padBody(content, sequenceOffset);
      const fault = new Error('sealing failed');
      assert.throws(() => withPadded(new Uint8Array(5000).fill(7), 1, () => assert.fail(fault)), fault);
      let room: Uint8Array | undefined;
      const copy = withPadded(content, sequenceOffset, (plaintext) => {
        room = plaintext;
        return plaintext.slice();
      });
      assert.ok(Buffer.from(copy).equals(expected));
      const shared = expected.length <= 65536;
      assert.equal(
        room?.every((byte) => byte === 0),
        shared || expected.every((byte) => byte === 0),
      );
    }),
    { numRuns: 50 },
  );
});
