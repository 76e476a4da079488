import { setTimeout as delay } from 'node:timers/promises';
import { nodeClock, nodeCrypto } from '@norc/crypto/node';
import { createMlsEngine, type MemberIdentity, type MlsEngine, type VerifyHub } from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import { type Domain, domainOf, type Result, reject } from '@norc/protocol/base';
import { parseDocument, SERVER_CERTIFICATE } from '@norc/protocol/crypto';
import type { ServerAddress } from './load/device-link.ts';
import { Talk } from './load/talk.ts';
import { Talker } from './load/talker.ts';
import { Tally } from './load/tally.ts';
import type { NewDevice } from './server-process.ts';
import { serveParent } from './support/child-process.ts';
import { type BenchDevice, benchDevice, ownIdentity } from './support/organisation.ts';

/*
 * The load generator, a process of its own: many devices that speak real NORC-C. Pairs
 * talk both ways; the two devices of a pair have a socket each.
 */

const CONNECT_AT_ONCE = 16;
const FOUND_AT_ONCE = 4;
const DRAIN_MS_MAX = 20_000;

type Certificates = readonly Uint8Array[];

const tally = new Tally();
const talkers: Talker[] = [];
const certificates = new Map<Talker, Certificates>();
const servers = new Map<Domain, ServerAddress>();
let pacing: NodeJS.Timeout | undefined;

/** Makes the devices of one organisation; their public halves are for its server. */
function prepare({ domain, count }: { readonly domain: Domain; readonly count: number }): NewDevice[] {
  const made: BenchDevice[] = [];
  for (let i = 0; i < count; i += 1) made.push(benchDevice(domain, talkers.length + i));
  for (const device of made) talkers.push(new Talker(device, talkers.length, talkers, tally));
  return made.map(({ deviceId, user, keys }) => ({ deviceId, user, publicKey: keys.publicKey }));
}

/** The devices of one organisation are enrolled: their certificates, in the order of `prepare`. */
function enrolled({
  server,
  chains,
}: {
  readonly server: ServerAddress;
  readonly chains: readonly Certificates[];
}): void {
  servers.set(server.domain, server);
  const members = talkers.filter(({ device }) => domainOf(device.user) === server.domain);
  for (const [i, talker] of members.entries()) certificates.set(talker, chains[i] ?? []);
}

/** Connects devices until so many of them are. */
async function connect({ count }: { readonly count: number }): Promise<void> {
  const missing = talkers.slice(0, count).filter((talker) => !talker.connected);
  await eachOf(missing, CONNECT_AT_ONCE, async (talker) => {
    const server = servers.get(domainOf(talker.device.user));
    if (server !== undefined) await talker.connect(server);
  });
}

/** Starts the conversations: the first device with the one in the middle, and so on. */
async function converse(_: undefined): Promise<{ readonly bodyBytes: number }> {
  const engine = mlsEngine();
  const half = talkers.length >> 1;
  const pairs = talkers.slice(0, half).map((talker, i) => [talker, talkers[half + i] as Talker] as const); // half + i is inside
  let bodyBytes = 0;
  await eachOf(pairs, FOUND_AT_ONCE, async (pair) => {
    const [founder, other] = talkers.indexOf(pair[0]) % 2 === 0 ? pair : ([pair[1], pair[0]] as const);
    const talk = await found(engine, founder, other);
    bodyBytes = talk.bodyBytes;
    await Promise.all([other.join(talk, false), founder.join(talk, true)]);
  });
  return { bodyBytes };
}

async function found(engine: MlsEngine, founder: Talker, other: Talker): Promise<Talk> {
  const identityOf = (talker: Talker) => ownIdentity(talker.device, certificates.get(talker) ?? []);
  const { keyPackage } = await engine.createKeyPackage({ identity: identityOf(other), lastResort: false });
  return await Talk.found({ engine, identity: identityOf(founder), hub: domainOf(founder.device.user) }, keyPackage);
}

/** Members are known here by their keys: the servers are what is measured, and they check certificates. */
function mlsEngine(): MlsEngine {
  const members = new Map<string, MemberIdentity>();
  for (const { device } of talkers) {
    const { deviceId, user, keys } = device;
    members.set(Buffer.from(keys.publicKey).toString('hex'), { deviceId, user, org: domainOf(user) });
  }
  const verifyCredential = async (_: Certificates, key: Uint8Array): Promise<Result<MemberIdentity>> => {
    const member = members.get(Buffer.from(key).toString('hex'));
    return member === undefined ? reject('credential_invalid', 'unknown') : { ok: true, value: member };
  };
  const verifyHub: VerifyHub = async ([certificate]) => {
    const parsed = parseDocument(SERVER_CERTIFICATE, certificate ?? new Uint8Array());
    return parsed.ok ? { ok: true, value: parsed.value.body.org } : parsed;
  };
  const provider = createNodeMlsProvider(nodeCrypto);
  return createMlsEngine({ provider, clock: nodeClock, verifyCredential, verifyHub });
}

/** Everybody sends, each with at most `window` messages on their way. */
function start({ window }: { readonly window: number }): void {
  for (const talker of talkers) talker.setWindow(window);
}

/** `perSecond` messages in all, by everybody in turn, whether or not earlier ones arrived. */
function pace({ perSecond, window }: { readonly perSecond: number; readonly window: number }): void {
  const began = performance.now();
  let sent = 0;
  pacing = setInterval(() => {
    const due = ((performance.now() - began) * perSecond) / 1000;
    for (; sent < due; sent += 1) talkers[sent % talkers.length]?.sendOne(window);
  }, 1);
}

/** Nobody sends any more; resolves when everything on its way has arrived, or throws when it does not. */
async function drain(_: undefined): Promise<void> {
  clearInterval(pacing);
  for (const talker of talkers) talker.setWindow(0);
  const end = performance.now() + DRAIN_MS_MAX;
  while (talkers.some((talker) => talker.inFlight > 0)) {
    if (performance.now() > end) throw new Error('messages are missing');
    await delay(10);
  }
}

/** Since the last call; and the CPU of this process so far. */
function counts(_: undefined) {
  const { user, system } = process.cpuUsage();
  return { ...tally.take(), cpuMicros: user + system };
}

async function eachOf<T>(items: readonly T[], atOnce: number, run: (item: T) => Promise<void>): Promise<void> {
  const left = items[Symbol.iterator]();
  const worker = async () => {
    for (const item of { [Symbol.iterator]: () => left }) await run(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const handlers = { prepare, enrolled, connect, converse, start, pace, drain, counts };
export type LoadHandlers = typeof handlers;

serveParent(handlers, async () => {
  for (const talker of talkers) talker.close();
});
