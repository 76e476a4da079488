import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameReader, joinFrames } from './frame-reader.ts';

const MAX = 300_000;

function read(chunks: readonly Uint8Array[], max = MAX): { frames: Uint8Array[]; fault: string | undefined } {
  const frames: Uint8Array[] = [];
  const reader = new FrameReader(
    () => max,
    (frame) => frames.push(Uint8Array.from(frame)),
  );
  for (const chunk of chunks) {
    const fault = reader.feed(chunk);
    if (fault !== undefined) return { frames, fault };
  }
  return { frames, fault: undefined };
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i += 1) {
    const size = sizes[i % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

test('[TRANSPORT-13] frames come out as they went in, however the stream is cut', () => {
  const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { maxLength: 20 });
  const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(frames, sizes, (sent, pieces) => {
      assert.deepEqual(read(cut(joinFrames(sent), pieces)), { frames: sent, fault: undefined });
    }),
  );
});

test('a large frame survives growing buffers, and its successor is not touched', () => {
  const large = Uint8Array.from({ length: MAX }, (_, i) => i % 251);
  const small = Uint8Array.of(1, 2, 3);
  assert.deepEqual(read(cut(joinFrames([large, small]), [16_384])).frames, [large, small]);
});

test('[TRANSPORT-13] a length of zero or over the limit is a fault, frames before it are delivered', () => {
  const good = joinFrames([Uint8Array.of(7)]);
  const tooLarge = Uint8Array.of(0, 0, 0, 17);
  assert.deepEqual(read([good, new Uint8Array(4)]), { frames: [Uint8Array.of(7)], fault: 'empty_frame' });
  assert.deepEqual(read([good, tooLarge], 16), { frames: [Uint8Array.of(7)], fault: 'frame_too_large' });
  assert.equal(read([Uint8Array.of(0xff, 0xff, 0xff, 0xff)]).fault, 'frame_too_large');
});

test('a frame is plain bytes of its own: a kept frame does not change when more is fed', () => {
  const kept: Uint8Array[] = [];
  const reader = new FrameReader(
    () => MAX,
    (frame) => kept.push(frame),
  );
  for (const chunk of cut(joinFrames([new Uint8Array(100).fill(1), new Uint8Array(100).fill(2)]), [60]))
    reader.feed(chunk);
  assert.ok(kept.every((frame) => !Buffer.isBuffer(frame)));
  assert.deepEqual(
    kept.map((frame) => new Set(frame)),
    [new Set([1]), new Set([2])],
  );
});
