import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { isPublicAddress } from '../../transport/addresses.ts';
import { systemTimers } from '../../transport/timers.ts';
import { createCertificateFetch, type FetchOptions } from './web-fetch.ts';

async function serve(t: TestContext, listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port; // a TCP server
}

function fetchFrom(port: number, changes: Partial<FetchOptions> = {}) {
  return createCertificateFetch({
    addresses: async () => ['127.0.0.1'],
    timers: systemTimers,
    allowed: () => true,
    ports: { 'http:': port },
    ...changes,
  });
}

const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString());

test('[EVID-19] fetches over HTTP, and posts', async (t) => {
  const port = await serve(t, (request, response) => {
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => response.end(`${request.method} ${request.url} ${request.headers.host} ${body}`));
  });
  const fetch = fetchFrom(port);
  assert.match(
    text(await fetch({ address: 'http://pki.example/a?b', bytesMax: 100 })) ?? '',
    /^GET \/a\?b pki\.example/,
  );
  const post = { type: 'application/ocsp-request', body: Buffer.from('hi') };
  assert.match(text(await fetch({ address: 'http://pki.example/', bytesMax: 100, post })) ?? '', /^POST \/ .* hi$/);
});

test('[EVID-19] attack: no answer is taken that is too large, too slow, or no success', async (t) => {
  const port = await serve(t, (request, response) => {
    if (request.url === '/large') response.end(Buffer.alloc(101));
    else if (request.url === '/missing') response.writeHead(404).end('no');
    else if (request.url === '/drip') response.write('x'); // and never ends
  });
  const fetch = fetchFrom(port, { timeMsMax: 80 });
  for (const path of ['large', 'missing', 'drip', 'silent']) {
    assert.equal(await fetch({ address: `http://pki.example/${path}`, bytesMax: 100 }), undefined, path);
  }
});

test('[EVID-19] attack: own networks, other schemes and other ports are never reached', async (t) => {
  let reached = 0;
  const port = await serve(t, (_request, response) => {
    reached += 1;
    response.end('secret');
  });
  const ports = { 'http:': port };
  const direct = fetchFrom(port, { allowed: isPublicAddress });
  for (const host of [
    '127.0.0.1',
    '[::1]',
    '169.254.169.254',
    '[::ffff:127.0.0.1]',
    '0.0.0.0',
    '2130706433',
    '0x7f.1',
    'localhost',
  ]) {
    assert.equal(await direct({ address: `http://${host}/`, bytesMax: 100 }), undefined, host);
  }
  for (const addresses of [['127.0.0.1'], ['10.1.2.3'], ['93.184.216.34', '127.0.0.1'], ['fd00::1'], []]) {
    const named = createCertificateFetch({ addresses: async () => addresses, timers: systemTimers, ports });
    assert.equal(await named({ address: 'http://evil.example/', bytesMax: 100 }), undefined, addresses.join());
  }
  const open = fetchFrom(port);
  for (const address of [
    'file:///etc/passwd',
    'ftp://pki.example/x',
    'ldap://pki.example/x',
    'gopher://pki.example/',
    'http://pki.example:22/',
    'http://user:password@pki.example/',
    `http://pki.example/${'x'.repeat(2000)}`,
    'no address',
  ]) {
    assert.equal(await open({ address, bytesMax: 100 }), undefined, address);
  }
  const failing = createCertificateFetch({
    addresses: () => Promise.reject(new Error('silent')),
    timers: systemTimers,
  });
  assert.equal(await failing({ address: 'http://evil.example/', bytesMax: 100 }), undefined);
  assert.equal(reached, 0);
});

test('[EVID-19] attack: a redirect leads to nothing that the first address could not be', async (t) => {
  const hosts: string[] = [];
  const port = await serve(t, (request, response) => {
    hosts.push(request.headers.host ?? '');
    const to: Record<string, string> = {
      '/ok': '/there',
      '/file': 'file:///etc/passwd',
      '/metadata': 'http://169.254.169.254/latest',
      '/loop': '/loop',
    };
    const location = to[request.url ?? ''];
    if (location === undefined) response.end('there');
    else response.writeHead(302, { location }).end();
  });
  // Loopback stands for the public internet here, so that only what is private otherwise is refused.
  const addresses = async (host: string) => (host === 'pki.example' ? ['127.0.0.1'] : []);
  const fetch = fetchFrom(port, { addresses, allowed: (address) => address === '127.0.0.1' });
  assert.equal(text(await fetch({ address: 'http://pki.example/ok', bytesMax: 100 })), 'there');
  assert.equal(await fetch({ address: 'http://pki.example/file', bytesMax: 100 }), undefined);
  assert.equal(await fetch({ address: 'http://pki.example/metadata', bytesMax: 100 }), undefined);
  assert.equal(await fetch({ address: 'http://pki.example/loop', bytesMax: 100 }), undefined);
  assert.equal(hosts.filter((host) => !host.startsWith('pki.example')).length, 0);
  const post = { type: 'x', body: new Uint8Array(1) };
  assert.equal(await fetch({ address: 'http://pki.example/ok', bytesMax: 100, post }), undefined);
});

test('which addresses are public', () => {
  for (const address of ['8.8.8.8', '93.184.216.34', '2606:4700::1111', '1.1.1.1'])
    assert.equal(isPublicAddress(address), true, address);
  for (const address of [
    '127.0.0.1',
    '10.0.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '255.255.255.255',
    '224.0.0.1',
    '::1',
    '::',
    'fe80::1',
    'fc00::1',
    'fd00:ec2::254',
    '::ffff:8.8.8.8',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    'ff02::1',
    'fe80::1%eth0',
    'bravo.example',
    '',
  ]) {
    assert.equal(isPublicAddress(address), false, address);
  }
});
