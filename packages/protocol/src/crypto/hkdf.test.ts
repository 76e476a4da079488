import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { nodeCrypto } from '@norc/crypto/node';
import fc from 'fast-check';
import { concatBytes, fromHex, utf8 } from '../base/index.ts';
import { expand, hkdfExpand, hkdfExtract } from './hkdf.ts';
import { KDF_LABELS, PROOF_LABELS, TRANSCRIPT_LABELS } from './labels.ts';

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text);
  assert.ok(bytes !== undefined);
  return bytes;
};
const crypto = nodeCrypto;

test('HKDF-SHA256 gives the answers of RFC 5869, test cases 1 to 3', () => {
  const long = (from: number) => Uint8Array.from({ length: 80 }, (_, i) => from + i);
  const cases = [
    [
      new Uint8Array(22).fill(0x0b),
      hex('000102030405060708090a0b0c'),
      hex('f0f1f2f3f4f5f6f7f8f9'),
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    ],
    [
      long(0),
      long(0x60),
      long(0xb0),
      'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
    ],
    [
      new Uint8Array(22).fill(0x0b),
      new Uint8Array(0),
      new Uint8Array(0),
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    ],
  ] as const;
  for (const [ikm, salt, info, okm] of cases) {
    const key = hkdfExtract(crypto, 'sha256', salt, ikm);
    assert.deepEqual(expand(crypto, 'sha256', key, info, okm.length / 2), hex(okm));
  }
});

test('[HS-19] HKDF over both hashes is what common libraries compute', () => {
  const some = fc.uint8Array({ maxLength: 100 });
  fc.assert(
    fc.property(some, some, some, fc.constantFrom(...KDF_LABELS), fc.nat(200), (ikm, salt, context, label, length) => {
      const info = concatBytes(utf8(label), context);
      for (const [name, hash] of [
        ['blake3', blake3],
        ['sha256', sha256],
      ] as const) {
        const key = hkdfExtract(crypto, name, salt, ikm);
        const derived = hkdfExpand(crypto, name, key, label, context, length);
        assert.deepEqual(derived, length === 0 ? new Uint8Array(0) : hkdf(hash, ikm, salt, info, length));
      }
    }),
  );
});

test('HKDF gives at most 255 blocks', () => {
  const key = new Uint8Array(32);
  assert.equal(expand(crypto, 'blake3', key, key, 255 * 32).length, 255 * 32);
  assert.throws(() => expand(crypto, 'blake3', key, key, 255 * 32 + 1), RangeError);
});

test('[HS-19] every derivation label begins with norc:, and all labels differ', () => {
  for (const label of KDF_LABELS) assert.match(label, /^norc:[a-z0-9:]+:v1(:[a-z]+)?$/);
  const all = [...KDF_LABELS, ...TRANSCRIPT_LABELS, ...PROOF_LABELS];
  assert.equal(new Set(all).size, all.length);
});

test('no signed or hashed label is the beginning of another: what follows could be read in two ways', () => {
  const all = [...TRANSCRIPT_LABELS, ...PROOF_LABELS];
  for (const one of all)
    assert.deepEqual(
      all.filter((other) => other.startsWith(one)),
      [one],
    );
});
