import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeUtf8, utf8, utf8Length, writeUtf8 } from './index.ts';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function platform(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

test('decoding agrees with the platform on any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      assert.equal(decodeUtf8(bytes), platform(bytes));
    }),
  );
});

test('decoding agrees with the platform on bytes that are nearly right', () => {
  const nearly = fc.tuple(fc.string({ unit: 'binary', minLength: 1 }), fc.nat(), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(nearly, ([text, where, byte]) => {
      const bytes = Uint8Array.from(Buffer.from(text));
      bytes[where % bytes.length] = byte;
      assert.equal(decodeUtf8(bytes), platform(bytes));
    }),
    { numRuns: 500 },
  );
});

test('every two-byte sequence and every lead of a longer one agrees with the platform', () => {
  for (let lead = 0x80; lead < 0x100; lead += 1) {
    for (const second of [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff]) {
      for (const rest of [[], [0x80], [0xbf], [0x80, 0x80], [0xbf, 0xbf], [0xbf, 0x7f]]) {
        const bytes = Uint8Array.from([lead, second, ...rest]);
        assert.equal(decodeUtf8(bytes), platform(bytes), bytes.toString());
      }
    }
  }
});

test('long texts and parts of an input come out whole', () => {
  for (const character of ['a', 'é', '€', '😀']) {
    for (const length of [0, 1, 15, 16, 1023, 1024, 1025, 5000]) {
      const text = character.repeat(length);
      const bytes = Uint8Array.from(Buffer.from(`xx${text}yy`));
      assert.equal(decodeUtf8(bytes, 2, bytes.length - 2), text);
      assert.equal(decodeUtf8(utf8(`a${text}`)), `a${text}`);
    }
  }
});

test('a byte order mark is a character', () => {
  assert.equal(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), '\ufeffa');
});

test('length and bytes agree with the platform; a lone surrogate has none', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((u) => String.fromCharCode(u)) }), (text) => {
      const expected = text.isWellFormed() ? Buffer.byteLength(text) : -1;
      assert.equal(utf8Length(text), expected);
      if (expected >= 0) assert.deepEqual(utf8(text), Uint8Array.from(Buffer.from(text)));
      else assert.throws(() => utf8(text));
    }),
  );
});

test('writing starts and ends where it says', () => {
  const target = new Uint8Array(8);
  assert.equal(writeUtf8('é€', target, 2), 7);
  assert.deepEqual(target, Uint8Array.of(0, 0, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0));
});
