import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nodeClock, nodeRandom } from '@norc/crypto/node';
import { parseDomain } from '@norc/protocol/base';
import { initOrganisation, organisationPaths } from '@norc/server';
import { serverSettings } from '../server/settings.ts';
import { checkServer } from './server.ts';

let data = '';
before(async () => {
  data = await mkdtemp(join(tmpdir(), 'norc-doctor-'));
  const domain = parseDomain('alpha.example');
  assert.ok(domain.ok);
  const identity = await initOrganisation(join(data, 'alpha.example'), domain.value, {
    clock: nodeClock,
    random: nodeRandom,
  });
  identity.signer.close();
});
after(() => rm(data, { recursive: true }));

async function findings(listen = '127.0.0.1:0', domain = 'alpha.example') {
  const options = new Map(Object.entries({ data, listen, domain }));
  const { config } = await serverSettings({ positionals: [], options, flags: new Set() });
  return await checkServer(config);
}

const troubles = async (...args: Parameters<typeof findings>) =>
  (await findings(...args)).filter(({ state }) => state !== 'ok');

test('an organisation in order has nothing to look at', async () => {
  assert.deepEqual(await troubles(), []);
});

test('each trouble says what to do', async () => {
  for (const { next } of await troubles('127.0.0.1:0', 'absent.example')) assert.ok(next !== undefined && next !== '');
});

test('a port that another program holds fails', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen({ host: '127.0.0.1', port: 0 }, resolve));
  const address = taken.address();
  const [trouble] = await troubles(`127.0.0.1:${typeof address === 'object' ? address?.port : 0}`);
  taken.close();
  assert.equal(trouble?.state, 'fail');
  assert.match(trouble.detail, /taken by another program/);
});

test('a clock that stands before the last write fails', async () => {
  const { database } = organisationPaths(join(data, 'alpha.example'));
  await writeFile(`${database}-wal`, '');
  const ahead = new Date(Date.now() + 600_000);
  await utimes(`${database}-wal`, ahead, ahead);
  const [trouble] = await troubles();
  await rm(`${database}-wal`);
  assert.equal(trouble?.what, 'Clock');
  assert.match(trouble.detail, /stands (599|600) s before the last write/);
});

test('a file that is no database fails', async () => {
  const { database } = organisationPaths(join(data, 'alpha.example'));
  await writeFile(database, 'not a database at all, but long enough to look at it closely'.repeat(20));
  const [trouble] = await troubles();
  await rm(database);
  assert.equal(trouble?.what, 'alpha.example database');
  assert.equal(trouble.state, 'fail');
});

test('a key that others can read fails, a folder that others can enter warns', {
  skip: process.platform === 'win32',
}, async () => {
  const { serverKey } = organisationPaths(join(data, 'alpha.example'));
  await chmod(serverKey, 0o640);
  await chmod(data, 0o755);
  const found = await troubles();
  await chmod(serverKey, 0o600);
  await chmod(data, 0o700);
  assert.deepEqual(
    found.map(({ state, what }) => [state, what]),
    [
      ['warn', 'Data folder'],
      ['fail', 'alpha.example keys'],
    ],
  );
});
