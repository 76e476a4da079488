import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readAll, type TlsReader, TlsWriter } from './tls.ts';

const read = <T>(bytes: Uint8Array, reader: (r: TlsReader) => T) => readAll(bytes, 'test', reader);

function codeOf(result: ReturnType<typeof read>): string {
  return result.ok ? 'accepted' : result.error.code;
}

test('what the writer writes, the reader reads back', () => {
  const value = fc.tuple(
    fc.integer({ min: 0, max: 255 }),
    fc.integer({ min: 0, max: 0xffff }),
    fc.integer({ min: 0, max: 0xffff_ffff }),
    fc.maxSafeNat(),
    fc.uint8Array({ maxLength: 300 }),
    fc.boolean(),
  );
  fc.assert(
    fc.property(value, ([a, b, c, d, bytes, flag]) => {
      const written = new TlsWriter(1).uint8(a).uint16(b).uint32(c).uint64(d).vector(bytes).optional(flag).finish();
      const back = read(written, (r) => [r.uint8(), r.uint16(), r.uint32(), r.uint64(), r.vector(), r.optional()]);
      assert.deepEqual(back, { ok: true, value: [a, b, c, d, bytes, flag] });
      assert.equal(codeOf(read(written.subarray(0, -1), (r) => [r.fixed(15), r.vector(), r.uint8()])), 'truncated');
    }),
  );
});

test('a length has one form [MLS-7]', () => {
  for (const length of [0, 1, 63, 64, 16383, 16384, 20000]) {
    const bytes = new TlsWriter().vector(new Uint8Array(length)).finish();
    assert.deepEqual(
      read(bytes, (r) => r.vector().length),
      { ok: true, value: length },
    );
  }
  assert.equal(codeOf(read(Uint8Array.of(0x40, 0x01, 7), (r) => r.vector())), 'not_canonical');
  assert.equal(codeOf(read(Uint8Array.of(0x80, 0, 0, 1, 7), (r) => r.vector())), 'not_canonical');
  assert.equal(codeOf(read(Uint8Array.of(0xc0, 0, 0, 0, 0, 0, 0, 0), (r) => r.vector())), 'malformed');
  assert.equal(codeOf(read(Uint8Array.of(0x05, 1, 2), (r) => r.vector())), 'truncated');
});

test('presence is 0 or 1, integers are below 2^53, nothing may follow', () => {
  assert.equal(codeOf(read(Uint8Array.of(2), (r) => r.optional())), 'malformed');
  assert.equal(codeOf(read(Uint8Array.of(0, 0x20, 0, 0, 0, 0, 0, 0), (r) => r.uint64())), 'limit_exceeded');
  assert.equal(codeOf(read(Uint8Array.of(1, 2), (r) => r.uint8())), 'trailing_bytes');
  assert.throws(() => new TlsWriter().uint64(-1), RangeError);
  assert.throws(() => new TlsWriter().length(0x4000_0000), RangeError);
});

test("what reads our own bugs is not mistaken for a peer's fault", () => {
  assert.throws(() => read(new Uint8Array(1), () => assert.fail('a bug')), /a bug/);
});
