import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromHex, utf8 } from '@norc/protocol/base';
import { argon2id, runArgon2id } from './argon2.ts';
import { forgetExpandedKey, sodiumEd25519 } from './ed25519.ts';
import { nodeCrypto } from './node-crypto.ts';
import { nodeClock, nodeRandom } from './ports.ts';
import {
  createMlDsa65File,
  createSignerFile,
  KeyFileError,
  mlDsa65Signer,
  openMlDsa65File,
  openSignerFile,
  seedSigner,
} from './signer.ts';
import { loadSodium } from './sodium.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'norc-signer-'));
});
after(() => rm(folder, { recursive: true }));

const faultOf = (fault: string) => (error: unknown) => error instanceof KeyFileError && error.fault === fault;

test('Argon2id gives the answer of RFC 9106 section 5.3', async () => {
  const tag = await runArgon2id({
    message: new Uint8Array(32).fill(1),
    nonce: new Uint8Array(16).fill(2),
    secret: new Uint8Array(8).fill(3),
    associatedData: new Uint8Array(12).fill(4),
    memory: 32,
    passes: 3,
    parallelism: 4,
    tagLength: 32,
  });
  assert.deepEqual(tag, fromHex('0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659'));
});

test('Argon2id: salt and passphrase both count; a cost out of bounds is refused', async () => {
  const cost = { memoryKib: 64, passes: 1, lanes: 1 };
  const salt = new Uint8Array(16);
  const key = await argon2id(utf8('correct horse'), salt, cost, 32);
  assert.equal(key.length, 32);
  assert.notDeepEqual(await argon2id(utf8('correct hoarse'), salt, cost, 32), key);
  assert.notDeepEqual(await argon2id(utf8('correct horse'), salt.fill(1), cost, 32), key);
  for (const bad of [
    { ...cost, memoryKib: 7 },
    { ...cost, memoryKib: 2 ** 30 },
    { ...cost, passes: 0 },
    { ...cost, passes: 1000 },
    { ...cost, lanes: 1.5 },
  ]) {
    assert.throws(() => argon2id(utf8('p'), salt, bad, 32), RangeError);
  }
  assert.throws(() => argon2id(utf8('p'), new Uint8Array(8), cost, 32), RangeError);
});

test('a seed signer signs with its own copy of the seed, until it is closed', async () => {
  const seed = nodeRandom.bytes(32);
  const signer = seedSigner(seed);
  seed.fill(0);
  const signature = await signer.sign(utf8('m'));
  assert.equal(nodeCrypto.ed25519.verify(signer.publicKey, utf8('m'), signature), true);
  signer.close();
  await assert.rejects(() => signer.sign(utf8('m')), TypeError);
});

test('a key file is private, survives a restart and is never overwritten', async () => {
  const path = join(folder, 'server.key');
  const made = await createSignerFile(path, nodeRandom);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const opened = await openSignerFile(path);
  assert.deepEqual(opened.publicKey, made.publicKey);
  const before = await readFile(path, 'utf8');
  await assert.rejects(() => createSignerFile(path, nodeRandom), faultOf('exists'));
  assert.equal(await readFile(path, 'utf8'), before);
});

test('an ML-DSA-65 key file keeps the seed alone, and is no Ed25519 key file, nor the reverse', async () => {
  const path = join(folder, 'server-pq.key');
  const made = await createMlDsa65File(path, nodeRandom);
  const opened = await openMlDsa65File(path);
  assert.deepEqual(opened.publicKey, made.publicKey);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.ok((await readFile(path, 'utf8')).length < 80);
  const signature = await opened.sign(utf8('m'));
  assert.equal(nodeCrypto.mlDsa65.verify(made.publicKey, utf8('m'), signature), true);
  await assert.rejects(() => openSignerFile(path), faultOf('not_a_key'));
  const classical = join(folder, 'classical.key');
  await createSignerFile(classical, nodeRandom);
  await assert.rejects(() => openMlDsa65File(classical), faultOf('not_a_key'));
  await assert.rejects(() => createMlDsa65File(path, nodeRandom), faultOf('exists'));
  opened.close();
  await assert.rejects(() => opened.sign(utf8('m')), TypeError);
  assert.throws(() => mlDsa65Signer(new Uint8Array(31)), RangeError);
});

test('a key file that is missing, open to others or not a key is named as such, without its content', async () => {
  await assert.rejects(() => openSignerFile(join(folder, 'none')), faultOf('missing'));
  const loose = join(folder, 'loose.key');
  await createSignerFile(loose, nodeRandom);
  await chmod(loose, 0o644);
  await assert.rejects(() => openSignerFile(loose), faultOf('not_private'));
  const broken = join(folder, 'broken.key');
  await writeFile(broken, 'norc-ed25519-seed-v1:c2VjcmV0\n', { mode: 0o600 });
  await assert.rejects(
    () => openSignerFile(broken),
    (error: unknown) => faultOf('not_a_key')(error) && error instanceof Error && !error.message.includes('c2Vj'),
  );
});

test('a key file that is a link is refused, wherever it leads', { skip: process.platform === 'win32' }, async () => {
  const path = join(folder, 'linked.key');
  (await createSignerFile(path, nodeRandom)).close();
  await symlink(path, join(folder, 'link.key'));
  await assert.rejects(openSignerFile(join(folder, 'link.key')), faultOf('not_a_key'));
  await assert.rejects(createSignerFile(join(folder, 'link.key'), nodeRandom), faultOf('exists'));
  await assert.rejects(openSignerFile(folder), faultOf('not_a_key'));
});

test('what libsodium makes of a seed is overwritten with it', (t) => {
  const sodium = loadSodium();
  if (sodium === undefined) return t.skip('no libsodium here');
  const expanded: Uint8Array[] = [];
  const watched = sodiumEd25519({
    ...{
      crypto_sign_detached: sodium.crypto_sign_detached,
      crypto_sign_verify_detached: sodium.crypto_sign_verify_detached,
    },
    crypto_aead_chacha20poly1305_ietf_encrypt: sodium.crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_aead_chacha20poly1305_ietf_decrypt: sodium.crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_sign_seed_keypair(publicKey, secretKey, seed) {
      expanded.push(secretKey);
      return sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed);
    },
  });
  const seed = nodeRandom.bytes(32);
  watched.sign(seed, utf8('m'));
  assert.ok(expanded[0]?.some((byte) => byte !== 0));
  forgetExpandedKey(seed);
  assert.deepEqual(expanded[0], new Uint8Array(64));
  return undefined;
});

test('random bytes do not repeat; the clock gives whole milliseconds', () => {
  assert.notDeepEqual(nodeRandom.bytes(16), nodeRandom.bytes(16));
  assert.ok(Number.isInteger(nodeClock.now()));
});

test('random bytes of every length are fresh, and the caller owns them', () => {
  const seen = new Set<string>();
  for (let i = 0; i < 2000; i += 1) {
    const bytes = nodeRandom.bytes(12 + (i % 22));
    assert.equal(bytes.length, 12 + (i % 22));
    assert.equal(bytes.byteLength, bytes.buffer.byteLength, 'no other bytes are in its memory');
    seen.add(Buffer.from(bytes.subarray(0, 12)).toString('hex'));
  }
  assert.equal(seen.size, 2000);
  assert.equal(nodeRandom.bytes(0).length, 0);
});
