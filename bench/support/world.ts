import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Domain, toBase64Url } from '@norc/protocol/base';
import type { LoadHandlers } from '../load.ts';
import type { ServerHandlers, Usage } from '../server-process.ts';
import { Child } from './child-process.ts';
import { benchDomain } from './organisation.ts';
import type { Parts } from './profile-parts.ts';
import type { RunOptions } from './question.ts';

const TRUST_MS_MAX = 10_000;
const LOCAL = ['alpha.example'];
const FEDERATED = ['alpha.example', 'bravo.example'];

interface Organisation {
  readonly domain: Domain;
  readonly federationPort: number;
  readonly process: Child<ServerHandlers>;
  readonly rootKey: Uint8Array;
}

export type WorldKind = 'local' | 'federated';

/**
 * Servers and a load generator, each a process of its own, on loopback, with databases
 * in a folder that goes away. Devices are enrolled, and not yet connected.
 */
export class World {
  readonly load: Child<LoadHandlers>;
  readonly folder: string;
  readonly #organisations: readonly Organisation[];

  private constructor(folder: string, organisations: readonly Organisation[], load: Child<LoadHandlers>) {
    this.folder = folder;
    this.#organisations = organisations;
    this.load = load;
  }

  static async create(kind: WorldKind, devices: number, options: RunOptions): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'norc-bench-'));
    const domains = (kind === 'local' ? LOCAL : FEDERATED).map(benchDomain);
    const organisations = await Promise.all(domains.map((domain) => startOrganisation(folder, domain, options)));
    const load = new Child<LoadHandlers>(new URL('../load.ts', import.meta.url), profiling('load', options));
    const world = new World(folder, organisations, load);
    try {
      await world.#populate(devices);
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async #populate(devices: number): Promise<void> {
    const addresses = await Promise.all(this.#organisations.map((one) => this.#open(one)));
    await this.#trust();
    for (const [i, { process, domain, rootKey }] of this.#organisations.entries()) {
      const count = Math.round(devices / this.#organisations.length);
      const chains = await process.ask('enrol', await this.load.ask('prepare', { domain, count }));
      await this.load.ask('enrolled', {
        server: { domain, rootKey, ...(addresses[i] as { port: number; certificate: string }) },
        chains,
      }); // one address for each
    }
  }

  async #open({ domain, process, federationPort }: Organisation) {
    const peers = this.#organisations
      .filter((peer) => peer.domain !== domain)
      .map((peer) => ({ domain: peer.domain, port: peer.federationPort, rootKey: toBase64Url(peer.rootKey) }));
    return await process.ask('open', { domain, folder: this.folder, federationPort, peers });
  }

  /** The real exchange, approved by an officer where it waits for one. */
  async #trust(): Promise<void> {
    const [alpha, bravo] = this.#organisations;
    if (alpha === undefined || bravo === undefined) return;
    await alpha.process.ask('requestTrust', bravo.domain);
    const end = performance.now() + TRUST_MS_MAX;
    const state = async () => [
      await alpha.process.ask('approveTrust', bravo.domain),
      await bravo.process.ask('approveTrust', alpha.domain),
    ];
    for (let states = await state(); !states.every((one) => one === 'in_force'); states = await state()) {
      if (performance.now() > end) throw new Error(`trust did not come about: ${states.join(', ')}`);
      await delay(20);
    }
  }

  server(index: number): Child<ServerHandlers> {
    const organisation = this.#organisations[index];
    if (organisation === undefined) throw new RangeError('no such server');
    return organisation.process;
  }

  /** Connects devices until so many of them are. */
  async connect(count: number): Promise<void> {
    await this.load.ask('connect', { count });
  }

  /** What the servers have used, summed. */
  async usage(collect = false): Promise<Usage> {
    const each = await Promise.all(this.#organisations.map(({ process }) => process.ask('usage', { collect })));
    return each.reduce((sum, one) => ({
      cpuMicros: sum.cpuMicros + one.cpuMicros,
      mainMicros: sum.mainMicros + one.mainMicros,
      residentBytes: sum.residentBytes + one.residentBytes,
      heapBytes: sum.heapBytes + one.heapBytes,
      externalBytes: sum.externalBytes + one.externalBytes,
      sessions: sum.sessions + one.sessions,
    }));
  }

  /** CPU so far of the threads of the first server that are not its main one. */
  async threads(): Promise<Parts> {
    return await this.#first.ask('threads', undefined);
  }

  /** Where the main thread of the first server spends its time. */
  async profile(seconds: number): Promise<Parts> {
    await this.#first.ask('profileStart', undefined);
    await delay(seconds * 1000);
    return await this.#first.ask('profileStop', undefined);
  }

  get #first(): Child<ServerHandlers> {
    const [first] = this.#organisations;
    if (first === undefined) throw new Error('a world has a server');
    return first.process;
  }

  async close(): Promise<void> {
    await this.load.end();
    await Promise.all(this.#organisations.map(({ process }) => process.end()));
    await rm(this.folder, { recursive: true });
  }
}

async function startOrganisation(folder: string, domain: Domain, options: RunOptions): Promise<Organisation> {
  const server = new URL('../server-process.ts', import.meta.url);
  const process = new Child<ServerHandlers>(server, [
    '--expose-gc',
    ...(globalThis.process.env['BF'] ?? '').split(' ').filter((x) => x !== ''),
    ...profiling(domain, options),
  ]);
  const rootKey = await process.ask('init', { domain, folder });
  return { domain, federationPort: await freePort(), process, rootKey };
}

function profiling(name: string, { profileFolder }: RunOptions): string[] {
  return profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profileFolder, name)}`];
}

/** Both servers must know the other's port before either listens. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
