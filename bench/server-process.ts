import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type DeviceId, type Domain, parseUserAddress, type UserAddress } from '@norc/protocol/base';
import { encodeEnrolmentCode } from '@norc/protocol/norc-c';
import {
  initOrganisation,
  type OrgNode,
  organisationPaths,
  parseConfig,
  type RunningServer,
  startServer,
} from '@norc/server';
import { serveParent } from './support/child-process.ts';
import { must } from './support/organisation.ts';
import { type Parts, profileParts, threadParts } from './support/profile-parts.ts';

/*
 * One server in a process of its own, as it runs in production, with one door more:
 * the bench that forked it can enrol devices in bulk, and ask what it has used.
 */

export interface ServerSettings {
  readonly domain: Domain;
  readonly folder: string;
  readonly federationPort: number;
  readonly peers: readonly { readonly domain: Domain; readonly port: number; readonly rootKey: string }[];
}

export interface NewDevice {
  readonly user: UserAddress;
  readonly deviceId: DeviceId;
  readonly publicKey: Uint8Array;
}

export interface Usage {
  /** Of all threads of the process. */
  readonly cpuMicros: number;
  /** Of the thread that runs the event loop. */
  readonly mainMicros: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly sessions: number;
}

const RATE_MAX = 1_000_000;
const ACTOR = 'officer:bench';
const ENROL_AT_ONCE = 64;

let server: RunningServer | undefined;

function node(): OrgNode {
  const [first] = server?.nodes.values() ?? [];
  if (first === undefined) throw new Error('the server is not open');
  return first;
}

async function open({ domain, folder, federationPort, peers }: ServerSettings) {
  const paths = organisationPaths(join(folder, domain));
  const config = parseConfig({
    folder,
    overrides: {
      organisation: { domains: [domain], data: folder },
      listen: { port: 0, tls_certificate: join(paths.keys, 'tls.pem'), tls_key: join(paths.keys, 'tls.pem') },
      federation: {
        port: federationPort,
        peer: peers.map((peer) => ({
          domain: peer.domain,
          endpoints: [`127.0.0.1:${peer.port}`],
          trust_txt: [`norc-trust=v1; root=${peer.rootKey}`],
        })),
      },
      limits: {
        ...{ messages_per_minute: RATE_MAX, messages_burst: RATE_MAX, peer_messages_per_minute: RATE_MAX },
        ...{ device_connections_max: RATE_MAX, device_connections_per_source_max: RATE_MAX },
      },
    },
  });
  server = await startServer({ config, log: { info: () => undefined, warn: complain, fault: complain } });
  const certificate = await readFile(config.listen.tlsCertificate ?? '', 'utf8');
  return { port: server.deviceAddress.port, certificate };
}

function complain(event: string, about: unknown): void {
  console.error('server:', event, about);
}

/** Its folder with keys; the public root key. */
async function init({ domain, folder }: Pick<ServerSettings, 'domain' | 'folder'>): Promise<Uint8Array> {
  const { rootKey } = await initOrganisation(join(folder, domain), domain, { clock: nodeClock, random: nodeRandom });
  return rootKey;
}

type Certificates = readonly [certificate: Uint8Array, issuer: Uint8Array];

async function enrol(devices: readonly NewDevice[]): Promise<readonly Certificates[]> {
  const enrolled: Certificates[] = [];
  for (let i = 0; i < devices.length; i += ENROL_AT_ONCE) {
    enrolled.push(...(await Promise.all(devices.slice(i, i + ENROL_AT_ONCE).map(enrolOne))));
  }
  return enrolled;
}

async function enrolOne({ user, deviceId, publicKey }: NewDevice): Promise<Certificates> {
  const { directory } = node();
  must(await directory.addUser(user, ACTOR));
  const { secret } = must(await directory.createEnrolment(user, ACTOR));
  const registered = must(await directory.register({ user, secret, deviceId, name: 'bench', publicKey }));
  return [registered.certificate, registered.issuerCertificate];
}

async function requestTrust(peer: Domain): Promise<void> {
  must(await node().trust.request(peer, 'basic', ACTOR));
}

/** Approves what waits for approval; says where trust stands. */
async function approveTrust(peer: Domain): Promise<string> {
  const state = () =>
    node()
      .trust.summaries()
      .find((one) => one.peer === peer)?.state ?? 'none';
  if (state() === 'awaiting_approval') must(await node().trust.approve(peer, ACTOR));
  return state();
}

/** A user of this server, and a code for one device. */
async function invite({ name }: { readonly name: string }): Promise<string> {
  const { directory, identity } = node();
  const user = must(parseUserAddress(`${name}@${identity.domain}`));
  must(await directory.addUser(user, ACTOR));
  const { secret } = must(await directory.createEnrolment(user, ACTOR));
  const port = server?.deviceAddress.port ?? 0;
  return encodeEnrolmentCode(nodeCrypto, {
    ...{ secret, user, server: { host: '127.0.0.1', port, tls: true } },
    rootFingerprint: identity.rootFingerprint,
  });
}

/** Revokes the only partner; when each of `count` conversations was done with, in milliseconds since the decision. */
async function revoke({ count }: { readonly count: number }) {
  const { trust, delivery } = node();
  const [peer] = trust.peers();
  if (peer === undefined) throw new Error('nobody to revoke');
  const { promise, resolve } = Promise.withResolvers<void>();
  const removedMs: number[] = [];
  const start = performance.now();
  delivery.onExpelled(() => {
    removedMs.push(performance.now() - start);
    if (removedMs.length === count) resolve();
  });
  must(await trust.revoke(peer, ACTOR, 'bench'));
  while ((delivery.expulsions()[0]?.conversations ?? 0) < count) await delay(1);
  const frozenMs = performance.now() - start;
  await promise;
  return { frozenMs, removedMs };
}

function usage({ collect }: { readonly collect: boolean }): Usage {
  if (collect) globalThis.gc?.();
  const all = process.cpuUsage();
  const main = process.threadCpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return {
    cpuMicros: all.user + all.system,
    mainMicros: main.user + main.system,
    residentBytes: rss,
    heapBytes: heapUsed,
    externalBytes: external,
    sessions: node().devices.sessions,
  };
}

let profiler: Awaited<ReturnType<typeof profileParts>> | undefined;

async function profileStart(_: undefined): Promise<void> {
  profiler = await profileParts();
}

async function profileStop(_: undefined): Promise<Parts> {
  const parts = await profiler?.stop();
  profiler = undefined;
  return parts ?? {};
}

const threads = (_: undefined): Parts => threadParts();

const handlers = {
  init,
  open,
  enrol,
  invite,
  requestTrust,
  approveTrust,
  revoke,
  usage,
  profileStart,
  profileStop,
  threads,
};
export type ServerHandlers = typeof handlers;

serveParent(handlers, async () => await server?.stop());
