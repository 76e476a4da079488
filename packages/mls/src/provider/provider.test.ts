import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { blake3 } from '@noble/hashes/blake3.js';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { XWing } from '@noble/post-quantum/hybrid.js';
import fc from 'fast-check';
import { createDhKemX25519 } from './dhkem-x25519.ts';
import { createHkdf } from './hkdf.ts';
import { AES_256_GCM_ID, createHpke } from './hpke.ts';
import { createNodeMlsProvider } from './node.ts';

const provider = createNodeMlsProvider();
const { crypto, random, xWing } = provider;

test('X-Wing keys and secrets are those of an independent implementation, both ways [MLS-2]', () => {
  for (let i = 0; i < 12; i += 1) {
    const pair = xWing.generate(random);
    assert.deepEqual(XWing.keygen(pair.privateKey).publicKey, pair.publicKey);
    const ours = xWing.encapsulate(pair.publicKey, random);
    assert.ok(ours);
    assert.deepEqual(XWing.decapsulate(ours.encapsulation, pair.privateKey), ours.sharedSecret);
    const theirs = XWing.encapsulate(pair.publicKey.slice()); // it overwrites the key that it is given
    assert.deepEqual(xWing.decapsulate(pair.privateKey, theirs.cipherText), theirs.sharedSecret);
  }
});

test('X-Wing refuses what cannot be a key or an encapsulation', () => {
  const { publicKey, privateKey } = xWing.generate(random);
  assert.equal(xWing.encapsulate(publicKey.subarray(1), random), undefined);
  assert.equal(xWing.encapsulate(new Uint8Array(1216).fill(0xff), random), undefined, 'FIPS 203 modulus check');
  const lowOrder = publicKey.slice().fill(0, 1184);
  assert.equal(xWing.encapsulate(lowOrder, random), undefined, 'X25519 point of low order');
  assert.equal(xWing.decapsulate(privateKey, new Uint8Array(1119)), undefined);
  assert.throws(() => xWing.publicKeyOf(new Uint8Array(31)), RangeError);
});

test('a key that cannot be sealed to is known as one without sealing', () => {
  const { publicKey } = xWing.generate(random);
  assert.ok(xWing.isPublicKey(publicKey));
  const bent = [
    publicKey.subarray(1),
    publicKey.slice().fill(0, 1184),
    ...[0, 1, 2, 383, 384, 1149, 1150, 1151].map((at) => publicKey.slice().fill(0xff, at, at + 2)),
    ...fc.sample(fc.uint8Array({ minLength: 1216, maxLength: 1216 }), 5),
  ];
  for (const key of bent) assert.equal(xWing.isPublicKey(key), xWing.encapsulate(key, random) !== undefined);
  assert.ok(bent.some((key) => !xWing.isPublicKey(key)));
  const kemKey = kem.generate(random).publicKey;
  assert.ok(kem.isPublicKey(kemKey));
  assert.ok(!kem.isPublicKey(new Uint8Array(32)) && !kem.isPublicKey(kemKey.subarray(1)));
});

test('a changed X-Wing encapsulation gives another secret', () => {
  const { publicKey, privateKey } = xWing.generate(random);
  const sealed = xWing.encapsulate(publicKey, random);
  assert.ok(sealed);
  for (const at of [0, 1087, 1088, 1119]) {
    const changed = sealed.encapsulation.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.notDeepEqual(xWing.decapsulate(privateKey, changed), sealed.sharedSecret);
  }
});

test('an erased X-Wing key is gone, also from the cache', () => {
  const pair = xWing.generate(random);
  const publicKey = pair.publicKey.slice();
  xWing.erase(pair.privateKey);
  assert.ok(pair.privateKey.every((byte) => byte === 0));
  assert.notDeepEqual(xWing.publicKeyOf(pair.privateKey), publicKey);
});

test('a key buffer that is used again for another key is noticed', () => {
  const first = xWing.generate(random);
  const second = xWing.generate(random);
  const reused = first.privateKey;
  reused.set(second.privateKey);
  assert.deepEqual(xWing.publicKeyOf(reused), second.publicKey);
});

test('HKDF over BLAKE3 and SHA-256 agrees with an independent implementation [MLS-3]', () => {
  const bytes = fc.uint8Array({ maxLength: 100 });
  const check = fc.property(bytes, bytes, bytes, fc.integer({ min: 1, max: 200 }), (salt, ikm, info, length) => {
    for (const [name, hash] of [['blake3', blake3] as const, ['sha256', sha256] as const]) {
      const hkdf = createHkdf(crypto, name);
      const prk = hkdf.extract(salt, ikm);
      assert.deepEqual(prk, extract(hash, ikm, salt.length === 0 ? undefined : salt));
      assert.deepEqual(hkdf.expand(prk, info, length), expand(hash, prk, info, length));
    }
  });
  fc.assert(check, { numRuns: 60 });
  assert.throws(
    () => createHkdf(crypto, 'blake3').expand(new Uint8Array(32), new Uint8Array(0), 255 * 32 + 1),
    RangeError,
  );
});

/** RFC 9180 with a standard suite, by the package that the library itself brings. */
const theirs = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const kem = createDhKemX25519(crypto);
const ours = createHpke({
  kem,
  kdf: createHkdf(crypto, 'sha256'),
  aead: { id: AES_256_GCM_ID, ...crypto.aead['aes-256-gcm'] },
});
const info = Uint8Array.of(1, 2, 3);
const aad = Uint8Array.of(4, 5);
const plaintext = new TextEncoder().encode('the same suite, two implementations');
const buffer = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;

test('what our HPKE seals, another implementation opens, and the reverse [MLS-4]', async () => {
  const pair = kem.generate(random);
  const sealed = ours.seal(pair.publicKey, info, aad, plaintext, random);
  assert.ok(sealed);
  const recipientKey = await theirs.kem.deserializePrivateKey(buffer(pair.privateKey));
  const opened = await theirs.open(
    { recipientKey, enc: buffer(sealed.encapsulation), info: buffer(info) },
    buffer(sealed.ciphertext),
    buffer(aad),
  );
  assert.deepEqual(new Uint8Array(opened), plaintext);

  const recipientPublicKey = await theirs.kem.deserializePublicKey(buffer(pair.publicKey));
  const { ct, enc } = await theirs.seal({ recipientPublicKey, info: buffer(info) }, buffer(plaintext), buffer(aad));
  assert.deepEqual(ours.open(pair.privateKey, new Uint8Array(enc), info, aad, new Uint8Array(ct)), plaintext);
});

test('both derive the same key pair from the same material', async () => {
  const ikm = random(32);
  const { publicKey } = await theirs.kem.deriveKeyPair(buffer(ikm));
  assert.deepEqual(new Uint8Array(await theirs.kem.serializePublicKey(publicKey)), kem.derive(ikm).publicKey);
});

test('HPKE over X-Wing opens only with the right key, encapsulation, info and AAD', () => {
  const aead = { id: 3, ...crypto.aead['chacha20-poly1305'] };
  const hpke = createHpke({ kem: xWing, kdf: createHkdf(crypto, 'blake3'), aead });
  const pair = xWing.generate(random);
  const other = xWing.generate(random);
  const sealed = hpke.seal(pair.publicKey, info, aad, plaintext, random);
  assert.ok(sealed);
  const { encapsulation, ciphertext } = sealed;
  assert.deepEqual(hpke.open(pair.privateKey, encapsulation, info, aad, ciphertext), plaintext);
  assert.equal(hpke.open(other.privateKey, encapsulation, info, aad, ciphertext), undefined);
  assert.equal(hpke.open(pair.privateKey, encapsulation, aad, aad, ciphertext), undefined);
  assert.equal(hpke.open(pair.privateKey, encapsulation, info, info, ciphertext), undefined);
  assert.equal(hpke.open(pair.privateKey, encapsulation.subarray(1), info, aad, ciphertext), undefined);
  assert.equal(hpke.seal(pair.publicKey.subarray(1), info, aad, plaintext, random), undefined);
});
