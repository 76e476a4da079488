import { nodeCrypto } from '@norc/crypto/node';
import type { VerifyCredential, VerifyHub } from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import {
  type ConversationId,
  type Domain,
  domainOf,
  type Instant,
  type MessageId,
  ok,
  parseUserAddress,
  type Random,
  type Result,
  reject,
  sameBytes,
  type UserAddress,
} from '@norc/protocol/base';
import {
  DEVICE_CERTIFICATE,
  parseDocument,
  SERVER_CERTIFICATE,
  verifyDeviceCertificate,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import { parseVersionList, type VersionList } from '@norc/protocol/handshake';
import { encodeEnrolmentCode, type NorcCBody } from '@norc/protocol/norc-c';
import { NorcClient } from '../client.ts';
import type { ClientEvents, NorcClientOptions } from '../client-types.ts';
import { type Enrolled, enrol } from '../enrolment/enrol.ts';
import type { LinkWorld } from '../session/session-link.ts';
import type { ServerAddress } from '../store/rows.ts';
import type { MessageItem } from '../timeline/items.ts';
import { FakeHub } from './fake-hub.ts';
import { type FakeOrganisation, FakeServer } from './fake-server.ts';
import { ManualTime, settle } from './manual-time.ts';
import { MemoryNetwork, type MemoryTransport } from './memory-network.ts';
import { RecordingStore } from './recording-store.ts';

export interface WorldOptions {
  readonly start: Instant;
  readonly random: Random;
  readonly organisations: readonly FakeOrganisation[];
  /** The trust certificate that `issuer` gave `subject`, in canonical JSON. */
  readonly trust: (issuer: FakeOrganisation, subject: FakeOrganisation) => Uint8Array;
  /** What clients and servers speak, newest first; everything unless told. */
  readonly clientVersions?: readonly string[];
  readonly serverVersions?: readonly string[];
}

export function versionsOf(texts: readonly string[]): VersionList {
  return must(parseVersionList(texts));
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
  return result.value;
}

export function user(address: string): UserAddress {
  return must(parseUserAddress(address));
}

/** Organisations with their servers, and devices that talk to them: everything but the network and the disks is real. */
export class TestWorld {
  readonly time: ManualTime;
  readonly network = new MemoryNetwork();
  readonly servers = new Map<Domain, FakeServer>();
  readonly hub: FakeHub;
  readonly devices: TestDevice[] = [];
  readonly #options: WorldOptions;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.time = new ManualTime(options.start);
    const grown = (conversation: ConversationId) => {
      for (const server of this.servers.values()) server.grown(conversation);
    };
    this.hub = new FakeHub(nodeCrypto, this.time, this.#verifyCredential, this.#verifyHub, grown);
    for (const organisation of options.organisations) this.#start(organisation);
  }

  #start(organisation: FakeOrganisation): void {
    const server = new FakeServer({
      organisation,
      hub: this.hub,
      crypto: nodeCrypto,
      random: this.#options.random,
      clock: this.time,
      versions: versionsOf(this.#options.serverVersions ?? ['2.0', '1.2']),
      servers: this.servers,
      organisations: (domain) => this.organisationFor(organisation, domain),
    });
    this.servers.set(organisation.domain, server);
    this.network.listen(this.address(organisation.domain), server.accept);
  }

  organisationFor(asking: FakeOrganisation, domain: Domain): NorcCBody<'org_response'> {
    const subject = this.#options.organisations.find((one) => one.domain === domain);
    if (subject === asking) return { domain, level: 'classified' };
    if (subject === undefined) return { domain, level: 'untrusted' };
    return {
      ...{ domain, level: 'nato', issuer_certificate: asking.certificate.bytes },
      ...{ trust_certificate: this.#options.trust(asking, subject) },
      ...{ received_certificate: this.#options.trust(subject, asking) },
    };
  }

  address(domain: Domain): ServerAddress {
    const index = this.#options.organisations.findIndex((one) => one.domain === domain);
    return { host: '127.0.0.1', port: 8000 + index, tls: false };
  }

  server(of: UserAddress | Domain): FakeServer {
    const domain = of.includes('@') ? domainOf(of as UserAddress) : (of as Domain); // told apart by the at sign
    const server = this.servers.get(domain);
    if (server === undefined) throw new RangeError(`no server for ${domain}`);
    return server;
  }

  /** Everything that waits only for other things in memory happens. */
  settle(): Promise<void> {
    return settle();
  }

  advance(milliseconds: number): Promise<void> {
    return this.time.advance(milliseconds, settle);
  }

  /** A code for this user, as an administrator would give it. */
  code(of: UserAddress, changes: { readonly rootFingerprint?: Uint8Array } = {}): string {
    const server = this.server(of);
    const { domain, root } = server.options.organisation;
    const rootFingerprint = nodeCrypto.blake3(root.publicKey);
    const secret = server.enrolmentCode(of);
    return encodeEnrolmentCode(nodeCrypto, {
      secret,
      user: of,
      server: this.address(domain),
      rootFingerprint,
      ...changes,
    });
  }

  linkWorld(transport: MemoryTransport): LinkWorld {
    return { transport, crypto: nodeCrypto, random: this.#options.random, clock: this.time, timers: this.time };
  }

  get clientVersions(): VersionList {
    return versionsOf(this.#options.clientVersions ?? ['2.0', '1.2']);
  }

  /** Enrols a device, opens it, and connects it. */
  async device(address: string, name = 'laptop', changes: Partial<NorcClientOptions> = {}): Promise<TestDevice> {
    const store = new RecordingStore();
    const transport = this.network.transport();
    const code = this.code(user(address));
    const enrolling = enrol({
      ...this.linkWorld(transport),
      code,
      deviceName: name,
      store,
      versions: this.clientVersions,
    });
    await settle();
    const device = new TestDevice(this, store, transport, must(await enrolling), changes);
    this.devices.push(device);
    await device.start();
    return device;
  }

  async close(): Promise<void> {
    await Promise.all(this.devices.map((device) => device.stop()));
  }

  readonly #verifyCredential: VerifyCredential = async ([certificate, issuer], key, now) => {
    if (certificate === undefined || issuer === undefined) return reject('credential_invalid', 'chain');
    const parsed = parseDocument(DEVICE_CERTIFICATE, certificate);
    const pinned = parsed.ok ? this.#pinned(parsed.value.body.org) : parsed;
    if (!pinned.ok) return pinned;
    const verified = verifyDeviceCertificate(nodeCrypto, { certificate, issuer }, { pinned: pinned.value, now });
    if (!verified.ok) return verified;
    const { deviceId, user: owner, org, publicKey } = verified.value;
    return sameBytes(publicKey, key) ? ok({ deviceId, user: owner, org }) : reject('credential_invalid', 'key');
  };

  readonly #verifyHub: VerifyHub = async ([certificate], _key, now) => {
    const parsed = parseDocument(SERVER_CERTIFICATE, certificate ?? new Uint8Array());
    if (!parsed.ok) return parsed;
    const pinned = this.#pinned(parsed.value.body.org);
    if (!pinned.ok) return pinned;
    const verified = verifyServerCertificate(nodeCrypto, parsed.value, { pinned: pinned.value, usage: 'server', now });
    return verified.ok ? ok(verified.value.org) : verified;
  };

  #pinned(org: Domain) {
    const organisation = this.#options.organisations.find(({ domain }) => domain === org);
    return organisation === undefined
      ? reject('not_trusted', 'organisation')
      : ok({ org, rootKey: organisation.root.publicKey });
  }
}

/** Fewer than in life: making them takes most of a test's time. */
const KEY_PACKAGES = 4;

/** One device of a test, with everything that its application was told. */
export class TestDevice {
  readonly world: TestWorld;
  readonly enrolled: Enrolled;
  readonly changes: Partial<NorcClientOptions>;
  store: RecordingStore;
  transport: MemoryTransport;
  client!: NorcClient; // made by `start`
  readonly messages: ClientEvents['message'][] = [];
  readonly notices: ClientEvents['notice'][] = [];
  readonly warnings: ClientEvents['warning'][] = [];
  readonly states: ClientEvents['state'][] = [];
  readonly faults: unknown[] = [];

  constructor(
    world: TestWorld,
    store: RecordingStore,
    transport: MemoryTransport,
    enrolled: Enrolled,
    changes: Partial<NorcClientOptions>,
  ) {
    this.world = world;
    this.store = store;
    this.transport = transport;
    this.enrolled = enrolled;
    this.changes = changes;
  }

  get user(): UserAddress {
    return this.enrolled.user;
  }

  /** Opens the client on what is stored, and connects. */
  async start(): Promise<void> {
    const { world } = this;
    this.client = await NorcClient.open({
      ...world.linkWorld(this.transport),
      store: this.store,
      mlsProvider: createNodeMlsProvider(nodeCrypto),
      versions: world.clientVersions,
      ...this.changes,
      policy: { keyPackages: KEY_PACKAGES, ...this.changes.policy },
    });
    this.client.on('message', (event) => this.messages.push(event));
    this.client.on('notice', (event) => this.notices.push(event));
    this.client.on('warning', (event) => this.warnings.push(event));
    this.client.on('state', (event) => this.states.push(event));
    this.client.on('fault', (event) => this.faults.push(event));
    this.client.connect();
    await settle();
  }

  async stop(): Promise<void> {
    if (!this.store.isDead) await this.client.close();
  }

  /** The process is gone; the next one finds what was stored. */
  async crash(): Promise<void> {
    this.transport.kill();
    const store = await this.store.reopened();
    this.transport = this.world.network.transport();
    this.store = store;
    await this.start();
  }

  /** What the timeline of a conversation shows, oldest first: texts, and causes in brackets. */
  async shown(id: ConversationId): Promise<readonly string[]> {
    const view = await this.client.timeline(id, { limit: 1000 });
    return (view?.items ?? []).flatMap((item) => {
      if (item.type === 'message') return [textOf(item)];
      return item.line === 'problem' ? [`[${item.problem.cause}]`] : [];
    });
  }

  /** Starts a conversation, and lets everybody hear of it. */
  async creates(users: readonly TestDevice[], title?: string): Promise<ConversationId> {
    const others = users.map((device) => device.user);
    const creating = this.client.createConversation({ users: others, ...(title === undefined ? {} : { title }) });
    await settle();
    return must(await creating);
  }

  /** Sends a text and lets it arrive. */
  async says(id: ConversationId, text: string): Promise<MessageId> {
    const sent = must(await this.client.send(id, text));
    await settle();
    return sent;
  }

  /** States of own messages, in order. */
  async ownStates(id: ConversationId): Promise<readonly string[]> {
    const view = await this.client.timeline(id, { limit: 1000 });
    return (view?.items ?? []).flatMap((item) =>
      item.type === 'message' && item.own ? [item.state?.state ?? '?'] : [],
    );
  }
}

function textOf({ content }: MessageItem): string {
  return content.type === 'text' ? content.text : `(${content.type})`;
}
