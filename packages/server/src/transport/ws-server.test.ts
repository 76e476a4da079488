import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import type { Domain } from '@norc/protocol/base';
import { WebSocket } from 'ws';
import { closeOf, openClient, rawClient, startListener, TLS, upgradeStatus, WORLD } from './device-test-support.ts';
import { ListenError } from './errors.ts';
import { generateTlsIdentity } from './tls-identity.ts';
import { listenDevices } from './ws-server.ts';

const handler = () => ({ message() {}, closed() {} });

test('[TRANSPORT-1] text and bytes go both ways on both paths, in order', async (t) => {
  const { url, device } = await startListener(t);
  for (const [index, path] of (['/norc-c', '/ws'] as const).entries()) {
    const client = await openClient(t, url + path);
    const accepted = await device(index);
    assert.equal(accepted.socket.path, path);
    assert.equal(accepted.socket.remoteAddress, '127.0.0.1');
    assert.equal(accepted.socket.host, '127.0.0.1');
    client.send('hello');
    client.send(Uint8Array.of(1, 2, 3));
    await accepted.until((d) => d.messages.length === 2);
    assert.deepEqual(accepted.messages, ['hello', Uint8Array.of(1, 2, 3)]);
    const received: unknown[] = [];
    const both = new Promise<void>((resolve) =>
      client.on('message', (data: Buffer, isBinary) => {
        if (received.push(isBinary ? [...data] : data.toString()) === 2) resolve();
      }),
    );
    accepted.socket.send('welcome');
    accepted.socket.send(Uint8Array.of(9));
    await both;
    assert.deepEqual(received, ['welcome', [9]]);
  }
});

test('received bytes are a plain Uint8Array, whose slice is a copy', async (t) => {
  const { url, device } = await startListener(t);
  const client = await openClient(t, `${url}/norc-c`);
  client.send(Uint8Array.of(1, 2));
  const accepted = await device(0);
  await accepted.until((d) => d.messages.length === 1);
  const [message] = accepted.messages;
  assert.ok(message instanceof Uint8Array && !Buffer.isBuffer(message));
});

test('[TRANSPORT-2] the server picks the subprotocol by its own order, and seed clients need none', async (t) => {
  const { url, device } = await startListener(t);
  const cases = [
    [['norc-c-json.v1', 'norc-c.v2'], 'norc-c.v2'],
    [['norc-c-json.v1'], 'norc-c-json.v1'],
    [[], ''],
  ] as const;
  for (const [index, [offered, chosen]] of cases.entries()) {
    const client = await openClient(t, `${url}/norc-c`, offered);
    assert.equal(client.protocol, chosen);
    assert.equal((await device(index)).socket.subprotocol, chosen);
  }
});

test('[TRANSPORT-3] TLS is 1.3 with X25519MLKEM768, and a client without either gets no connection', async (t) => {
  const { url, listener, devices } = await startListener(t, { tls: TLS });
  const client = await openClient(t, `${url}/norc-c`);
  assert.equal(client.readyState, WebSocket.OPEN);
  const base = { host: '127.0.0.1', port: listener.address.port, rejectUnauthorized: false };
  const good = tlsConnect(base);
  await once(good, 'secureConnect');
  assert.equal(good.getProtocol(), 'TLSv1.3');
  assert.deepEqual(good.getEphemeralKeyInfo(), { type: 'TLSGroup', name: 'X25519MLKEM768', size: undefined });
  good.destroy();
  for (const weaker of [{ ecdhCurve: 'X25519' }, { ecdhCurve: 'P-256:X25519' }, { maxVersion: 'TLSv1.2' as const }]) {
    const socket = tlsConnect({ ...base, ...weaker });
    const [error] = await once(socket, 'error');
    assert.match(String(error), /handshake failure|protocol version|alert/);
  }
  assert.equal(devices.length, 1);
});

test('each organisation is met under its own certificate, and a name that is not here meets none', async (t) => {
  const pair = (domain: string) => {
    const { keyPem, certPem } = generateTlsIdentity(domain as Domain, WORLD); // well formed
    return { key: keyPem, cert: certPem };
  };
  const [alpha, bravo] = [pair('alpha.example'), pair('bravo.example')];
  const byName = new Map([
    ['alpha.example', alpha],
    ['bravo.example', bravo],
  ]);
  const { listener } = await startListener(t, { tls: { byName, otherwise: undefined } });
  const meet = async (port: number, servername?: string) => {
    const named = servername === undefined ? {} : { servername };
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...named });
    t.after(() => socket.destroy());
    return await new Promise<string>((resolve) => {
      socket.once('secureConnect', () => resolve(new X509Certificate(socket.getPeerCertificate().raw).toString()));
      socket.once('error', () => resolve('refused'));
    });
  };
  const { port } = listener.address;
  assert.equal(await meet(port, 'alpha.example'), new X509Certificate(alpha.cert).toString());
  assert.equal(await meet(port, 'BRAVO.example'), new X509Certificate(bravo.cert).toString());
  assert.equal(await meet(port, 'carol.example'), 'refused');
  assert.equal(await meet(port), 'refused');
  const shared = await startListener(t, { tls: { byName, otherwise: bravo } });
  assert.equal(await meet(shared.listener.address.port, 'alpha.example'), new X509Certificate(alpha.cert).toString());
  assert.equal(await meet(shared.listener.address.port, 'carol.example'), new X509Certificate(bravo.cert).toString());
});

test('[TRANSPORT-4] plain WebSocket on an address that others reach needs the explicit flag', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'alpha.example']) {
    await assert.rejects(listenDevices({ host, port: 0 }, handler), RangeError, host);
  }
  const allowed = await listenDevices({ host: '0.0.0.0', port: 0, allowPlainNonLoopback: true }, handler);
  await allowed.close();
  const withTls = await listenDevices({ host: '0.0.0.0', port: 0, tls: TLS }, handler);
  await withTls.close();
});

test('a port in use and an address of another machine are named, with what to do', async (t) => {
  const { listener } = await startListener(t);
  const { port } = listener.address;
  await assert.rejects(listenDevices({ host: '127.0.0.1', port }, handler), (error: unknown) => {
    assert.ok(error instanceof ListenError);
    assert.deepEqual([error.fault, error.host, error.port], ['in_use', '127.0.0.1', port]);
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}.*another port`));
    return true;
  });
  await assert.rejects(listenDevices({ host: '203.0.113.7', port: 0, tls: TLS }, handler), {
    fault: 'no_such_address',
  });
});

function get(url: string, path: string, method = 'GET'): Promise<{ status: number; body: string; headers: string[] }> {
  return new Promise((resolve, reject) => {
    const call = request(url.replace('ws:', 'http:') + path, { method }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, headers: Object.keys(response.headers).sort() }),
      );
    });
    call.on('error', reject).end();
  });
}

test('[TRANSPORT-1] health is answered, everything else is 404, and nothing says what runs here', async (t) => {
  const { url } = await startListener(t);
  const healthy = await get(url, '/healthz');
  assert.deepEqual([healthy.status, healthy.body], [200, 'ok']);
  assert.deepEqual(healthy.headers, ['cache-control', 'connection', 'content-length', 'content-type']);
  for (const [path, method] of [
    ['/', 'GET'],
    ['/norc-c', 'GET'],
    ['/healthz', 'POST'],
    ['/healthz?x', 'GET'],
  ] as const) {
    const answer = await get(url, path, method);
    assert.deepEqual(answer, { status: 404, body: '', headers: ['connection', 'content-length'] }, `${method} ${path}`);
  }
});

test('[TRANSPORT-7] an upgrade elsewhere is 404, from a foreign web page 403', async (t) => {
  const { url, listener } = await startListener(t, { allowedOrigins: ['https://chat.example'] });
  const own = `http://127.0.0.1:${listener.address.port}`;
  const rebound = { Origin: 'http://evil.example', Host: 'evil.example' };
  assert.equal(await upgradeStatus(`${url}/other`), 404);
  assert.equal(await upgradeStatus(`${url}/norc-c?x=1`), 404);
  assert.equal(await upgradeStatus(`${url}/norc-c`, { headers: { Origin: 'https://evil.example' } }), 403);
  assert.equal(await upgradeStatus(`${url}/norc-c`, { headers: { Origin: 'null' } }), 403);
  assert.equal(await upgradeStatus(`${url}/norc-c`, { headers: rebound }), 403, 'DNS rebinding');
  assert.equal(await upgradeStatus(`${url}/norc-c`, { headers: { Origin: 'http://127.0.0.1:1' } }), 403);
  assert.equal(await upgradeStatus(`${url}/norc-c`, { headers: { Origin: 'https://chat.example' } }), 101);
  assert.equal(await upgradeStatus(`${url}/norc-c`, { headers: { Origin: own } }), 101);
});

test('bytes that are no TLS and no HTTP end their own connection only', async (t) => {
  for (const tls of [undefined, TLS]) {
    const { url, listener } = await startListener(t, tls === undefined ? {} : { tls });
    const client = await openClient(t, `${url}/norc-c`);
    const raw = await rawClient(t, listener.address.port);
    raw.socket.write(Buffer.alloc(2000, 0xa5));
    await raw.closed;
    assert.equal(client.readyState, WebSocket.OPEN);
  }
});

test('[TRANSPORT-6] closing tells every device, waits for them, and frees the port', async (t) => {
  const { url, listener, devices, timers, device } = await startListener(t, { tls: TLS });
  const clients = await Promise.all([1, 2, 3].map(() => openClient(t, `${url}/norc-c`)));
  const raw = await rawClient(t, listener.address.port);
  await device(2);
  const codes = clients.map(closeOf);
  await listener.close();
  for (const { code, reason } of await Promise.all(codes)) assert.deepEqual([code, reason], [1001, 'shutting_down']);
  await raw.closed;
  assert.ok(devices.every((d) => d.closed));
  assert.equal(timers.waiting, 0);
  const again = await listenDevices({ host: '127.0.0.1', port: listener.address.port }, handler);
  await again.close();
});

test('closing cuts a device that does not answer, after its time', async (t) => {
  const { url, listener, timers, device } = await startListener(t);
  const client = await openClient(t, `${url}/norc-c`);
  client.pause();
  const accepted = await device(0);
  const closing = listener.close();
  await new Promise(setImmediate);
  timers.advance(5_000);
  await closing;
  assert.equal(accepted.closed, true);
});

test('[TRANSPORT-6] a fault in a handler ends that connection alone and is reported', async (t) => {
  const fault = new Error('bug');
  const { url, faults, device } = await startListener(t, {
    accepting: (d) => {
      d.onMessage = () => {
        throw fault;
      };
    },
  });
  const [bad, other] = [await openClient(t, `${url}/norc-c`), await openClient(t, `${url}/norc-c`)];
  const closed = closeOf(bad);
  bad.send('x');
  assert.deepEqual(await closed, { code: 1011, reason: 'internal' });
  assert.deepEqual(faults, [fault]);
  await (await device(0)).until((d) => d.closed);
  assert.equal(other.readyState, WebSocket.OPEN);
});

test('a fault while accepting ends that connection and is reported', async (t) => {
  const { url, faults, devices } = await startListener(t, {
    accepting: () => {
      throw new Error('bug');
    },
  });
  const client = await openClient(t, `${url}/norc-c`);
  if (client.readyState !== WebSocket.CLOSED) await once(client, 'close');
  assert.equal(faults.length, 1);
  assert.equal(devices[0]?.closed, false, 'a handler that was never made is never called');
});

test('nothing is delivered after the server has closed the socket', async (t) => {
  const { url, device } = await startListener(t, {
    accepting: (d) => {
      d.onMessage = () => d.socket.close(1008, 'auth_failed');
    },
  });
  const client = await openClient(t, `${url}/norc-c`);
  const closed = closeOf(client);
  for (let i = 0; i < 10; i += 1) client.send(`message ${i}`);
  assert.deepEqual(await closed, { code: 1008, reason: 'auth_failed' });
  const accepted = await device(0);
  await accepted.until((d) => d.closed);
  assert.equal(accepted.messages.length, 1);
});
