import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Domain, instant } from '@norc/protocol/base';
import { generateTlsIdentity } from '../transport/tls-identity.ts';
import { loadConfig, readDeviceTls } from './load.ts';

const WORLD = {
  clock: { now: () => instant(Date.now()) },
  random: { bytes: (n: number) => Uint8Array.from(randomBytes(n)) },
};
let folder = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'norc-config-'));
});
after(() => rm(folder, { recursive: true }));

test('norc.toml in the working folder is found by itself, a named file must be there', async () => {
  const overrides = { organisation: { domains: ['alpha.example'] } };
  assert.equal((await loadConfig({ folder, overrides })).listen.port, 8080);
  await writeFile(join(folder, 'norc.toml'), '[listen]\nport = 9\n');
  assert.equal((await loadConfig({ folder, overrides })).listen.port, 9);
  await assert.rejects(loadConfig({ folder, overrides, file: 'other.toml' }), {
    name: 'ConfigError',
    message: /other\.toml.*ENOENT/,
  });
  await assert.rejects(loadConfig({ folder, overrides, file: '.' }), { name: 'ConfigError', message: /EISDIR/ });
});

test('key and certificate for devices are read, and must be there and belong together', async () => {
  const [one, two] = [1, 2].map(() => generateTlsIdentity('alpha.example' as Domain, WORLD)); // a domain as parseDomain gives it
  assert.ok(one !== undefined && two !== undefined);
  await writeFile(join(folder, 'c.pem'), one.certPem);
  await writeFile(join(folder, 'k.pem'), one.keyPem);
  await writeFile(join(folder, 'k2.pem'), two.keyPem);
  const configured = (tls_certificate: string, tls_key: string) =>
    loadConfig({
      folder,
      overrides: { organisation: { domains: ['alpha.example'] }, listen: { tls_certificate, tls_key } },
    });
  const pair = { key: one.keyPem, cert: one.certPem };
  assert.deepEqual(await readDeviceTls(await configured('c.pem', 'k.pem')), { byName: new Map(), otherwise: pair });
  await assert.rejects(async () => readDeviceTls(await configured('c.pem', 'k2.pem')), {
    message: /tls_certificate: found no pair/,
  });
  await assert.rejects(async () => readDeviceTls(await configured('c.pem', 'c.pem')), { message: /tls_certificate/ });
  await assert.rejects(async () => readDeviceTls(await configured('none.pem', 'k.pem')), {
    message: /tls_certificate.*ENOENT/,
  });
  const named = await loadConfig({
    folder,
    overrides: {
      organisation: { domains: ['alpha.example'] },
      listen: { certificate: [{ domain: 'alpha.example', certificate: 'c.pem', key: 'k.pem' }] },
    },
  });
  assert.deepEqual(await readDeviceTls(named), { byName: new Map([['alpha.example', pair]]), otherwise: undefined });
  const plain = await loadConfig({ folder, overrides: { organisation: { domains: ['alpha.example'] } } });
  assert.equal(await readDeviceTls(plain), undefined);
});
