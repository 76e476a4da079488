import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CborValue, decodeCbor, encodeCbor } from './index.ts';

/** Written from RFC 8949 alone, to be compared with: one byte after the other, no tricks. */
function reference(value: CborValue): number[] {
  if (typeof value === 'number') return head(0, value);
  if (typeof value === 'boolean') return [value ? 0xf5 : 0xf4];
  if (typeof value === 'string') return [...head(3, Buffer.byteLength(value)), ...Buffer.from(value)];
  if (value instanceof Uint8Array) return [...head(2, value.length), ...value];
  if (value instanceof Map) return referenceMap(value);
  const items = value as readonly CborValue[]; // the only kind that is left
  return [...head(4, items.length), ...items.flatMap(reference)];
}

function referenceMap(map: ReadonlyMap<string, CborValue>): number[] {
  const entries = [...map].map(([key, value]) => ({ key: Buffer.from(reference(key)), value: reference(value) }));
  entries.sort((a, b) => Buffer.compare(a.key, b.key));
  return [...head(5, map.size), ...entries.flatMap(({ key, value }) => [...key, ...value])];
}

function head(major: number, argument: number): number[] {
  const size = [24, 2 ** 8, 2 ** 16, 2 ** 32].findIndex((edge) => argument < edge);
  if (size === 0) return [(major << 5) | argument];
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(argument));
  const width = size === -1 ? 8 : 2 ** (size - 1);
  return [(major << 5) | (23 + Math.log2(width) + 1), ...bytes.subarray(8 - width)];
}

const key = fc.string({ unit: 'grapheme', maxLength: 30 });
const { value: anyValue } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(fc.maxSafeNat(), fc.nat({ max: 70000 }), fc.nat({ max: 30 })),
    fc.boolean(),
    key,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 6 }).map((entries) => new Map(entries)),
  ),
}));

test('the encoder gives what a naive one gives, and it comes back', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const encoded = encodeCbor(value);
      assert.deepEqual([...encoded], reference(value));
      const decoded = decodeCbor(encoded);
      assert.ok(decoded.ok);
      assert.deepEqual(encodeCbor(decoded.value), encoded);
      assert.deepEqual(sorted(decoded.value), sorted(value));
    }),
    { numRuns: 300 },
  );
});

/** Maps compare by their entries in order. */
function sorted(value: CborValue): unknown {
  if (value instanceof Map) {
    const entries = [...value].map(([name, item]) => [name, sorted(item)] as const);
    return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  return Array.isArray(value) ? value.map(sorted) : value;
}

function acceptedIsCanonical(bytes: Uint8Array): void {
  const decoded = decodeCbor(bytes);
  if (decoded.ok) assert.deepEqual(encodeCbor(decoded.value), bytes);
  else assert.ok(decoded.error.detail.length > 0);
}

test('[WIRE-1] [WIRE-3] random bytes never throw, and what is accepted is the canonical form', () => {
  const initial = fc.constantFrom(0x00, 0x18, 0x19, 0x41, 0x61, 0x81, 0x82, 0xa1, 0xa2, 0xf4);
  const likely = fc.array(fc.oneof(initial, fc.nat({ max: 255 })), { maxLength: 12 });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 20 }), likely), (bytes) =>
      acceptedIsCanonical(Uint8Array.from(bytes)),
    ),
    { numRuns: 3000 },
  );
});

test('a changed byte is refused, or is the canonical form of another value', () => {
  fc.assert(
    fc.property(anyValue, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, where, change) => {
      const bytes = encodeCbor(value);
      const at = where % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ change;
      acceptedIsCanonical(bytes);
    }),
    { numRuns: 1000 },
  );
});

test('[WIRE-5] [WIRE-7] every cut end is truncated, every longer end trailing', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encodeCbor(value);
      const longer = decodeCbor(Uint8Array.from([...bytes, 0]));
      assert.ok(!longer.ok && longer.error.code === 'trailing_bytes');
      for (let length = 0; length < Math.min(bytes.length, 40); length += 1) {
        const cut = decodeCbor(bytes.subarray(0, length));
        assert.ok(!cut.ok && cut.error.code === 'truncated');
      }
    }),
  );
});

test('[WIRE-5] a claimed length allocates nothing', () => {
  const claims = [
    '5b001fffffffffffff',
    '7b001fffffffffffff',
    '9b001fffffffffffff',
    'bb001fffffffffffff',
    '9a7fffffff00',
  ];
  for (const claim of claims) {
    const decoded = decodeCbor(Uint8Array.from(Buffer.from(claim, 'hex')));
    assert.ok(!decoded.ok && decoded.error.code === 'truncated', claim);
  }
  // Three items in two bytes: refused for that, before the first item (which is malformed) is looked at.
  const claimed = decodeCbor(Uint8Array.of(0x83, 0xf6, 0xf6));
  assert.ok(!claimed.ok && claimed.error.code === 'truncated');
});

test('[WIRE-6] sixteen levels are taken, seventeen are not, a hundred thousand do not overflow the stack', () => {
  const arrays = (depth: number) => Uint8Array.from([...new Array<number>(depth).fill(0x81), 0]);
  const maps = (depth: number) => Uint8Array.from([...new Array<number[]>(depth).fill([0xa1, 0x61, 0x61]).flat(), 0]);
  for (const nested of [arrays, maps]) {
    assert.ok(decodeCbor(nested(16)).ok);
    for (const depth of [17, 100_000]) {
      const decoded = decodeCbor(nested(depth));
      assert.ok(!decoded.ok && decoded.error.code === 'limit_exceeded');
    }
  }
});

test('[WIRE-2] [WIRE-4] what is outside the profile is malformed', () => {
  for (const hex of [
    '20',
    'c000',
    'f6',
    'f7',
    'f93c00',
    'fb3ff0000000000000',
    'e0',
    'f815',
    'ff',
    '1c',
    '61ff',
    '62c080',
  ]) {
    const decoded = decodeCbor(Uint8Array.from(Buffer.from(hex, 'hex')));
    assert.ok(!decoded.ok && decoded.error.code === 'malformed', hex);
  }
});

test('decoded byte strings are views of the input', () => {
  const input = encodeCbor(Uint8Array.of(1, 2, 3));
  const decoded = decodeCbor(input);
  assert.ok(decoded.ok && decoded.value instanceof Uint8Array);
  assert.equal(decoded.value.buffer, input.buffer);
});

test('a value without a form is our own fault', () => {
  const deep: CborValue = new Array(16).fill(0).reduce<CborValue>((inner) => [inner], [0]);
  for (const value of [-1, 1.5, Number.NaN, 2 ** 53, '\ud800', deep]) {
    assert.throws(() => encodeCbor(value), RangeError);
  }
});
