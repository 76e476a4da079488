import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { ServerAddress, TransportEnd, TransportHandler, TransportPeer } from '@norc/client';
import { webSocketTransport } from '@norc/client/platform/node';
import { nodeClock, nodeRandom } from '@norc/crypto/node';
import type { Domain } from '@norc/protocol/base';
import { generateTlsIdentity, listenDevices } from '@norc/server/transport';

/** The device's WebSocket against the server's, over real sockets on loopback. */

const DOMAIN = 'localhost' as Domain; // a well-formed domain
const identity = generateTlsIdentity(DOMAIN, { clock: nodeClock, random: nodeRandom });

/** What one connection was told, each kind awaited when it is wanted. */
class Told implements TransportHandler {
  readonly #opened = Promise.withResolvers<TransportPeer>();
  readonly #message = Promise.withResolvers<string | Uint8Array>();
  readonly #closed = Promise.withResolvers<TransportEnd>();
  ends = 0;

  opened(peer: TransportPeer): void {
    this.#opened.resolve(peer);
  }

  message(message: string | Uint8Array): void {
    this.#message.resolve(message);
  }

  closed(end: TransportEnd): void {
    this.ends += 1;
    this.#closed.resolve(end);
  }

  peer = () => this.#opened.promise;
  received = () => this.#message.promise;
  end = () => this.#closed.promise;
}

/** A server that sends back what it gets. */
async function echo(t: TestContext, tls: boolean): Promise<ServerAddress> {
  const security = tls
    ? { tls: { byName: new Map(), otherwise: { key: identity.keyPem, cert: identity.certPem } } }
    : {};
  const listener = await listenDevices({ host: '127.0.0.1', port: 0, ...security }, (socket) => ({
    message: (message) => {
      if (message === 'leave') socket.close(1001, 'shutting_down');
      else socket.send(message);
    },
    closed: () => undefined,
  }));
  t.after(() => listener.close());
  return { host: '127.0.0.1', port: listener.address.port, tls };
}

async function free(t: TestContext, server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

for (const tls of [false, true]) {
  test(`text and bytes go both ways over ${tls ? 'TLS 1.3 with the hybrid group' : 'plain loopback'}`, async (t) => {
    const address = await echo(t, tls);
    const told = new Told();
    const connection = webSocketTransport().connect(address, told);
    const peer = await told.peer();
    if (tls) {
      assert.equal(peer.tls?.authorized, false, 'nobody vouches for it but its organisation');
      assert.deepEqual(peer.tls?.spkiSha256, identity.spkiSha256);
    } else assert.equal(peer.tls, undefined);
    connection.send(Uint8Array.of(1, 2, 3));
    assert.deepEqual(await told.received(), Uint8Array.of(1, 2, 3));
    connection.send('leave');
    assert.deepEqual(await told.end(), { cause: 'closed', reason: 'shutting_down' });
    connection.close();
    connection.send('too late');
    assert.equal(told.ends, 1);
  });
}

test('a certificate of an authority that the device believes, for the name that it dialed, is authorized', async (t) => {
  const address = await echo(t, true);
  const dial = async (host: string, options: Parameters<typeof webSocketTransport>[0]) => {
    const told = new Told();
    webSocketTransport(options).connect({ ...address, host }, told);
    return (await told.peer()).tls?.authorized;
  };
  assert.equal(await dial('localhost', { ca: identity.certPem }), true);
  assert.equal(await dial('localhost', {}), false, 'an authority that nobody here knows');
  assert.equal(await dial('127.0.0.1', { ca: identity.certPem }), false, 'another name');
});

test('a server that has not the hybrid group, or an older TLS, gets no connection', async (t) => {
  const weak = [{ ecdhCurve: 'X25519' }, { maxVersion: 'TLSv1.2' }] as const;
  for (const options of weak) {
    const port = await free(t, createTlsServer({ key: identity.keyPem, cert: identity.certPem, ...options }));
    const told = new Told();
    webSocketTransport().connect({ host: '127.0.0.1', port, tls: true }, told);
    assert.equal((await told.end()).cause, 'tls');
  }
});

test('nobody there, and somebody who does not speak WebSocket, are the end of an attempt and nothing worse', async (t) => {
  const silent = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const port = await free(t, silent);
  const rude = new Told();
  webSocketTransport().connect({ host: '127.0.0.1', port, tls: false }, rude);
  assert.equal((await rude.end()).cause, 'unreachable');
  const nobody = new Told();
  webSocketTransport().connect({ host: '127.0.0.1', port: 1, tls: false }, nobody);
  assert.deepEqual(await nobody.end(), { cause: 'unreachable' });
  const canceled = new Told();
  webSocketTransport()
    .connect(await echo(t, false), canceled)
    .close();
  assert.equal((await canceled.end()).cause, 'unreachable');
});
