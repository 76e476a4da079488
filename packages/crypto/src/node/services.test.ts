import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromHex, utf8 } from '@norc/protocol/base';
import { argon2id, runArgon2id } from './argon2.ts';
import { nodeCrypto } from './node-crypto.ts';
import { nodeClock, nodeRandom } from './ports.ts';
import { createSignerFile, KeyFileError, openSignerFile, seedSigner } from './signer.ts';

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
