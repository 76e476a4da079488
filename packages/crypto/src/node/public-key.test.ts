import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { fromHex, sameBytes, utf8 } from '@norc/protocol/base';
import { createNodeCrypto, nodeCrypto } from './node-crypto.ts';
import { nodeRandom } from './ports.ts';

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text.replaceAll(/\s/g, ''));
  assert.ok(bytes !== undefined);
  return bytes;
};
const random = (length: number) => nodeRandom.bytes(length);
const openssl = createNodeCrypto(undefined);
const bothEd25519 = [
  ['accelerated', nodeCrypto.ed25519],
  ['OpenSSL only', openssl.ed25519],
] as const;

/** RFC 8032 section 7.1, tests 1 to 3. */
const RFC8032 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
] as const;

for (const [name, signatures] of bothEd25519) {
  test(`Ed25519 (${name}) gives the answers of RFC 8032`, () => {
    for (const [seed, publicKey, message, signature] of RFC8032) {
      assert.deepEqual(signatures.keyPair(() => hex(seed)).publicKey, hex(publicKey));
      assert.deepEqual(signatures.sign(hex(seed), hex(message)), hex(signature));
      assert.equal(signatures.verify(hex(publicKey), hex(message), hex(signature)), true);
    }
  });

  test(`Ed25519 (${name}) agrees with @noble/curves and refuses what was changed`, () => {
    for (let i = 0; i < 10; i += 1) {
      const { publicKey, privateKey } = signatures.keyPair(random);
      const message = random(i * 31);
      const signature = signatures.sign(privateKey, message);
      assert.deepEqual(publicKey, ed25519.getPublicKey(privateKey));
      assert.deepEqual(signature, ed25519.sign(message, privateKey));
      assert.equal(signatures.verify(publicKey, Uint8Array.of(...message, 0), signature), false);
      assert.equal(signatures.verify(random(32), message, signature), false);
      assert.equal(signatures.verify(publicKey, message, signature.subarray(1)), false);
      assert.equal(signatures.verify(publicKey.subarray(1), message, signature), false);
    }
  });

  test(`[HS-24] Ed25519 (${name}): a key of small order signs nothing, though the plain equation would hold`, () => {
    // With the identity as key and R = [s]B, s B = R + h A holds for every message.
    const identity = Uint8Array.of(1, ...new Uint8Array(31));
    const s = 5n;
    const r = ed25519.Point.BASE.multiply(s).toBytes();
    const forged = Uint8Array.of(...r, 5, ...new Uint8Array(31));
    assert.equal(signatures.verify(identity, utf8('anything'), forged), false);
    for (const point of smallOrderEncodings()) {
      assert.equal(signatures.verify(point, utf8('anything'), forged), false);
      assert.equal(signatures.isPublicKey(point), false);
    }
  });

  test(`[HS-24] Ed25519 (${name}): a second form of a signature, s + L, is refused`, () => {
    const { publicKey, privateKey } = signatures.keyPair(random);
    const message = utf8('once');
    const signature = signatures.sign(privateKey, message);
    assert.equal(signatures.verify(publicKey, message, addGroupOrder(signature)), false);
  });
}

test('[HS-24] Ed25519: which keys are keys agrees with @noble/curves', () => {
  for (let i = 0; i < 40; i += 1) {
    const candidate = randomBytes(32);
    const plain = Uint8Array.from(candidate);
    assert.equal(nodeCrypto.ed25519.isPublicKey(plain), nobleAccepts(plain));
  }
  const { publicKey } = nodeCrypto.ed25519.keyPair(random);
  assert.equal(nodeCrypto.ed25519.isPublicKey(publicKey), true);
  assert.equal(nodeCrypto.ed25519.isPublicKey(publicKey.subarray(1)), false);
});

test('Ed25519: a seed that was zeroed or used again does not sign as the old key', () => {
  for (const [, signatures] of bothEd25519) {
    const seed = random(32);
    const before = signatures.sign(seed, utf8('m'));
    seed.fill(7);
    assert.deepEqual(signatures.sign(seed, utf8('m')), ed25519.sign(utf8('m'), seed));
    assert.notDeepEqual(signatures.sign(seed, utf8('m')), before);
  }
});

test('X25519 gives the answer of RFC 7748 section 6.1 and agrees with @noble/curves', () => {
  const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
  const bob = hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
  const known = hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
  assert.deepEqual(
    nodeCrypto.x25519.keyPair(() => alice).publicKey,
    hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'),
  );
  assert.deepEqual(nodeCrypto.x25519.agree(alice, bob), known);
  for (let i = 0; i < 10; i += 1) {
    const own = nodeCrypto.x25519.keyPair(random);
    const peer = nodeCrypto.x25519.keyPair(random);
    const shared = nodeCrypto.x25519.agree(own.privateKey, peer.publicKey);
    assert.deepEqual(shared, x25519.getSharedSecret(own.privateKey, peer.publicKey));
    assert.deepEqual(shared, nodeCrypto.x25519.agree(peer.privateKey, own.publicKey));
  }
});

test('X25519: every low-order public key and every wrong length is refused', () => {
  const { privateKey } = nodeCrypto.x25519.keyPair(random);
  const lowOrder = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ];
  for (const point of lowOrder) assert.equal(nodeCrypto.x25519.agree(privateKey, hex(point)), undefined, point);
  assert.equal(nodeCrypto.x25519.agree(privateKey, new Uint8Array(31)), undefined);
  assert.throws(() => nodeCrypto.x25519.agree(privateKey.subarray(1), new Uint8Array(32)), RangeError);
});

test('ML-KEM-768 agrees with @noble/post-quantum in both directions', () => {
  for (let i = 0; i < 5; i += 1) {
    const { publicKey, privateKey } = nodeCrypto.mlKem768.keyPair(random);
    const oracle = ml_kem768.keygen(privateKey);
    assert.deepEqual(publicKey, oracle.publicKey);
    const ours = nodeCrypto.mlKem768.encapsulate(publicKey);
    assert.ok(ours !== undefined);
    assert.deepEqual(ml_kem768.decapsulate(ours.ciphertext, oracle.secretKey), ours.sharedSecret);
    const theirs = ml_kem768.encapsulate(publicKey);
    assert.deepEqual(nodeCrypto.mlKem768.decapsulate(privateKey, theirs.cipherText), theirs.sharedSecret);
  }
});

test('ML-KEM-768: a public key with a coefficient of q or more fails the check of FIPS 203 section 7.2', () => {
  const { publicKey } = nodeCrypto.mlKem768.keyPair(random);
  const q = 3329;
  const bad = Uint8Array.from(publicKey);
  bad[0] = q & 0xff; // the first coefficient, little-endian 12 bits, becomes q itself
  bad[1] = ((bad[1] ?? 0) & 0xf0) | (q >> 8);
  assert.equal(nodeCrypto.mlKem768.encapsulate(bad), undefined);
  assert.equal(nodeCrypto.mlKem768.encapsulate(publicKey.subarray(1)), undefined);
});

test('ML-KEM-768: a wrong ciphertext gives the unrelated secret of implicit rejection, a wrong length nothing', () => {
  const { publicKey, privateKey } = nodeCrypto.mlKem768.keyPair(random);
  const sealed = nodeCrypto.mlKem768.encapsulate(publicKey);
  assert.ok(sealed !== undefined);
  const wrong = Uint8Array.from(sealed.ciphertext);
  wrong[500] = (wrong[500] ?? 0) ^ 1;
  const secret = nodeCrypto.mlKem768.decapsulate(privateKey, wrong);
  assert.ok(secret !== undefined && !sameBytes(secret, sealed.sharedSecret));
  assert.deepEqual(secret, ml_kem768.decapsulate(wrong, ml_kem768.keygen(privateKey).secretKey));
  assert.equal(nodeCrypto.mlKem768.decapsulate(privateKey, sealed.ciphertext.subarray(1)), undefined);
  assert.throws(() => nodeCrypto.mlKem768.decapsulate(privateKey.subarray(1), wrong), RangeError);
});

test('ML-DSA-65 agrees with @noble/post-quantum: keys from a seed, and signatures in both directions', () => {
  const { mlDsa65 } = nodeCrypto;
  for (let i = 0; i < 3; i += 1) {
    const { publicKey, privateKey } = mlDsa65.keyPair(random);
    const noble = ml_dsa65.keygen(privateKey);
    assert.deepEqual(publicKey, noble.publicKey);
    assert.equal(publicKey.length, 1952);
    const message = random(i * 500);
    const signature = mlDsa65.sign(privateKey, message);
    assert.equal(signature.length, 3309);
    assert.equal(ml_dsa65.verify(signature, message, publicKey), true);
    for (const extraEntropy of [false, random(32)] as const) {
      const theirs = ml_dsa65.sign(message, noble.secretKey, { extraEntropy });
      assert.equal(mlDsa65.verify(publicKey, message, theirs), true, 'hedged and deterministic signatures both verify');
    }
  }
});

test('ML-DSA-65 signs with an empty context: a signature made for another purpose is none here', () => {
  const { mlDsa65 } = nodeCrypto;
  const { publicKey, privateKey } = mlDsa65.keyPair(random);
  const { secretKey } = ml_dsa65.keygen(privateKey);
  const elsewhere = ml_dsa65.sign(utf8('m'), secretKey, { context: utf8('another protocol') });
  assert.equal(mlDsa65.verify(publicKey, utf8('m'), elsewhere), false);
  assert.equal(mlDsa65.verify(publicKey, utf8('m'), ml_dsa65.sign(utf8('m'), secretKey, { context: utf8('') })), true);
});

test('ML-DSA-65: what a peer changed or sent in another length never verifies and never throws', () => {
  const { mlDsa65 } = nodeCrypto;
  const { publicKey, privateKey } = mlDsa65.keyPair(random);
  const message = utf8('once');
  const signature = mlDsa65.sign(privateKey, message);
  for (const at of [0, 47, 48, 2000, 3247, 3308]) {
    const changed = Uint8Array.from(signature);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.equal(mlDsa65.verify(publicKey, message, changed), false, `byte ${at}`);
  }
  assert.equal(mlDsa65.verify(publicKey, utf8('twice'), signature), false);
  for (const length of [0, 1, 3308, 3310])
    assert.equal(mlDsa65.verify(publicKey, message, new Uint8Array(length)), false);
  for (const length of [0, 32, 1951, 1953]) {
    assert.equal(mlDsa65.verify(new Uint8Array(length), message, signature), false);
    assert.equal(mlDsa65.isPublicKey(new Uint8Array(length)), false);
  }
  for (const fill of [0, 255]) assert.equal(mlDsa65.verify(new Uint8Array(1952).fill(fill), message, signature), false);
  assert.equal(mlDsa65.verify(publicKey, message, new Uint8Array(3309).fill(255)), false);
  assert.throws(() => mlDsa65.sign(new Uint8Array(31), message), RangeError);
  assert.throws(() => mlDsa65.keyPair(() => new Uint8Array(64)), RangeError);
});

function nobleAccepts(publicKey: Uint8Array): boolean {
  try {
    return !ed25519.Point.fromBytes(publicKey).isSmallOrder();
  } catch {
    return false;
  }
}

/** All eight points, computed rather than listed: multiples of a point of order 8. */
function smallOrderEncodings(): readonly Uint8Array[] {
  const generator = hex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');
  const point = ed25519.Point.fromBytes(generator);
  let sum = ed25519.Point.ZERO;
  const points: Uint8Array[] = [];
  for (let i = 0; i < 8; i += 1) {
    points.push(sum.toBytes());
    sum = sum.add(point);
  }
  assert.ok(sum.equals(ed25519.Point.ZERO));
  assert.equal(new Set(points.map((p) => Buffer.from(p).toString('hex'))).size, 8);
  return points;
}

function addGroupOrder(signature: Uint8Array): Uint8Array {
  const L = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + L;
  const bytes = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse();
  return Uint8Array.from([...signature.subarray(0, 32), ...bytes]);
}
