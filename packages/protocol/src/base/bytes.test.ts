import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromBase64, fromBase64Url, fromHex, toBase64, toBase64Url, toHex, utf8 } from './index.ts';

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

test('text that no encoder gives is refused', () => {
  for (const text of ['A', 'AB=', 'AA==', 'A-', 'AA\n', 'AAF', 'é', 'AA+A'])
    assert.equal(fromBase64Url(text), undefined, text);
  for (const text of ['AA', 'AA=', 'AB==', 'A===', '====', 'AA==AA==']) assert.equal(fromBase64(text), undefined, text);
  for (const text of ['0', 'zz', '0x']) assert.equal(fromHex(text), undefined, text);
});

test('utf8 agrees with the platform and refuses a lone surrogate', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) =>
      assert.deepEqual(utf8(text), Uint8Array.from(Buffer.from(text))),
    ),
  );
  assert.throws(() => utf8('\ud800'));
});
