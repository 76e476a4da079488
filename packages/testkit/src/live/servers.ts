import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeClock, nodeRandom } from '@norc/crypto/node';
import { type Clock, type Domain, parseDomain, type TrustLevel } from '@norc/protocol/base';
import { domainProofText } from '@norc/protocol/norc-t';
import { initOrganisation, type OrgNode, parseConfig, type RunningServer, startServer } from '@norc/server';
import { mustBe } from '../organisations.ts';
import { until } from './deadline.ts';
import { FaultyDisk } from './faulty-store.ts';
import { LinkTap } from './link-tap.ts';

const OFFICER = 'officer:test';
const RATE_MAX = 1_000_000;

export interface TestServerOptions {
  /** The organisations on it; the first one is meant where one is. */
  readonly domains: readonly [string, ...string[]];
  readonly versions?: readonly string[];
  readonly clock?: Clock;
  /** Messages of a device in a minute: no bound unless told. */
  readonly messagesPerMinute?: number;
  /** Instead of the true root key in the domain proof that others find. */
  readonly claimedRootKey?: Uint8Array;
  /** Others reach it through a `LinkTap`. */
  readonly tapped?: boolean;
}

/** Something that a server said in its log. */
export interface LogLine {
  readonly event: string;
  readonly about: unknown;
}

/** One server of a test: the real one, in this process, on loopback. */
export class TestServer {
  readonly domain: Domain;
  readonly domains: readonly Domain[];
  readonly disk = new FaultyDisk();
  readonly lines: LogLine[] = [];
  readonly federationPort: number;
  /** The port at which others look for it: its own, unless something stands between. */
  readonly reachedAt: number;
  readonly folder: string;
  readonly rootKeys: ReadonlyMap<Domain, Uint8Array>;
  readonly options: TestServerOptions;
  readonly #world: TestServers;
  #running: RunningServer | undefined;

  constructor(
    world: TestServers,
    options: TestServerOptions,
    place: Pick<TestServer, 'domains' | 'federationPort' | 'reachedAt' | 'folder' | 'rootKeys'>,
  ) {
    const [domain] = place.domains;
    if (domain === undefined) throw new RangeError('a server has an organisation');
    this.#world = world;
    this.options = options;
    this.domain = domain;
    this.domains = place.domains;
    this.federationPort = place.federationPort;
    this.reachedAt = place.reachedAt;
    this.folder = place.folder;
    this.rootKeys = place.rootKeys;
  }

  get running(): RunningServer {
    if (this.#running === undefined) throw new TypeError(`${this.domain} is not running`);
    return this.#running;
  }

  /** The organisation's node; the first one's unless told. */
  node(domain: Domain = this.domain): OrgNode {
    const node = this.running.nodes.get(domain);
    if (node === undefined) throw new TypeError(`${domain} is not on this server`);
    return node;
  }

  get isUp(): boolean {
    return this.#running !== undefined;
  }

  rootKey(domain: Domain = this.domain): Uint8Array {
    return this.rootKeys.get(domain) ?? new Uint8Array();
  }

  /** Faults that the server met: an honest run has none. */
  get faults(): readonly LogLine[] {
    return this.lines.filter(({ event }) => event.startsWith('fault:'));
  }

  async start(changes: Partial<Pick<TestServerOptions, 'versions' | 'clock'>> = {}): Promise<void> {
    const { clock, versions } = { ...this.options, ...changes };
    const config = parseConfig({ folder: this.folder, overrides: this.#settings(versions) });
    const say = (event: string) => (name: string, about?: unknown) =>
      void this.lines.push({ event: `${event}${name}`, about });
    this.#running = await startServer({
      config,
      log: { info: say(''), warn: say('warn:'), fault: say('fault:') },
      openStore: this.disk.openStore,
      ...(clock === undefined ? {} : { clock }),
    });
  }

  #settings(versions: readonly string[] | undefined) {
    const spoken = versions ?? versionsFromEnvironment(this.domain === 'alpha.example' ? 'ALPHA' : 'OTHER');
    const messages = this.options.messagesPerMinute ?? RATE_MAX;
    return {
      organisation: { domains: this.domains, data: this.folder },
      ...(spoken === undefined ? {} : { protocol: { versions: spoken } }),
      listen: { port: 0 },
      federation: { port: this.federationPort, peer: this.#world.peersOf(this) },
      limits: { messages_per_minute: messages, messages_burst: messages },
    };
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }
}

/** Organisations that can find each other, each with its folder; gone after `dispose`. */
export class TestServers implements AsyncDisposable {
  readonly folder: string;
  readonly all: TestServer[] = [];
  readonly tap = new LinkTap();

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Prepares and starts one server for each entry. */
  static async start(...servers: readonly (TestServerOptions | string)[]): Promise<TestServers> {
    const world = await TestServers.prepare(...servers);
    try {
      await Promise.all(world.all.map((server) => server.start()));
    } catch (error) {
      await world.dispose();
      throw error;
    }
    return world;
  }

  static async prepare(...servers: readonly (TestServerOptions | string)[]): Promise<TestServers> {
    const world = new TestServers(await mkdtemp(join(tmpdir(), 'norc-test-')));
    const ports = await freePorts(servers.length * 2);
    for (const [index, server] of servers.entries()) {
      const options: TestServerOptions = typeof server === 'string' ? { domains: [server] } : server;
      const folder = join(world.folder, String(index));
      const domains = options.domains.map((domain) => mustBe(parseDomain(domain)));
      const rootKeys = new Map<Domain, Uint8Array>();
      for (const domain of domains) {
        const identity = await initOrganisation(join(folder, domain), domain, {
          clock: options.clock ?? nodeClock,
          random: nodeRandom,
        });
        identity.signer.close();
        rootKeys.set(domain, identity.rootKey);
      }
      const federationPort = ports[index * 2] ?? 0;
      const reachedAt = options.tapped === true ? (ports[index * 2 + 1] ?? 0) : federationPort;
      world.all.push(new TestServer(world, options, { domains, folder, rootKeys, federationPort, reachedAt }));
    }
    const tapped = world.all.filter(({ options }) => options.tapped === true);
    for (const server of tapped) await world.tap.learn(server);
    for (const server of tapped) await world.tap.listen(server);
    return world;
  }

  /** The server at a place of `start`'s list. */
  at(index: number): TestServer {
    const server = this.all[index];
    if (server === undefined) throw new RangeError('no such server');
    return server;
  }

  /** How one server finds the others: `[[federation.peer]]` tables. */
  peersOf(server: TestServer) {
    return this.all.flatMap((other) =>
      other.domains
        .filter(() => other !== server || server.domains.length > 1)
        .map((domain) => ({
          domain,
          endpoints: [`127.0.0.1:${other.reachedAt}`],
          trust_txt: [domainProofText(other.options.claimedRootKey ?? other.rootKey(domain))],
        })),
    );
  }

  /** The whole NORC-T exchange over real links, with an officer's approval, until both sides have it in force. */
  async trust(from: TestServer, to: TestServer, level: TrustLevel = 'basic'): Promise<void> {
    await trustBetween(from.node(), to.node(), level);
  }

  async dispose(): Promise<void> {
    await Promise.all(this.all.map((server) => server.stop()));
    await this.tap.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

export async function trustBetween(from: OrgNode, to: OrgNode, level: TrustLevel = 'basic'): Promise<void> {
  const [a, b] = [from.identity.domain, to.identity.domain];
  mustBe(await from.trust.request(b, level, OFFICER));
  await until(`${b} has the request of ${a}`, () => trustState(to, a) === 'awaiting_approval');
  mustBe(await to.trust.approve(a, OFFICER));
  await until(
    `${a} and ${b} trust each other`,
    () => trustState(from, b) === 'in_force' && trustState(to, a) === 'in_force',
  );
}

export function trustState(node: OrgNode, peer: Domain): string {
  return node.trust.summaries().find((one) => one.peer === peer)?.state ?? 'none';
}

/** Links are named in the peers' settings, so their ports are chosen before anything listens. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject);
          server.listen({ host: '127.0.0.1', port: 0 }, () => {
            const address = server.address();
            resolve(typeof address === 'object' && address !== null ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Versions for a run of the version matrix (tests/scenarios/version-matrix.test.ts); a scenario's own choice comes first. */
function versionsFromEnvironment(who: 'ALPHA' | 'OTHER'): readonly string[] | undefined {
  return process.env[`NORC_TEST_${who}_VERSIONS`]?.split(',');
}
