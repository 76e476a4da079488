import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { type TestContext, test } from 'node:test';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { joinFrames } from './frame-reader.ts';
import { type LinkWorld, PEER, startLinks, wire } from './link-test-support.ts';

/** A peer that speaks HTTP/2 but not as a link does. */
async function rogue(t: TestContext, links: LinkWorld): Promise<{ socket: TLSSocket; session: ClientHttp2Session }> {
  const { host, port } = links.endpoint;
  const socket = tlsConnect({
    host,
    port,
    key: PEER.keyPem,
    cert: PEER.certPem,
    ALPNProtocols: ['norc-f/2.0'],
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const session = connectHttp2('https://alpha.example', {
    createConnection: () => socket,
    maxOutstandingPings: 10_000,
  });
  session.on('error', () => {});
  t.after(() => session.destroy());
  return { socket, session };
}

function openStream(session: ClientHttp2Session, path: string, method = 'POST') {
  const stream = session.request({ ':method': method, ':path': path }, { endStream: false });
  stream.on('error', () => {});
  return stream;
}

async function openAll(session: ClientHttp2Session) {
  const streams = ['control', 'interactive', 'bulk'].map((priority) => openStream(session, `/norc-f/${priority}`));
  await Promise.all(streams.map((stream) => once(stream, 'response')));
  const [control] = streams;
  assert.ok(control !== undefined);
  return control;
}

function closed(emitter: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => (emitter.destroyed ? resolve() : emitter.once('close', () => resolve())));
}

test('[TRANSPORT-10] any other path, method or fourth stream ends the connection', async (t) => {
  const links = await startLinks(t);
  for (const [path, method] of [
    ['/', 'POST'],
    ['/norc-f/control', 'GET'],
    ['/norc-f/other', 'POST'],
  ] as const) {
    const { session } = await rogue(t, links);
    openStream(session, path, method);
    await closed(session);
  }
  const twice = await rogue(t, links);
  openStream(twice.session, '/norc-f/bulk');
  openStream(twice.session, '/norc-f/bulk');
  await closed(twice.session);
  assert.equal(links.accepted.length, 0);
});

/** One HTTP/2 frame (RFC 9113 section 4.1). */
function h2Frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Uint8Array {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** HEADERS of a POST, in HPACK with the table size of zero that our settings ask for. */
function postFrame(stream: number, path: string): Uint8Array {
  const block = [
    Uint8Array.of(0x20, 0x83, 0x87, 0x04, path.length),
    Buffer.from(path),
    Uint8Array.of(0x01, 0x01, 0x78),
  ];
  return h2Frame(1, 4, stream, Buffer.concat(block));
}

test('[TRANSPORT-10] a fourth stream ends the link, whether or not the peer has acknowledged our settings', async (t) => {
  for (const acknowledgment of [[h2Frame(4, 1, 0)], []]) {
    const links = await startLinks(t);
    const { host, port } = links.endpoint;
    const socket = tlsConnect({
      host,
      port,
      key: PEER.keyPem,
      cert: PEER.certPem,
      ALPNProtocols: ['norc-f/2.0'],
      rejectUnauthorized: false,
    });
    socket.on('error', () => {});
    socket.resume();
    await once(socket, 'secureConnect');
    const gone = new Promise((resolve) => socket.once('close', resolve));
    const opening = ['control', 'interactive', 'bulk'].map((priority, i) =>
      postFrame(2 * i + 1, `/norc-f/${priority}`),
    );
    socket.write(
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), h2Frame(4, 0, 0), ...acknowledgment, ...opening]),
    );
    const end = await links.acceptedEnd(0);
    socket.write(Buffer.concat(Array.from({ length: 20 }, (_, i) => postFrame(7 + 2 * i, '/norc-f/control'))));
    await gone;
    assert.equal(await end.ended(), 'protocol');
  }
});

test('a rapid-reset flood ends after its first stream, and others are served', async (t) => {
  const links = await startLinks(t);
  const { session } = await rogue(t, links);
  for (let i = 0; i < 200; i += 1) openStream(session, '/norc-f/control').close(8);
  await closed(session);
  await links.dial();
  assert.equal(links.accepted.length, 1);
});

test('a peer that resets a stream of a link loses the link', async (t) => {
  const links = await startLinks(t);
  const { session } = await rogue(t, links);
  (await openAll(session)).close(1);
  assert.equal(await (await links.acceptedEnd(0)).ended(), 'protocol');
});

test('[TRANSPORT-14] floods of pings and of settings end the link', async (t) => {
  const ping = (session: ClientHttp2Session, answered: () => void) => session.ping(answered);
  const settings = (session: ClientHttp2Session, answered: () => void) =>
    session.settings({ initialWindowSize: 70_000 }, answered);
  for (const once of [ping, settings]) {
    const links = await startLinks(t);
    const { session } = await rogue(t, links);
    await openAll(session);
    const end = await links.acceptedEnd(0);
    const flood = () => {
      if (!session.destroyed) once(session, flood);
    };
    flood();
    assert.equal(await end.ended(), 'protocol');
  }
});

test('[TRANSPORT-13] an oversize or empty frame ends the link with "protocol" on both sides', async (t) => {
  for (const bytes of [Uint8Array.of(0x7f, 0, 0, 0), new Uint8Array(4)]) {
    const links = await startLinks(t);
    const { session } = await rogue(t, links);
    const control = await openAll(session);
    const goaway = once(session, 'goaway');
    const end = await links.acceptedEnd(0);
    control.write(joinFrames([Uint8Array.of(1)]));
    control.write(bytes);
    control.write(joinFrames([Uint8Array.of(2)]));
    assert.equal(await end.ended(), 'protocol');
    assert.deepEqual(
      end.frames.map((f) => f.frame[0]),
      [1],
      'what came before the fault counts, nothing after it',
    );
    assert.equal((await goaway)[0], 1);
  }
});

test('a peer that has not proven itself gets small frames only', async (t) => {
  const limits = { unprovenFrameBytesMax: 1000 };
  const links = await startLinks(t, {
    limits,
    accepting: (end) => {
      end.authenticated = false;
    },
  });
  const near = await links.dial();
  const far = await links.acceptedEnd(0);
  near.connection.streams.control.send(new Uint8Array(1000));
  await far.until((end) => end.frames.length === 1);
  far.authenticated = true;
  near.connection.streams.control.send(new Uint8Array(100_000));
  await far.until((end) => end.frames.length === 2);
  far.authenticated = false;
  near.connection.streams.control.send(new Uint8Array(1001));
  assert.equal(await far.ended(), 'protocol');
  assert.equal(await near.ended(), 'protocol');
});

test('[TRANSPORT-14] a peer that does not read costs bounded memory: the link ends, waiters wake', async (t) => {
  const limits = { frameBytesMax: 2 ** 18, bufferedBytesMax: 2 ** 20 };
  const links = await startLinks(t, { limits });
  const { session, socket } = await rogue(t, links);
  const control = await openAll(session);
  control.pause();
  socket.pause();
  const end = await links.acceptedEnd(0);
  const stream = end.connection.streams.control;
  let drained: Promise<void> | undefined;
  for (let sent = 0; end.cause === undefined; sent += 1) {
    stream.send(new Uint8Array(2 ** 16));
    assert.ok(stream.bufferedBytes <= limits.bufferedBytesMax + 2 ** 16 + 4);
    if (stream.bufferedBytes > limits.bufferedBytesMax / 2) drained ??= stream.drained();
    assert.ok(sent < 2000, 'the bound never struck');
    await new Promise(setImmediate);
  }
  assert.equal(end.cause, 'timeout');
  await drained;
  assert.equal(stream.bufferedBytes, 0);
});

test('drained() waits for the peer, and resolves when it reads', async (t) => {
  const limits = { frameBytesMax: 2 ** 20, bufferedBytesMax: 2 ** 24 };
  const links = await startLinks(t, { limits });
  const { session } = await rogue(t, links);
  const control = await openAll(session);
  const { streams } = (await links.acceptedEnd(0)).connection;
  for (let i = 0; i < 8; i += 1) streams.control.send(new Uint8Array(2 ** 20));
  let resolved = false;
  const drained = streams.control.drained().then(() => {
    resolved = true;
  });
  await streams.bulk.drained();
  for (let i = 0; i < 20; i += 1) await new Promise(setImmediate);
  assert.equal(resolved, false, 'a paused reader takes at most its window');
  control.resume();
  await drained;
  assert.ok(streams.control.bufferedBytes < 256 * 1024);
});

test('[TRANSPORT-14] a peer that answers pings but takes nothing for an interval loses the link', async (t) => {
  const links = await startLinks(t);
  const { session } = await rogue(t, links);
  const control = await openAll(session);
  control.pause();
  const end = await links.acceptedEnd(0);
  end.connection.streams.control.send(new Uint8Array(2 ** 20));
  for (let i = 0; i < 20; i += 1) await new Promise(setImmediate); // until the peer's window is full
  for (let i = 0; end.cause === undefined; i += 1) {
    assert.ok(i < 3, 'never noticed');
    const pinged = Promise.race([once(session, 'ping'), closed(session)]);
    links.timers.advance(30_000);
    await pinged;
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  }
  assert.equal(end.cause, 'timeout');
});

test('[TRANSPORT-14] a dead line is noticed by both sides within two ping intervals', async (t) => {
  const links = await startLinks(t);
  const line = await wire(t, links.endpoint);
  const near = await links.dial({ endpoint: line.endpoint });
  const far = await links.acceptedEnd(0);
  line.freeze();
  links.timers.advance(30_000);
  assert.deepEqual([near.cause, far.cause], [undefined, undefined]);
  links.timers.advance(30_000);
  links.timers.advance(5_000);
  assert.equal(await near.ended(), 'timeout');
  assert.equal(await far.ended(), 'timeout');
});

test('an idle link that answers pings stays up', async (t) => {
  const links = await startLinks(t);
  const near = await links.dial();
  const far = await links.acceptedEnd(0);
  for (let i = 0; i < 4; i += 1) {
    links.timers.advance(30_000);
    near.connection.streams.control.send(Uint8Array.of(i)); // behind the ping; its answer comes back before the next
    await far.until((end) => end.frames.length === i + 1);
    far.connection.streams.control.send(Uint8Array.of(i));
    await near.until((end) => end.frames.length === i + 1);
  }
  assert.deepEqual([near.cause, far.cause], [undefined, undefined]);
});

test('a line that breaks is "unreachable" on both sides', async (t) => {
  const links = await startLinks(t);
  const line = await wire(t, links.endpoint);
  const near = await links.dial({ endpoint: line.endpoint });
  const far = await links.acceptedEnd(0);
  line.cut();
  assert.deepEqual([await near.ended(), await far.ended()], ['unreachable', 'unreachable']);
});

test('[TRANSPORT-15] close sends what waits, delivers nothing more, and is "closed" on both sides', async (t) => {
  const links = await startLinks(t);
  const near = await links.dial();
  const far = await links.acceptedEnd(0);
  for (let i = 0; i < 100; i += 1) near.connection.streams.interactive.send(Uint8Array.of(i));
  far.connection.streams.control.send(Uint8Array.of(1));
  near.connection.close();
  near.connection.streams.control.send(Uint8Array.of(2)); // dropped
  assert.deepEqual([await near.ended(), await far.ended()], ['closed', 'closed']);
  assert.equal(far.frames.length, 100);
  assert.equal(near.frames.length, 0);
  assert.equal(links.timers.waiting, 0);
});

test('[TRANSPORT-15] a revocation closes with the control stream only', async (t) => {
  const links = await startLinks(t);
  const near = await links.dial();
  const far = await links.acceptedEnd(0);
  near.connection.streams.bulk.send(Uint8Array.of(1));
  near.connection.streams.control.send(Uint8Array.of(2));
  near.connection.close('control-only');
  await far.ended();
  assert.deepEqual(
    far.frames.map((f) => f.priority),
    ['control'],
  );
});

test('closing the listener closes its links in order, and cuts those that do not answer', async (t) => {
  const links = await startLinks(t);
  const line = await wire(t, links.endpoint);
  const near = await links.dial();
  const deaf = await links.dial({ endpoint: line.endpoint });
  line.freeze();
  const closing = links.listener.close();
  assert.equal(await near.ended(), 'closed');
  links.timers.advance(5_000);
  await closing;
  assert.deepEqual(
    links.accepted.map((end) => end.cause),
    ['closed', 'closed'],
  );
  assert.equal(deaf.cause, undefined);
  await assert.rejects(links.dial(), { closeCause: 'refused' });
});

test('a fault in a handler ends its own link and is reported', async (t) => {
  const fault = new Error('bug');
  const links = await startLinks(t, {
    accepting: (end) => {
      end.onFrame = () => {
        throw fault;
      };
    },
  });
  const near = await links.dial();
  near.connection.streams.control.send(Uint8Array.of(1));
  assert.equal(await near.ended(), 'closed');
  assert.deepEqual(links.faults, [fault]);
});

test('frames of one turn of the event loop go out as one write', async (t) => {
  const links = await startLinks(t);
  const near = await links.dial();
  const far = await links.acceptedEnd(0);
  const stream = near.connection.streams.interactive;
  assert.ok('batchesTaken' in stream);
  for (let i = 0; i < 100; i += 1) stream.send(new Uint8Array(100));
  await far.until((end) => end.frames.length === 100);
  assert.equal(stream.batchesTaken, 1);
});
