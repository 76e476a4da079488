import { type ClientEvents, type EnrolOptions, enrol, memoryStore, NorcClient } from '@norc/client';
import { systemTimers, webSocketTransport } from '@norc/client/platform/node';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { createNodeMlsProvider } from '@norc/mls/node';
import { type Clock, type ConversationId, instant, parseUserAddress, type TrustLevel } from '@norc/protocol/base';
import { encodeEnrolmentCode } from '@norc/protocol/norc-c';
import { type ConditionRule, defaultPolicy, type TrustPolicy } from '@norc/protocol/norc-t';
import { mustBe } from '@norc/testkit';
import { TestDevice, type TestServer, TestServers, until } from '@norc/testkit/live';

const OFFICER = 'officer:test';
const DAY_MS = 86_400_000;
const LAPSE_DAYS = 0.25;

/** Of both certificates, agreed between the two: lowers trust to basic unless somebody says in time that it was met. */
export const LAPSES: ConditionRule = {
  ...{ name: 'clearance', kind: 'document', afterDays: LAPSE_DAYS, action: 'downgrade', level: 'basic' },
};

export interface LevelsScene {
  readonly servers: TestServers;
  readonly server: (index: number) => TestServer;
  /** A program of ours with nobody's tools in it. */
  readonly person: (server: TestServer, address: string) => Promise<Person>;
  /** A device that does what its test says, and checks no levels. */
  readonly device: (server: TestServer, address: string) => Promise<TestDevice>;
  readonly trust: (from: TestServer, to: TestServer, level: TrustLevel) => Promise<void>;
  /** Conditions lapse: on the servers' clocks and the devices'. */
  readonly lapse: () => void;
}

/** Servers and devices with one clock. `verified` asks for no more than `basic`, and lasts without a word of the other side. */
export async function levels(
  domains: readonly [string, ...string[]],
  run: (scene: LevelsScene) => Promise<void>,
  policy: Partial<TrustPolicy> & { readonly conditions?: readonly ConditionRule[] } = {},
): Promise<void> {
  let offset = 0;
  const clock: Clock = { now: () => instant(nodeClock.now() + offset) };
  await using servers = await TestServers.start(...domains.map((domain) => ({ domains: [domain] as const, clock })));
  const { conditions = [], ...changes } = policy;
  for (const server of servers.all) await server.node().trust.setPolicy(easyPolicy(conditions, changes));
  const persons: Person[] = [];
  try {
    await run({
      servers,
      server: (index) => servers.at(index),
      person: async (server, address) => {
        const person = await Person.enrol(server, address, clock);
        persons.push(person);
        return person;
      },
      device: (server, address) => TestDevice.enrol(server, address, { clock }),
      trust: (from, to, level) => servers.trust(from, to, level),
      lapse: () => {
        offset += LAPSE_DAYS * DAY_MS + 60_000;
        for (const server of servers.all) server.node().trust.tick();
      },
    });
  } finally {
    for (const person of persons) await person.client.close();
  }
}

function easyPolicy(conditions: readonly ConditionRule[], changes: Partial<TrustPolicy>): TrustPolicy {
  const { levels: all } = defaultPolicy();
  const verified = { ...all.verified, evidence: all.basic.evidence, scoreMin: 0, conditions };
  return defaultPolicy({ levels: { ...all, verified }, revocationAgeMillisecondsMax: DAY_MS, ...changes });
}

/**
 * A server that lets everything pass, and tells its devices that everything may. What it cannot
 * do is forge: the certificates that it shows are the ones that there are.
 */
export function allowEverything(server: TestServer): void {
  const { trust } = server.node();
  trust.decide = () => ({ kind: 'allow', level: 'nato', natoCapable: true });
  trust.level = () => 'nato';
  const honest = trust.describeToDevice.bind(trust);
  trust.describeToDevice = async (domain) => {
    const { reason: _reason, ...told } = await honest(domain);
    return { ...told, level: 'nato', nato_capable: true };
  };
}

/** Somebody with the real client: what it was told, in order. */
export class Person {
  readonly server: TestServer;
  readonly client: NorcClient;
  readonly warnings: ClientEvents['warning'][] = [];

  private constructor(server: TestServer, client: NorcClient) {
    this.server = server;
    this.client = client;
    client.on('warning', (warning) => this.warnings.push(warning));
  }

  static async enrol(server: TestServer, address: string, clock: Clock): Promise<Person> {
    const user = mustBe(parseUserAddress(address));
    const { directory } = server.node();
    mustBe(await directory.addUser(user, OFFICER));
    const { secret } = mustBe(await directory.createEnrolment(user, OFFICER));
    const code = encodeEnrolmentCode(nodeCrypto, {
      ...{ secret, user, server: { host: '127.0.0.1', port: server.running.deviceAddress.port, tls: false } },
      rootFingerprint: nodeCrypto.blake3(server.rootKey()),
    });
    const world = { crypto: nodeCrypto, random: nodeRandom, clock, timers: systemTimers };
    const transport = webSocketTransport();
    const store = memoryStore();
    const options: EnrolOptions = { ...world, transport, store, code, deviceName: 'laptop' };
    mustBe(await enrol(options));
    const mlsProvider = createNodeMlsProvider();
    const policy = { keyPackages: 4, turnMilliseconds: 100 };
    const person = new Person(server, await NorcClient.open({ ...world, transport, store, mlsProvider, policy }));
    person.client.connect();
    mustBe(await person.client.ready());
    await person.client.reachable();
    return person;
  }

  get user() {
    return this.client.self.user;
  }

  /** What the timeline shows: texts, causes in brackets, notices in angles, and what became of own messages after an arrow. */
  async shown(id: ConversationId): Promise<readonly string[]> {
    const view = await this.client.timeline(id, { limit: 100 });
    return (view?.items ?? []).flatMap((item) => {
      if (item.type !== 'message') {
        if (item.line === 'problem') return [`[${item.problem.cause}]`];
        return item.line === 'notices' ? item.notices.map(({ notice }) => `<${notice}>`) : [];
      }
      const text = item.content.type === 'text' ? item.content.text : item.content.type;
      const { state } = item;
      return [state?.state === 'failed' ? `${text} -> ${state.problem.cause}` : text];
    });
  }

  /** Until the timeline shows it. */
  async sees(id: ConversationId, what: string): Promise<void> {
    await until(`${this.user} sees ${what}`, async () => (await this.shown(id)).includes(what));
  }

  async warned(name: ClientEvents['warning']['warning']): Promise<ClientEvents['warning']> {
    return await until(`${this.user} is warned: ${name}`, () => this.warnings.find((one) => one.warning === name));
  }
}
