import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { LIMITS } from '@norc/protocol/base';
import { WebSocket } from 'ws';
import {
  closeOf,
  frameHeader,
  openClient,
  rawClient,
  rawWebSocket,
  startListener,
  TLS,
} from './device-test-support.ts';

test('[TRANSPORT-5] the largest frame passes, one byte more is 1009, and nobody else notices', async (t) => {
  const { url, device } = await startListener(t);
  const [client, other] = [await openClient(t, `${url}/norc-c`), await openClient(t, `${url}/norc-c`)];
  const accepted = await device(0);
  client.send('hello');
  client.send(new Uint8Array(LIMITS.frameBytesMax));
  await accepted.until((d) => d.messages.length === 2);
  const closed = closeOf(client);
  client.send(new Uint8Array(LIMITS.frameBytesMax + 1));
  assert.equal((await closed).code, 1009);
  assert.equal(accepted.messages.length, 2);
  assert.equal(other.readyState, WebSocket.OPEN);
});

test('[TRANSPORT-5] compression is not negotiated with a client that offers it', async (t) => {
  const { url } = await startListener(t);
  const client = await openClient(t, `${url}/norc-c`, [], { perMessageDeflate: true });
  assert.equal(client.extensions, '');
});

test('[TRANSPORT-5] a hello over its limit is 1009', async (t) => {
  const { url, device } = await startListener(t);
  const client = await openClient(t, `${url}/norc-c`);
  client.send('x'.repeat(LIMITS.helloBytesMax));
  const accepted = await device(0);
  await accepted.until((d) => d.messages.length === 1);
  const closed = closeOf(client);
  client.send('x'.repeat(LIMITS.helloBytesMax + 1));
  assert.deepEqual(await closed, { code: 1009, reason: 'frame_too_large' });
  assert.equal(accepted.messages.length, 1);
});

test('connections over the limits are cut before anything is read, and a place comes free again', async (t) => {
  for (const limits of [{ connectionsMax: 2 }, { connectionsPerSourceMax: 2 }]) {
    const { url, listener, device } = await startListener(t, { limits });
    const [first] = [await openClient(t, `${url}/norc-c`), await openClient(t, `${url}/norc-c`)];
    const third = await rawClient(t, listener.address.port);
    await third.closed;
    first.terminate();
    await (await device(0)).until((d) => d.closed);
    await new Promise(setImmediate);
    await openClient(t, `${url}/norc-c`);
  }
});

test('[TRANSPORT-8] whoever does not finish the handshake in time is cut: TCP, half a request, WebSocket without a hello', async (t) => {
  const { url, listener, timers, device } = await startListener(t);
  const silent = await rawClient(t, listener.address.port);
  const half = await rawClient(t, listener.address.port);
  half.socket.write('GET /norc-c HTTP/1.1\r\nHost: x\r\n');
  const mute = await openClient(t, `${url}/norc-c`);
  const talker = await openClient(t, `${url}/norc-c`);
  talker.send('hello');
  await (await device(1)).until((d) => d.messages.length === 1);
  const muteClosed = once(mute, 'close');
  timers.advance(LIMITS.handshakeMillisecondsMax);
  await Promise.all([silent.closed, half.closed, muteClosed]);
  assert.equal(talker.readyState, WebSocket.OPEN);
});

test('a device that has not proven its key at the deadline is cut, one that has stays, however quiet', async (t) => {
  const { url, timers, device } = await startListener(t, { tellsAuthentication: true });
  const [stranger, member] = [await openClient(t, `${url}/norc-c`), await openClient(t, `${url}/norc-c`)];
  for (const client of [stranger, member]) client.send('hello');
  await (await device(0)).until((d) => d.messages.length === 1);
  const proven = await device(1);
  await proven.until((d) => d.messages.length === 1);
  proven.authenticated = true; // decided after the message, while the device is silent
  const cut = once(stranger, 'close');
  timers.advance(LIMITS.handshakeMillisecondsMax);
  await cut;
  member.send('still here');
  await proven.until((d) => d.messages.length === 2);
});

test('[TRANSPORT-8] a stranger cannot make the server hold a large unfinished message; a member can send one', async (t) => {
  const { url, listener, device } = await startListener(t, { tellsAuthentication: true });
  const stranger = await rawWebSocket(t, listener.address.port);
  stranger.socket.write(frameHeader(LIMITS.frameBytesMax));
  stranger.socket.write(new Uint8Array(512 * 1024));
  await stranger.closed;
  assert.equal((await device(0)).messages.length, 0);
  const member = await openClient(t, `${url}/norc-c`);
  const accepted = await device(1);
  accepted.authenticated = true;
  member.send(new Uint8Array(2 ** 20));
  await accepted.until((d) => d.messages.length === 1);
});

test('many small pieces of one message do not cost more memory than its bytes', async (t) => {
  const { listener, device } = await startListener(t);
  const raw = await rawWebSocket(t, listener.address.port);
  const accepted = await device(0);
  const fragment = Buffer.concat([frameHeader(1, 0x02), Buffer.from([0])]);
  const next = Buffer.concat([frameHeader(1, 0x00), Buffer.from([0])]);
  raw.socket.write(Buffer.concat([fragment, ...Array<Buffer>(300).fill(next)]));
  await accepted.until((d) => d.closed);
  assert.equal(accepted.messages.length, 0);
});

test('[TRANSPORT-9] a device that gives no sign of life is cut, one that answers pings stays', async (t) => {
  const { url, timers, device } = await startListener(t);
  const dead = await openClient(t, `${url}/norc-c`, [], { autoPong: false });
  const alive = await openClient(t, `${url}/norc-c`);
  for (const client of [dead, alive]) client.send('hello');
  const accepted = await device(1);
  await accepted.until((d) => d.messages.length === 1);
  for (let round = 0; round < 3; round += 1) {
    const pinged = once(alive, 'ping');
    timers.advance(30_000);
    await pinged;
    alive.send('x'); // behind the pong: when it arrives, the pong has
    await accepted.until((d) => d.messages.length === round + 2);
  }
  await (await device(0)).until((d) => d.closed);
  assert.equal(alive.readyState, WebSocket.OPEN);
});

test('[TRANSPORT-6] a device that does not read is closed with 1013 and cut; others are served', async (t) => {
  const limits = { bufferedBytesMax: 2 ** 20, messageBytesMax: 2 ** 18 };
  const { url, listener, timers, device } = await startListener(t, { limits });
  const slow = await rawWebSocket(t, listener.address.port);
  slow.socket.pause();
  const accepted = await device(0);
  const chunk = new Uint8Array(2 ** 16);
  let sent = 0;
  while (accepted.socket.bufferedBytes <= limits.bufferedBytesMax) {
    accepted.socket.send(chunk);
    sent += 1;
    if (sent % 4 === 0) await new Promise(setImmediate);
    assert.ok(sent < 1000, 'the bound never struck');
  }
  const held = accepted.socket.bufferedBytes;
  accepted.socket.send(chunk);
  assert.equal(accepted.socket.bufferedBytes, held, 'nothing more is queued');
  timers.advance(5_000);
  await accepted.until((d) => d.closed);
  const other = await openClient(t, `${url}/norc-c`);
  (await device(1)).socket.send('served');
  assert.equal(String((await once(other, 'message'))[0]), 'served');
});

test('a slow device that reads again sees the code 1013', async (t) => {
  const limits = { bufferedBytesMax: 2 ** 20, messageBytesMax: 2 ** 18 };
  const { url, device } = await startListener(t, { limits });
  const client = await openClient(t, `${url}/norc-c`);
  const closed = closeOf(client);
  const accepted = await device(0);
  for (let i = 0; i < 8; i += 1) accepted.socket.send(new Uint8Array(2 ** 18)); // one turn: the network takes none of it
  assert.deepEqual(await closed, { code: 1013, reason: 'queue_full' });
});

test('a peer that pings and never reads does not fill the memory with pongs', async (t) => {
  const { listener, device } = await startListener(t);
  const raw = await rawWebSocket(t, listener.address.port);
  raw.socket.pause();
  const accepted = await device(0);
  raw.socket.write(frameHeader(0)); // an empty first message: it is no stranger any more
  await accepted.until((d) => d.messages.length === 1);
  const ping = Buffer.concat([Uint8Array.of(0x89, 0xfd), Buffer.alloc(4 + 125)]);
  const pings = Buffer.concat(Array<Buffer>(1000).fill(ping));
  const flood = () => raw.socket.write(pings, (error) => error ?? flood());
  flood();
  await accepted.until((d) => d.closed);
});

test('what is sent in one turn of the event loop shares one TLS record', async (t) => {
  const { listener, device } = await startListener(t, { tls: TLS });
  let tapped = 0;
  const proxy = createServer((near) => {
    const far = connect(listener.address.port, '127.0.0.1');
    near.pipe(far);
    let rest = Buffer.alloc(0);
    far.on('data', (chunk: Buffer) => {
      near.write(chunk);
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt16BE(3)) {
        tapped += 1;
        rest = rest.subarray(5 + rest.readUInt16BE(3));
      }
    });
    for (const socket of [near, far]) socket.on('error', () => {});
    near.on('close', () => far.destroy());
  }).listen(0, '127.0.0.1');
  t.after(() => proxy.close());
  await once(proxy, 'listening');
  const address = proxy.address();
  assert.ok(address !== null && typeof address === 'object');
  const client = await openClient(t, `wss://127.0.0.1:${address.port}/norc-c`);
  const accepted = await device(0);
  const before = tapped;
  let received = 0;
  const all = new Promise<void>((resolve) =>
    client.on('message', () => {
      received += 1;
      if (received === 50) resolve();
    }),
  );
  for (let i = 0; i < 50; i += 1) accepted.socket.send(new Uint8Array(20));
  await all;
  assert.equal(tapped - before, 1);
});
