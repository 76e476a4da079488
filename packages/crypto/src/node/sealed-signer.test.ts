import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { utf8 } from '@norc/protocol/base';
import { nodeCrypto } from './node-crypto.ts';
import { nodeRandom } from './ports.ts';
import { createSealedSigner, openSealedSigner, sealedPublicKey } from './sealed-signer.ts';
import { KeyFileError } from './signer.ts';

const CHEAP = { memoryKib: 64, passes: 1, lanes: 1 };
/** Guessing costs nothing: for tests alone. */
const WEAK = { costMin: CHEAP };
const WORDS = 'correct horse battery';
let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'norc-sealed-'));
});
after(() => rm(folder, { recursive: true }));

const faultOf = (fault: string) => (error: unknown) => error instanceof KeyFileError && error.fault === fault;

async function made(name: string): Promise<string> {
  const path = join(folder, name);
  (await createSealedSigner(path, WORDS, { random: nodeRandom, cost: CHEAP })).close();
  return path;
}

test('[OFFICER-15] a sealed key opens with its passphrase only, is private, and holds no seed', async () => {
  const path = join(folder, 'anna.key');
  const seeds: Uint8Array[] = [];
  const random = {
    bytes(length: number) {
      const bytes = nodeRandom.bytes(length);
      if (length === 32) seeds.push(Uint8Array.from(bytes));
      return bytes;
    },
  };
  const signer = await createSealedSigner(path, WORDS, { random, cost: CHEAP });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const text = await readFile(path, 'utf8');
  assert.equal(seeds.length, 1);
  for (const form of ['base64url', 'base64', 'hex'] as const)
    assert.ok(!text.includes(Buffer.from(seeds[0] ?? []).toString(form)));
  const opened = await openSealedSigner(path, WORDS, WEAK);
  assert.deepEqual(opened.publicKey, signer.publicKey);
  assert.deepEqual(await sealedPublicKey(path), signer.publicKey);
  const signature = await opened.sign(utf8('m'));
  assert.ok(nodeCrypto.ed25519.verify(signer.publicKey, utf8('m'), signature));
  opened.close();
  await assert.rejects(opened.sign(utf8('m')), TypeError);
  await assert.rejects(openSealedSigner(path, 'correct horse batterz', WEAK), faultOf('wrong_passphrase'));
  await assert.rejects(openSealedSigner(path, '', WEAK), faultOf('wrong_passphrase'));
});

test('the same words in another Unicode form open the key', async () => {
  const path = join(folder, 'unicode.key');
  (await createSealedSigner(path, 'schl\u00fcssel \ufb01', { random: nodeRandom, cost: CHEAP })).close();
  (await openSealedSigner(path, 'schlu\u0308ssel fi', WEAK)).close();
});

test('a key is never overwritten, nor read through a link or from a file of others', async () => {
  const path = await made('kept.key');
  const text = await readFile(path, 'utf8');
  await assert.rejects(createSealedSigner(path, WORDS, { random: nodeRandom, cost: CHEAP }), faultOf('exists'));
  assert.equal(await readFile(path, 'utf8'), text);
  await symlink(path, join(folder, 'link.key'));
  await assert.rejects(openSealedSigner(join(folder, 'link.key'), WORDS), faultOf('not_a_key'));
  await chmod(path, 0o640);
  await assert.rejects(openSealedSigner(path, WORDS, WEAK), faultOf('not_private'));
  await assert.rejects(openSealedSigner(join(folder, 'absent.key'), WORDS), faultOf('missing'));
});

test('[OFFICER-15] everything public in the file is bound to the key: no change of it opens', async () => {
  const path = await made('bound.key');
  const other = await made('other.key');
  const file = JSON.parse(await readFile(path, 'utf8'));
  const foreign = JSON.parse(await readFile(other, 'utf8'));
  const changes: readonly [object, string][] = [
    [{ public_key: foreign.public_key }, 'wrong_passphrase'],
    [{ kdf: { ...file.kdf, passes: 2 } }, 'wrong_passphrase'],
    [{ kdf: foreign.kdf }, 'wrong_passphrase'],
    [{ sealed: foreign.sealed }, 'wrong_passphrase'],
    [{ kdf: { ...file.kdf, memory_kib: 2 ** 31 } }, 'not_a_key'],
    [{ kdf: { ...file.kdf, memory_kib: '64' } }, 'not_a_key'],
    [{ kdf: null }, 'not_a_key'],
    [{ kdf: { ...file.kdf, name: 'pbkdf2' } }, 'not_a_key'],
    [{ algorithm: 'ml-dsa-65' }, 'not_a_key'],
    [{ version: 2 }, 'not_a_key'],
    [{ sealed: 'AAAA' }, 'not_a_key'],
  ];
  for (const [change, fault] of changes) {
    await writeFile(path, JSON.stringify({ ...file, ...change }));
    await assert.rejects(openSealedSigner(path, WORDS, WEAK), faultOf(fault), JSON.stringify(change));
  }
  for (const text of ['', '[]', 'null', '{', 'norc-ed25519-seed-v1:AAAA']) {
    await writeFile(path, text);
    await assert.rejects(openSealedSigner(path, WORDS, WEAK), faultOf('not_a_key'), text);
  }
});

test('[OFFICER-15] a key that is sealed more cheaply than the rule asks does not open', async () => {
  const path = await made('weak.key');
  await assert.rejects(openSealedSigner(path, WORDS), faultOf('not_a_key'));
});
