import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nodeClock, nodeRandom } from '@norc/crypto/node';
import { parseDomain } from '@norc/protocol/base';
import { initOrganisation } from '@norc/server';
import type { CommandInput } from '../command.ts';
import { organisationsIn, serverSettings } from './settings.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'norc-settings-'));
});
after(() => rm(folder, { recursive: true }));

const input = (options: Readonly<Record<string, string>>): CommandInput => ({
  positionals: [],
  options: new Map(Object.entries(options)),
  flags: new Set(),
});

test('without a configuration it is a server for trying things out: loopback, no links, a log of its own', async () => {
  const { config, development } = await serverSettings(input({ data: folder }));
  assert.ok(development);
  assert.deepEqual(config.organisation.domains, ['dev.example']);
  assert.equal(config.listen.host, '127.0.0.1');
  assert.equal(config.federation.enabled, false);
  assert.equal(config.log.file, join(folder, 'server.log'));
});

test('the organisation that is in the data folder is the one that is served', async () => {
  const domain = parseDomain('real.example');
  assert.ok(domain.ok);
  const identity = await initOrganisation(join(folder, 'real.example'), domain.value, {
    clock: nodeClock,
    random: nodeRandom,
  });
  identity.signer.close();
  assert.deepEqual(await organisationsIn(folder), ['real.example']);
  const { config } = await serverSettings(input({ data: folder }));
  assert.deepEqual(config.organisation.domains, ['real.example']);
  const other = await serverSettings(input({ data: folder, domain: 'other.example' }));
  assert.deepEqual(other.config.organisation.domains, ['other.example'], 'the command line wins');
});

test('addresses on the command line: a port alone, a host, an IPv6 address; --federation opens links', async () => {
  const listen = async (text: string) => (await serverSettings(input({ data: folder, listen: text }))).config.listen;
  assert.equal((await listen('9000')).port, 9000);
  assert.deepEqual(pick(await listen('localhost:9001')), ['localhost', 9001]);
  assert.deepEqual(pick(await listen('[::1]:9002')), ['::1', 9002]);
  const { federation } = (await serverSettings(input({ data: folder, federation: '127.0.0.1:0' }))).config;
  assert.ok(federation.enabled);
});

const pick = ({ host, port }: { readonly host: string; readonly port: number }) => [host, port];

test('an address that is none is a wrong command line, and one that may not be is a wrong setting', async () => {
  for (const text of ['nowhere', 'host:', ':80', '1.2.3.4:port', '::1:80']) {
    await assert.rejects(serverSettings(input({ data: folder, listen: text })), { name: 'CommandError', exitCode: 64 });
  }
  await assert.rejects(serverSettings(input({ data: folder, listen: '127.0.0.1:70000' })), { name: 'ConfigError' });
  await assert.rejects(serverSettings(input({ data: folder, listen: '0.0.0.0:8080' })), {
    name: 'ConfigError',
    message: /without TLS/,
  });
});

test('a named configuration must be there, and is not for trying things out', async () => {
  await assert.rejects(serverSettings(input({ config: join(folder, 'absent.toml') })), { name: 'ConfigError' });
});
