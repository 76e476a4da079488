import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type TestContext, test } from 'node:test';
import type { Domain } from '@norc/protocol/base';
import fc from 'fast-check';
import { isPublicAddress } from './addresses.ts';
import { IDENTITY, WORLD } from './device-test-support.ts';
import { DnsResolver, orderSrv } from './dns-resolver.ts';
import { startDns, type Zone } from './dns-test-server.ts';
import { ResolverError } from './errors.ts';
import { ManualTimers } from './manual-timers.ts';
import { combineResolvers, parseEndpoint, StaticResolver } from './resolver.ts';
import { systemTimers } from './timers.ts';
import { fetchWellKnown } from './well-known.ts';

const ALPHA = 'alpha.example' as Domain; // domains as parseDomain gives them
const BRAVO = 'bravo.example' as Domain;
const { random } = WORLD;

async function resolverFor(
  t: TestContext,
  zone: Zone,
  extra: Partial<ConstructorParameters<typeof DnsResolver>[0]> = {},
) {
  const options = { servers: [await startDns(t, zone)], random, timeoutMs: 100, tries: 1, allowed: () => true };
  return new DnsResolver({ ...options, ...extra });
}

test('[TRANSPORT-16] SRV records come by priority, as addresses with their ports', async (t) => {
  const srv = [
    { priority: 20, weight: 5, port: 9002, name: 'b.alpha.example' },
    { priority: 10, weight: 5, port: 9001, name: 'A.alpha.example' },
    { priority: 30, weight: 0, port: 9003, name: 'gone.alpha.example' },
  ];
  const resolver = await resolverFor(t, {
    srv: { '_norc-federation._tcp.alpha.example': srv },
    address: { 'a.alpha.example': ['192.0.2.1', '::1'], 'b.alpha.example': ['192.0.2.2'] },
  });
  assert.deepEqual(await resolver.federationEndpoints(ALPHA), [
    { host: '192.0.2.1', port: 9001 },
    { host: '::1', port: 9001 },
    { host: '192.0.2.2', port: 9002 },
  ]);
});

test('[TRANSPORT-16] without SRV the domain itself is asked on port 8843; the target "." means none', async (t) => {
  const resolver = await resolverFor(t, {
    srv: { '_norc-federation._tcp.bravo.example': [{ priority: 0, weight: 0, port: 0, name: '.' }] },
    address: { 'alpha.example': ['192.0.2.9'], 'bravo.example': ['192.0.2.8'] },
  });
  assert.deepEqual(await resolver.federationEndpoints(ALPHA), [{ host: '192.0.2.9', port: 8843 }]);
  assert.deepEqual(await resolver.federationEndpoints(BRAVO), []);
  assert.deepEqual(await resolver.federationEndpoints('charlie.example' as Domain), []);
});

test('[TRANSPORT-19] attack: a stranger can send us to no private address and to no port of another service', async (t) => {
  const host = (name: string, port: number) => ({ priority: port, weight: 0, port, name: `${name}.alpha.example` });
  const zone = {
    srv: {
      '_norc-federation._tcp.alpha.example': [host('in', 9001), host('out', 22), host('out', 443), host('out', 9002)],
    },
    address: {
      'in.alpha.example': ['127.0.0.1', '10.0.0.5', '169.254.169.254', '::1'],
      'out.alpha.example': ['198.51.100.7', '9.9.9.9'],
      'bravo.example': ['192.168.1.1'],
    },
  };
  const resolver = await resolverFor(t, zone, { allowed: isPublicAddress });
  assert.deepEqual(await resolver.federationEndpoints(ALPHA), [
    { host: '9.9.9.9', port: 443 },
    { host: '9.9.9.9', port: 9002 },
  ]);
  assert.deepEqual(await resolver.federationEndpoints(BRAVO), []);
  assert.equal(
    (await resolver.federationEndpoints(ALPHA, true)).length,
    10,
    'a partner that is pinned may be anywhere',
  );
  assert.deepEqual(await combineResolvers(resolver).federationEndpoints(BRAVO, true), [
    { host: '192.168.1.1', port: 8843 },
  ]);
});

test('[TRANSPORT-19] attack: the well-known file is not fetched from a private address, whatever DNS says', async (t) => {
  let asked = 0;
  const { port } = await web(t, (response) => {
    asked += 1;
    response.end('proof');
  });
  const wellKnown = { port, ca: IDENTITY.certPem };
  const usual = await resolverFor(t, HOME, { wellKnown, allowed: isPublicAddress });
  assert.equal(await usual.trustWellKnown(ALPHA), undefined);
  assert.equal(asked, 0);
  const question = { domain: ALPHA, addresses: ['127.0.0.1'], port, timers: systemTimers, ca: IDENTITY.certPem };
  assert.equal(await fetchWellKnown(question), undefined, 'public addresses only, unless told otherwise');
  assert.equal(asked, 0);
});

test('[TRANSPORT-17] the parts of a TXT record are joined, and no record is an empty list', async (t) => {
  const resolver = await resolverFor(t, {
    txt: { '_norc-trust.alpha.example': [['norc-trust=v1; ', 'root=abc'], ['other']] },
    address: { '_norc-trust.bravo.example': [] },
  });
  assert.deepEqual(await resolver.trustTxt(ALPHA), ['norc-trust=v1; root=abc', 'other']);
  assert.deepEqual(await resolver.trustTxt(BRAVO), []);
  assert.deepEqual(await resolver.trustTxt('charlie.example' as Domain), []);
});

test('[TRANSPORT-16] a name service that fails or is silent is an error to retry, never "no such organisation"', async (t) => {
  const name = '_norc-federation._tcp.alpha.example';
  for (const zone of [
    { broken: [name, '_norc-trust.alpha.example'] },
    { silent: [name, '_norc-trust.alpha.example'] },
  ]) {
    const resolver = await resolverFor(t, zone);
    await assert.rejects(resolver.federationEndpoints(ALPHA), ResolverError);
    await assert.rejects(resolver.trustTxt(ALPHA), { name: 'ResolverError', retryable: true });
  }
});

test('[TRANSPORT-16] SRV order: each record once, priorities never mixed, weights rule the draw', () => {
  const record = fc.record({
    priority: fc.integer({ min: 0, max: 3 }),
    weight: fc.integer({ min: 0, max: 65_535 }),
    port: fc.nat(65_535),
    name: fc.constant('x'),
  });
  const bytes = fc.infiniteStream(fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(record, { maxLength: 16 }), bytes, (records, stream) => {
      const drawn = { bytes: (length: number) => Uint8Array.from({ length }, () => stream.next().value ?? 0) };
      const ordered = orderSrv(records, drawn);
      assert.deepEqual(new Set(ordered), new Set(records));
      assert.equal(ordered.length, records.length);
      assert.ok(ordered.every((r, i) => i === 0 || r.priority >= (ordered[i - 1]?.priority ?? 0)));
    }),
  );
  const pair = [
    { priority: 1, weight: 900, port: 1, name: 'heavy' },
    { priority: 1, weight: 100, port: 2, name: 'light' },
  ];
  let heavyFirst = 0;
  for (let i = 0; i < 1000; i += 1) {
    const draw = Uint8Array.of(0, 0, (i % 1001) >> 8, i % 256);
    if (orderSrv(pair, { bytes: () => draw })[0]?.name === 'heavy') heavyFirst += 1;
  }
  assert.ok(heavyFirst > 850 && heavyFirst < 950, `${heavyFirst} of 1000`);
});

interface Web {
  readonly port: number;
  /** Resolves when the server has been asked. */
  readonly asked: Promise<void>;
}

async function web(t: TestContext, answer: (response: ServerResponse, request: IncomingMessage) => void): Promise<Web> {
  let wake = () => {};
  const asked = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const server = createServer({ key: IDENTITY.keyPem, cert: IDENTITY.certPem }, (request, response) => {
    wake();
    answer(response, request);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { port: address.port, asked };
}

const HOME = { address: { 'alpha.example': ['127.0.0.1'], 'bravo.example': ['127.0.0.1'] } };

test('[TRANSPORT-18] the well-known proof is read over verified HTTPS from the domain itself', async (t) => {
  const { port } = await web(t, (response, request) => response.end(`${request.headers.host} ${request.url}`));
  const trusted = await resolverFor(t, HOME, { wellKnown: { port, ca: IDENTITY.certPem } });
  assert.equal(await trusted.trustWellKnown(ALPHA), `alpha.example:${port} /.well-known/norc-trust`);
  assert.equal(await trusted.trustWellKnown(BRAVO), undefined, 'the certificate is not for this domain');
  assert.equal(await trusted.trustWellKnown('charlie.example' as Domain), undefined, 'no address');
  const untrusting = await resolverFor(t, HOME, { wellKnown: { port } });
  assert.equal(await untrusting.trustWellKnown(ALPHA), undefined, 'the certificate chains to nothing known');
});

test('[TRANSPORT-18] a redirect, an error status, too many bytes, a cut body or bytes that are no text are no proof', async (t) => {
  const answers: ((response: ServerResponse) => void)[] = [
    (response) => response.writeHead(302, { location: 'https://evil.example/' }).end('proof'),
    (response) => response.writeHead(404).end('proof'),
    (response) => response.end('x'.repeat(64 * 1024 + 1)),
    (response) => response.writeHead(200, { 'content-length': 100 }).write('proof', () => response.destroy()),
    (response) => response.end(Uint8Array.of(0xff, 0xfe)),
  ];
  for (const answer of answers) {
    const { port } = await web(t, answer);
    const resolver = await resolverFor(t, HOME, { wellKnown: { port, ca: IDENTITY.certPem } });
    assert.equal(await resolver.trustWellKnown(ALPHA), undefined);
  }
  const { port } = await web(t, (response) => response.end('x'.repeat(64 * 1024)));
  const resolver = await resolverFor(t, HOME, { wellKnown: { port, ca: IDENTITY.certPem } });
  assert.equal((await resolver.trustWellKnown(ALPHA))?.length, 64 * 1024);
});

test('[TRANSPORT-18] a web server that never finishes is given up after five seconds', async (t) => {
  const timers = new ManualTimers();
  const { port, asked } = await web(t, (response) => response.write('still'));
  const resolver = await resolverFor(t, HOME, { timers, wellKnown: { port, ca: IDENTITY.certPem } });
  const answer = resolver.trustWellKnown(ALPHA);
  await asked;
  timers.advance(5_000);
  assert.equal(await answer, undefined);
  assert.equal(timers.waiting, 0);
});

test('nothing listening for HTTPS is no proof and no error', async (t) => {
  const resolver = await resolverFor(t, HOME, { wellKnown: { port: 1 } });
  assert.equal(await resolver.trustWellKnown(ALPHA), undefined);
});

test('static entries come first, and DNS fills in what they leave open', async (t) => {
  const dns = await resolverFor(t, {
    txt: { '_norc-trust.alpha.example': [['from dns']], '_norc-trust.bravo.example': [['from dns']] },
    address: { 'alpha.example': ['192.0.2.1'], 'bravo.example': ['192.0.2.2'] },
  });
  const endpoints = [{ host: '127.0.0.1', port: 9843 }];
  const fixed = new StaticResolver([{ domain: ALPHA, endpoints, trustTxt: [] }]);
  const both = combineResolvers(fixed, dns);
  assert.deepEqual(await both.federationEndpoints(ALPHA), endpoints);
  assert.deepEqual(await both.trustTxt(ALPHA), ['from dns']);
  assert.deepEqual(await both.federationEndpoints(BRAVO), [{ host: '192.0.2.2', port: 8843 }]);
  assert.equal(await combineResolvers(fixed).trustWellKnown(ALPHA), undefined);
});

test('endpoints are read in every usual form and in no other', () => {
  assert.deepEqual(parseEndpoint('Server.example'), { host: 'server.example', port: 8843 });
  assert.deepEqual(parseEndpoint('server.example:1'), { host: 'server.example', port: 1 });
  assert.deepEqual(parseEndpoint('192.0.2.1:65535'), { host: '192.0.2.1', port: 65_535 });
  assert.deepEqual(parseEndpoint('[::1]:9843'), { host: '::1', port: 9843 });
  assert.deepEqual(parseEndpoint('[::1]'), { host: '::1', port: 8843 });
  for (const text of [
    '',
    ':1',
    'a:0',
    'a:65536',
    'a:b',
    '::1',
    '[::1',
    '[zz]:1',
    '[1.2.3.4]:1',
    '300.1.1.1',
    '1.2.3',
    'a b',
    'https://a',
    'a:1:2',
    '_x.example',
  ]) {
    assert.equal(parseEndpoint(text), undefined, text);
  }
});
