import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import {
  createMlsEngine,
  type HubSender,
  type MlsEngine,
  type MlsGroup,
  type OwnIdentity,
  type OwnKeyPackage,
} from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import {
  type Clock,
  type ConversationId,
  type DeviceId,
  type Domain,
  domainOf,
  type Instant,
  idFromBytes,
  instant,
  type Label,
  type MessageId,
  parseUserAddress,
  type Result,
  reject,
  toHex,
  type UserAddress,
} from '@norc/protocol/base';
import { DEVICE_CERTIFICATE, type KeyPair, parseDocument, verifyDeviceCertificate } from '@norc/protocol/crypto';
import type { ContentOf, Enrolment, NorcCBody, OwnDevice } from '@norc/protocol/norc-c';
import { hubCertificate, verifyHubKey } from '@norc/protocol/norc-f';
import { verifyTrustCertificate } from '@norc/protocol/norc-t';
import type { WireLogEntry } from '@norc/protocol/wire';
import { mustBe } from '../organisations.ts';
import { TestConversation } from './conversation.ts';
import { inTime } from './deadline.ts';
import type { TestServer } from './servers.ts';
import { newId, type Push, type Reply, refusalOf, TestSession } from './session.ts';

const OFFICER = 'officer:test';
/** What the group itself is made for. */
type ConversationLevel = 'basic' | 'verified' | 'classified';
const STOCK = 4;

export interface TestDeviceOptions {
  readonly versions?: readonly string[];
  /** Of several organisations on the server. */
  readonly domain?: Domain;
  readonly clock?: Clock;
  /** One-time KeyPackages to publish; none and no last-resort one with 0. */
  readonly stock?: number;
  /** Its groups let the hub propose removals; on unless told otherwise. */
  readonly namesHub?: boolean;
  /** Somebody on the way to the server changes the hello. */
  readonly alterHello?: (text: string) => string;
}

/** A device with real keys, a real MLS engine and a scripted person in front of it. */
export class TestDevice {
  readonly server: TestServer;
  readonly user: UserAddress;
  readonly domain: Domain;
  readonly deviceId: DeviceId = idFromBytes(nodeRandom.bytes(16));
  readonly keys: KeyPair = nodeCrypto.ed25519.keyPair((length) => nodeRandom.bytes(length));
  readonly engine: MlsEngine;
  readonly options: TestDeviceOptions;
  readonly conversations = new Map<ConversationId, TestConversation>();
  /** Progress of others, highest first come. */
  readonly delivered = new Map<string, number>();
  readonly acks: NorcCBody<'message_ack'>[] = [];
  readonly deviceLists: NorcCBody<'device_list'>[] = [];
  readonly closed: NorcCBody<'conversation_closed'>[] = [];
  /** Whether what was processed is acknowledged. */
  acknowledges = true;
  readonly #packages = new Map<string, OwnKeyPackage>();
  readonly #roots = new Map<Domain, Uint8Array>();
  readonly #waiting = new Set<() => void>();
  #chain: Promise<void> = Promise.resolve();
  #session: TestSession | undefined;
  #certificates: readonly Uint8Array[] = [];
  #failure: unknown;

  constructor(server: TestServer, address: string, options: TestDeviceOptions = {}) {
    this.server = server;
    this.user = mustBe(parseUserAddress(address));
    this.domain = domainOf(this.user);
    this.options = options;
    this.engine = createMlsEngine({
      provider: createNodeMlsProvider(),
      clock: options.clock ?? nodeClock,
      verifyCredential: (certificates, key) => this.#verifyCredential(certificates, key),
      verifyHub: (certificates, key, now) => this.#verifyHub(certificates, key, now),
    });
  }

  /** A user with a new device that is enrolled, connected and has KeyPackages on its server. */
  static async enrol(server: TestServer, address: string, options: TestDeviceOptions = {}): Promise<TestDevice> {
    const device = new TestDevice(server, address, options);
    await device.connect(await device.invite());
    if (options.stock !== 0) await device.publish(options.stock ?? STOCK);
    return device;
  }

  /** What an officer hands out: the user, added if need be, and a one-time code. */
  async invite(): Promise<Enrolment> {
    const { directory } = this.server.node(this.domain);
    mustBe(await directory.addUser(this.user, OFFICER));
    const { secret } = mustBe(await directory.createEnrolment(this.user, OFFICER));
    return { user: this.user, code: secret, deviceName: 'test device' };
  }

  get session(): TestSession {
    if (this.#session === undefined) throw new TypeError(`${this.user} is not connected`);
    return this.#session;
  }

  get own(): OwnDevice {
    const { deviceId, keys } = this;
    return {
      deviceId,
      publicKey: keys.publicKey,
      sign: (message) => nodeCrypto.ed25519.sign(keys.privateKey, message),
    };
  }

  get identity(): OwnIdentity {
    const { keys } = this;
    return { certificates: this.#certificates, signPrivateKey: keys.privateKey, publicKey: keys.publicKey };
  }

  /** Throws SessionRefused with the server's code. */
  async connect(enrolment?: Enrolment, device: OwnDevice = this.own): Promise<void> {
    const { server, domain, options } = this;
    const session = await TestSession.open({
      ...{ domain, device, port: server.running.deviceAddress.port, rootKey: server.rootKey(domain) },
      ...(enrolment === undefined ? {} : { enrolment }),
      ...(options.versions === undefined ? {} : { versions: options.versions }),
      ...(options.clock === undefined ? {} : { clock: options.clock }),
      ...(options.alterHello === undefined ? {} : { alterHello: options.alterHello }),
    });
    if (session.registered !== undefined) {
      this.#certificates = [session.registered.device_certificate, session.registered.issuer_certificate];
    }
    this.#session = session;
    session.onPush = (push) => this.#pushed(push);
    for (const push of session.pushes.items) this.#pushed(push);
  }

  async disconnect(): Promise<void> {
    await this.#session?.drop();
    await this.#chain;
    this.#session = undefined;
  }

  async reconnect(): Promise<void> {
    await this.disconnect();
    await this.connect();
  }

  /** The own server's key, as the hello shows it. */
  get hubSender(): HubSender {
    const { certificate } = this.server.node(this.domain).identity;
    return { publicKey: certificate.publicKey, certificates: [certificate.document.bytes] };
  }

  // ---- KeyPackages ----

  async makePackages(count: number, lastResort = false): Promise<readonly Uint8Array[]> {
    const made: Uint8Array[] = [];
    for (let i = 0; i < count; i += 1) {
      const own = await this.engine.createKeyPackage({ identity: this.identity, lastResort });
      this.#packages.set(toHex(own.ref), own);
      made.push(own.keyPackage);
    }
    return made;
  }

  async publish(count: number): Promise<number> {
    const packages = await this.makePackages(count);
    const [lastResort] = await this.makePackages(1, true);
    const body = { packages, ...(lastResort === undefined ? {} : { last_resort: lastResort }) };
    return (await this.session.ask({ type: 'key_publish', body }, 'key_stock')).count;
  }

  async claim(...users: readonly string[]): Promise<NorcCBody<'key_response'>> {
    const body = { users: users.map((user) => mustBe(parseUserAddress(user))) };
    return await this.session.ask({ type: 'key_request', body }, 'key_response');
  }

  ownPackage(ref: Uint8Array): OwnKeyPackage | undefined {
    return this.#packages.get(toHex(ref));
  }

  // ---- conversations ----

  conversation(id: ConversationId): TestConversation {
    const known = this.conversations.get(id);
    if (known !== undefined) return known;
    const conversation = new TestConversation(this, id);
    this.conversations.set(id, conversation);
    return conversation;
  }

  /** A new conversation with all devices of these users, ordered and adopted. */
  async create(
    users: readonly string[],
    label: Label = 'unclassified',
    level: ConversationLevel = 'basic',
  ): Promise<TestConversation> {
    const { body, conversation } = await this.draftCreation(users, label, level);
    const reply = await this.session.request({ type: 'conversation_create', body });
    if (reply.type !== 'message_ack') throw new Error(`creation: ${refusalOf(reply)}`);
    await conversation.reached(reply.body.seq ?? 1);
    return conversation;
  }

  /** Everything of a creation but its sending. */
  async draftCreation(users: readonly string[], label: Label = 'unclassified', level: ConversationLevel = 'basic') {
    const id: ConversationId = idFromBytes(nodeRandom.bytes(16));
    const packages = users.length === 0 ? [] : (await this.claim(...users)).packages;
    const { group } = await this.engine.createGroup({
      conversation: id,
      identity: this.identity,
      hub: this.domain,
      level,
      hubSenders: this.options.namesHub === false ? [] : [this.hubSender],
    });
    const conversation = this.conversation(id);
    conversation.label = label;
    conversation.group = group;
    const messageId: MessageId = newId();
    const { commit, welcome, groupInfo } = await conversation.prepare(messageId, {
      add: packages.map((one) => one.key_package),
    });
    const parts = { commit, welcome: welcome ?? new Uint8Array(), group_info: groupInfo };
    const body: NorcCBody<'conversation_create'> = { conversation: id, label, message_id: messageId, ...parts };
    return { body, conversation };
  }

  textContent(text: string): ContentOf<'text'> {
    const now = (this.options.clock ?? nodeClock).now();
    return { kind: 'text', message_id: newId(), sent_at: instant(now), body: { text } };
  }

  join(group: { welcome: Uint8Array; own: OwnKeyPackage }): Promise<Result<MlsGroup>> {
    return this.engine.join({ welcome: group.welcome, secret: group.own.secret, identity: this.identity });
  }

  // ---- what the server sends ----

  #pushed({ message }: Push): void {
    this.#chain = this.#chain
      .then(async () => {
        if (message.type === 'log_entries') await this.#entries(message.body);
        if (message.type === 'message_ack') this.#acked(message.body);
        if (message.type === 'conversation_closed') this.closed.push(message.body);
        if (message.type === 'device_list') this.deviceLists.push(message.body);
        if (message.type === 'delivery_update') for (const one of message.body.updates) this.#progress(one);
      })
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .then(() => this.changed());
  }

  async #entries({ conversation, label, entries, hub }: NorcCBody<'log_entries'>): Promise<void> {
    const one = this.conversation(conversation);
    one.label = label;
    one.hub = hub;
    for (const entry of entries) await one.take(entry);
    if (this.acknowledges && this.session.isOpen) this.acknowledge(conversation, one.seq);
  }

  acknowledge(conversation: ConversationId, seq: number): void {
    this.session.send({ type: 'cursor_ack', body: { cursors: [{ conversation, seq }] } });
  }

  #acked(ack: NorcCBody<'message_ack'>): void {
    this.acks.push(ack);
    this.conversations.get(ack.conversation)?.acked(ack);
  }

  #progress({ conversation, user, seq }: NorcCBody<'delivery_update'>['updates'][number]): void {
    const key = `${conversation} ${user}`;
    this.delivered.set(key, Math.max(seq, this.delivered.get(key) ?? 0));
  }

  /** How far the devices of a user have come, as this device was told. */
  deliveredTo(conversation: ConversationId, user: UserAddress): number {
    return this.delivered.get(`${conversation} ${user}`) ?? 0;
  }

  changed(): void {
    for (const look of this.#waiting) look();
  }

  /** Looks after everything that comes; throws what went wrong while it was processed. */
  async waitFor<T>(what: string, look: () => T | undefined | false): Promise<T> {
    let stop: () => void = () => undefined;
    const found = new Promise<T>((resolve, reject) => {
      const attempt = () => {
        if (this.#failure !== undefined) return reject(this.#failure);
        const value = look();
        if (value !== undefined && value !== false) resolve(value);
      };
      this.#waiting.add(attempt);
      stop = () => this.#waiting.delete(attempt);
      attempt();
    });
    return await inTime(`${this.user}: ${what}`, found).finally(stop);
  }

  /** What was pushed so far is processed. */
  async idle(): Promise<void> {
    await this.session.settled();
    await this.#chain;
    if (this.#failure !== undefined) throw this.#failure;
  }

  // ---- who others are ----

  async #verifyCredential([certificate, issuer]: readonly Uint8Array[], key: Uint8Array) {
    const parsed = certificate === undefined ? undefined : parseDocument(DEVICE_CERTIFICATE, certificate);
    if (parsed?.ok !== true || certificate === undefined || issuer === undefined)
      return reject('credential_invalid', 'chain');
    const { org } = parsed.value.body;
    const rootKey = await this.#rootKey(org);
    if (rootKey === undefined) return reject('credential_invalid', 'organisation');
    const now = (this.options.clock ?? nodeClock).now();
    const verified = verifyDeviceCertificate(nodeCrypto, { certificate, issuer }, { pinned: { org, rootKey }, now });
    if (!verified.ok) return verified;
    const { deviceId, user, publicKey } = verified.value;
    if (toHex(publicKey) !== toHex(key)) return reject('credential_invalid', 'key');
    return { ok: true as const, value: { deviceId, user, org } };
  }

  async #verifyHub(certificates: readonly Uint8Array[], key: Uint8Array, now: Instant): Promise<Result<Domain>> {
    const parsed = hubCertificate(certificates);
    if (!parsed.ok) return parsed;
    const { org } = parsed.value.body;
    const rootKey = await this.#rootKey(org);
    if (rootKey === undefined) return reject('credential_invalid', 'organisation of the hub');
    return verifyHubKey(nodeCrypto, certificates, key, { pinned: { org, rootKey }, now });
  }

  /** The own organisation's is pinned; another's is named by the trust certificate that the own one issued. */
  async #rootKey(org: Domain): Promise<Uint8Array | undefined> {
    const own = this.server.rootKey(this.domain);
    if (org === this.domain) return own;
    const known = this.#roots.get(org);
    if (known !== undefined) return known;
    const answer = await this.session.ask({ type: 'org_request', body: { domain: org } }, 'org_response');
    if (answer.trust_certificate === undefined) return undefined;
    const verified = verifyTrustCertificate(nodeCrypto, answer.trust_certificate, {
      issuer: { org: this.domain, rootKey: own },
      now: (this.options.clock ?? nodeClock).now(),
      ...(answer.issuer_certificate === undefined ? {} : { serverCertificates: [answer.issuer_certificate] }),
    });
    if (!verified.ok || verified.value.subject !== org) return undefined;
    this.#roots.set(org, verified.value.subjectRootKey);
    return verified.value.subjectRootKey;
  }
}

export type { Reply, WireLogEntry };
