import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import { type Domain, LIMITS } from '@norc/protocol/base';
import { WORLD } from './device-test-support.ts';
import { LinkError, ListenError } from './errors.ts';
import { createH2LinkTransport } from './h2-link.ts';
import { ALPHA, IDENTITY, PEER, startLinks, wire } from './link-test-support.ts';
import type { LinkCloseCause } from './port.ts';
import { generateTlsIdentity } from './tls-identity.ts';

const BRAVO = 'bravo.example' as Domain; // a domain as parseDomain gives it

function refusedWith(cause: LinkCloseCause, text = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof LinkError, String(error));
    assert.equal(error.closeCause, cause, error.message);
    assert.match(error.message, text);
    return true;
  };
}

test('[TRANSPORT-10] a link has three streams, each in order, both ways, and both keys are known to the other side', async (t) => {
  const links = await startLinks(t);
  const near = await links.dial();
  const far = await links.acceptedEnd(0);
  assert.deepEqual(near.connection.peerSpkiHash, IDENTITY.spkiSha256);
  assert.deepEqual(far.connection.peerSpkiHash, PEER.spkiSha256);
  assert.equal(far.connection.remoteAddress, '127.0.0.1');
  assert.deepEqual([near.connection.serverName, far.connection.serverName], [ALPHA, ALPHA]);
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    for (const priority of ['bulk', 'interactive', 'control'] as const) {
      for (let i = 0; i < 20; i += 1) from.connection.streams[priority].send(Uint8Array.of(i));
    }
    await to.until((end) => end.frames.length === 60);
    for (const priority of ['control', 'interactive', 'bulk'] as const) {
      const received = to.frames.filter((f) => f.priority === priority).map((f) => f.frame[0]);
      assert.deepEqual(
        received,
        Array.from({ length: 20 }, (_, i) => i),
      );
    }
  }
});

test('the largest frame passes, and a received frame is plain bytes', async (t) => {
  const links = await startLinks(t);
  const near = await links.dial();
  const far = await links.acceptedEnd(0);
  const large = Uint8Array.from({ length: LIMITS.frameBytesMax }, (_, i) => i % 253);
  near.connection.streams.bulk.send(large);
  near.connection.streams.control.send(Uint8Array.of(1));
  await far.until((end) => end.frames.length === 2);
  const bulk = far.frames.find((f) => f.priority === 'bulk');
  assert.ok(bulk !== undefined && Buffer.compare(bulk.frame, large) === 0);
  assert.ok(far.frames.every((f) => !Buffer.isBuffer(f.frame)));
  assert.throws(() => near.connection.streams.bulk.send(new Uint8Array(LIMITS.frameBytesMax + 1)), RangeError);
  assert.throws(() => near.connection.streams.bulk.send(new Uint8Array()), RangeError);
});

test('[TRANSPORT-11] the ALPN name says which versions: the best common one, and none in common is refused', async (t) => {
  const links = await startLinks(t);
  assert.equal((await links.dial()).connection.alpn, 'norc-f/2.0');
  assert.equal((await links.dial({ alpn: ['norc-f/1.2'] })).connection.alpn, 'norc-f/1.2');
  assert.equal((await links.acceptedEnd(1)).connection.alpn, 'norc-f/1.2');
  await assert.rejects(links.dial({ alpn: ['norc-f/3.0'] }), refusedWith('protocol'));
  const older = await startLinks(t, { listen: { alpn: ['norc-f/1.2'] } });
  assert.equal((await older.dial()).connection.alpn, 'norc-f/1.2');
});

test('[TRANSPORT-12] a key that is not pinned gets no byte after the TLS handshake, and the dialer says why', async (t) => {
  const links = await startLinks(t);
  const tapped = await wire(t, links.endpoint);
  const wrong = { endpoint: tapped.endpoint, pins: [PEER.spkiSha256] };
  await assert.rejects(links.dial(wrong), refusedWith('tls', /trust certificate of alpha\.example/));
  await assert.rejects(links.dial({ pins: [] }), refusedWith('tls'));
  assert.equal(links.accepted.length, 0);
  // What the dialer sent is its side of the handshake: no record after its Finished. A whole dial sends more.
  const handshakeOnly = tapped.bytesFromDialer();
  await links.dial({ ...wrong, pins: [PEER.spkiSha256, IDENTITY.spkiSha256] });
  assert.ok(tapped.bytesFromDialer() - handshakeOnly > handshakeOnly + 100);
});

test('[TRANSPORT-12] for the trust exchange any key is taken, and reported', async (t) => {
  const links = await startLinks(t);
  const near = await links.dial({ pins: 'any' });
  assert.deepEqual(near.connection.peerSpkiHash, IDENTITY.spkiSha256);
});

test('[TRANSPORT-10] a caller without a certificate, without the hybrid group, with TLS 1.2 or without ALPN gets no link', async (t) => {
  const links = await startLinks(t);
  const { host, port } = links.endpoint;
  const good = {
    host,
    port,
    key: PEER.keyPem,
    cert: PEER.certPem,
    ALPNProtocols: ['norc-f/2.0'],
    rejectUnauthorized: false,
  };
  const { key: _key, cert: _cert, ...anonymous } = good;
  const { ALPNProtocols: _alpn, ...withoutAlpn } = good;
  const weak = [anonymous, withoutAlpn, { ...good, ecdhCurve: 'X25519' }, { ...good, maxVersion: 'TLSv1.2' as const }];
  for (const options of weak) {
    const socket = tlsConnect(options);
    socket.on('error', () => {});
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  }
  assert.equal(links.accepted.length, 0);
  await links.dial();
});

test('a server without the hybrid group, without ALPN or without HTTP/2 is not talked to', async (t) => {
  const tls = { key: IDENTITY.keyPem, cert: IDENTITY.certPem };
  const cases = [
    [{ ...tls, ecdhCurve: 'X25519', ALPNProtocols: ['norc-f/2.0'] }, 'tls'],
    [{ ...tls, maxVersion: 'TLSv1.2' as const, ALPNProtocols: ['norc-f/2.0'] }, 'tls'],
    [tls, 'protocol'],
    [{ ...tls, ALPNProtocols: ['norc-f/2.0'] }, 'protocol'],
  ] as const;
  const links = await startLinks(t);
  for (const [options, cause] of cases) {
    const server = createTlsServer(options, (socket) => {
      socket.on('error', () => {});
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    await assert.rejects(links.dial({ endpoint: { host: '127.0.0.1', port: address.port } }), refusedWith(cause));
    server.close();
  }
});

test('nothing listening is "refused", an unknown name "unreachable", silence "timeout"', async (t) => {
  const links = await startLinks(t);
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const address = silent.address();
  assert.ok(address !== null && typeof address === 'object');
  const endpoint = { host: '127.0.0.1', port: address.port };
  const connected = once(silent, 'connection');
  const dialing = assert.rejects(links.dial({ endpoint }), refusedWith('timeout', /within 10000 ms/));
  const [socket] = await connected;
  links.timers.advance(10_000);
  await dialing;
  socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
  await assert.rejects(
    links.dial({ endpoint }),
    refusedWith('refused', new RegExp(`127\\.0\\.0\\.1:${endpoint.port}`)),
  );
  await assert.rejects(links.dial({ endpoint: { host: 'no-such-host.invalid', port: 1 } }), refusedWith('unreachable'));
});

test('a caller that stops during the handshake is cut when its time is over', async (t) => {
  const links = await startLinks(t);
  const { host, port } = links.endpoint;
  const idle = tlsConnect({
    host,
    port,
    key: PEER.keyPem,
    cert: PEER.certPem,
    ALPNProtocols: ['norc-f/2.0'],
    rejectUnauthorized: false,
  });
  idle.on('error', () => {});
  idle.resume();
  await once(idle, 'secureConnect');
  const other = await links.dial();
  const closed = once(idle, 'close');
  links.timers.advance(10_000);
  await closed;
  assert.equal(other.cause, undefined, 'a link that is complete has no such deadline');
});

test('several organisations share one port by server name, and an unknown name is refused', async (t) => {
  const bravo = generateTlsIdentity(BRAVO, WORLD);
  const links = await startLinks(t, {
    listen: { identityFor: (name) => ({ [ALPHA as string]: IDENTITY, [BRAVO as string]: bravo })[name] },
  });
  const dialer = createH2LinkTransport({ identity: PEER, timers: links.timers });
  const idle = () => ({ frame() {}, closed() {} });
  for (const [name, identity] of [
    [ALPHA, IDENTITY],
    [BRAVO, bravo],
  ] as const) {
    const link = await dialer.dial(links.endpoint, name, [identity.spkiSha256], idle);
    link.close();
  }
  assert.equal((await links.acceptedEnd(1)).connection.serverName, BRAVO);
  const { host, port } = links.endpoint;
  const nameless = tlsConnect({
    host,
    port,
    key: PEER.keyPem,
    cert: PEER.certPem,
    ALPNProtocols: ['norc-f/2.0'],
    rejectUnauthorized: false,
  });
  nameless.on('error', () => {});
  nameless.resume();
  await new Promise((resolve) => nameless.once('close', resolve));
  const stranger = 'charlie.example' as Domain; // a domain as parseDomain gives it
  await assert.rejects(dialer.dial(links.endpoint, stranger, 'any', idle), refusedWith('tls'));
});

test('a port in use is named', async (t) => {
  const links = await startLinks(t);
  const other = createH2LinkTransport({ identity: IDENTITY });
  await assert.rejects(
    other.listen(links.endpoint, () => ({ frame() {}, closed() {} })),
    (error: unknown) => {
      assert.ok(error instanceof ListenError);
      assert.equal(error.fault, 'in_use');
      return true;
    },
  );
});
