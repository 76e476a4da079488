import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareBytes,
  concatBytes,
  fromBase64,
  fromBase64Url,
  fromHex,
  sameBytes,
  toBase64,
  toBase64Url,
  toHex,
  zeroBytes,
} from './index.ts';

const anyBytes = fc.uint8Array({ maxLength: 300 });

test('text forms of bytes agree with the platform and come back', () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const platform = Buffer.from(bytes);
      assert.equal(toHex(bytes), platform.toString('hex'));
      assert.equal(toBase64(bytes), platform.toString('base64'));
      assert.equal(toBase64Url(bytes), platform.toString('base64url'));
      assert.deepEqual(fromHex(toHex(bytes)), bytes);
      assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
      assert.deepEqual(fromBase64Url(toBase64Url(bytes)), bytes);
    }),
  );
});

test('[CONV-1] text that no encoder gives is refused', () => {
  for (const text of ['A', 'AB=', 'AA==', 'A-', 'AA\n', 'AAF', 'é', 'AA+A'])
    assert.equal(fromBase64Url(text), undefined, text);
  for (const text of ['AA', 'AA=', 'AB==', 'A===', '====', 'AA==AA==']) assert.equal(fromBase64(text), undefined, text);
  for (const text of ['0', 'zz', '0x', 'é0', '0é', '٠٠', '\u{1f600}', '0`', '0G', '/0'])
    assert.equal(fromHex(text), undefined, text);
});

test('comparison is that of the platform', () => {
  fc.assert(
    fc.property(anyBytes, anyBytes, (a, b) => {
      assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(a, b));
      assert.equal(sameBytes(a, b), Buffer.compare(a, b) === 0);
      assert.ok(sameBytes(a, a.slice()));
    }),
  );
});

test('joining and wiping', () => {
  assert.deepEqual(concatBytes(), new Uint8Array());
  const parts = [Uint8Array.of(1, 2), new Uint8Array(), Uint8Array.of(3)];
  assert.deepEqual(concatBytes(...parts), Uint8Array.of(1, 2, 3));
  zeroBytes(...parts);
  assert.deepEqual(parts, [new Uint8Array(2), new Uint8Array(), new Uint8Array(1)]);
});
