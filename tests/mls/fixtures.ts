import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { nodeCrypto } from '@norc/crypto/node';
import {
  type AuthenticatedData,
  createGroupViews,
  createMlsEngine,
  type GroupLevel,
  type GroupViews,
  type MemberIdentity,
  type MlsEngine,
  type MlsGroup,
  type MlsOptions,
  type MlsProvider,
  type OwnIdentity,
  type OwnKeyPackage,
  type PendingCommit,
  type Received,
} from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import {
  type ConversationId,
  type DeviceId,
  decodeUtf8,
  domainOf,
  type Instant,
  idFromBytes,
  instant,
  type MessageId,
  parseDomain,
  parseUserAddress,
  type Result,
  reject,
  sameBytes,
  utf8,
} from '@norc/protocol/base';
import type { RandomBytes } from '@norc/protocol/crypto';
import type { ContentOf } from '@norc/protocol/norc-c';

/** The value of a result that must be one. */
export function must<T>(result: Result<T>): T {
  if (!result.ok) assert.fail(`${result.error.code}: ${result.error.detail}`);
  return result.value;
}

/** The code of a result that must be a reject. */
export function codeOf(result: Result<unknown>): string {
  return result.ok ? 'accepted' : result.error.code;
}

/** Repeatable bytes. Encapsulations still use the operating system's: no key or choice depends on them. */
export function seededRandom(seed: string): RandomBytes {
  let counter = 0;
  return (length) => {
    counter += 1;
    const stream = createHash('shake256', { outputLength: length }).update(`${seed}/${counter}`).digest();
    return new Uint8Array(stream.buffer, stream.byteOffset, stream.length);
  };
}

export interface TestDevice {
  readonly identity: OwnIdentity;
  readonly member: MemberIdentity;
}

/** An organisation's view in miniature: certificates are texts, valid while the world lists them. */
export class TestWorld {
  readonly random: RandomBytes;
  readonly certificates = new Map<string, MemberIdentity>();
  readonly revoked = new Set<DeviceId>();
  /** Server keys of hubs: their "certificate" is the domain. */
  readonly hubKeys = new Map<string, Uint8Array>();
  provider: MlsProvider;
  now: Instant = instant(1_800_000_000_000);
  verifications = 0;

  constructor(seed = 'norc') {
    this.random = seededRandom(seed);
    this.provider = createNodeMlsProvider(nodeCrypto, this.random);
  }

  options(more: Partial<MlsOptions> = {}): MlsOptions {
    return {
      provider: this.provider,
      clock: { now: () => this.now },
      verifyCredential: async (certificates, key) => this.#verify(certificates, key),
      verifyHub: async ([certificate], key) => {
        const domain = decodeUtf8(certificate ?? new Uint8Array(0)) ?? '';
        const known = this.hubKeys.get(domain);
        if (known === undefined || !sameBytes(known, key)) return reject('certificate_invalid', 'hub');
        return parseDomain(domain);
      },
      ...more,
    };
  }

  engine(more: Partial<MlsOptions> = {}): MlsEngine {
    return createMlsEngine(this.options(more));
  }

  views(more: Partial<MlsOptions> = {}): GroupViews {
    return createGroupViews(this.options(more));
  }

  #verify(certificates: readonly Uint8Array[], key: Uint8Array): Result<MemberIdentity> {
    this.verifications += 1;
    const identity = this.certificates.get(certificateName(certificates[0], key));
    if (identity === undefined) return reject('certificate_invalid', 'unknown certificate');
    if (this.revoked.has(identity.deviceId)) return reject('certificate_invalid', 'revoked');
    return { ok: true, value: identity };
  }

  device(address: string): TestDevice {
    const keys = nodeCrypto.ed25519.keyPair(this.random);
    const user = must(parseUserAddress(address));
    const member = { deviceId: idFromBytes<DeviceId>(this.random(16)), user, org: domainOf(user) };
    const certificate = this.certify(member, keys.publicKey);
    const identity = { certificates: [certificate], signPrivateKey: keys.privateKey, publicKey: keys.publicKey };
    return { identity, member };
  }

  certify(member: MemberIdentity, publicKey: Uint8Array, remark = ''): Uint8Array {
    const certificate = utf8(`${member.deviceId} ${member.user} ${remark}`);
    this.certificates.set(certificateName(certificate, publicKey), member);
    return certificate;
  }

  conversation(): ConversationId {
    return idFromBytes(this.random(16));
  }
}

function certificateName(certificate: Uint8Array | undefined, key: Uint8Array): string {
  return `${Buffer.from(certificate ?? []).toString('hex')}/${Buffer.from(key).toString('hex')}`;
}

/** A device with its engine and its place in one group. */
export class TestMember {
  readonly world: TestWorld;
  readonly device: TestDevice;
  readonly engine: MlsEngine;
  group: MlsGroup;

  constructor(world: TestWorld, device: TestDevice, engine: MlsEngine, group: MlsGroup) {
    this.world = world;
    this.device = device;
    this.engine = engine;
    this.group = group;
  }

  static async create(
    world: TestWorld,
    address = 'ann@alpha.example',
    level: GroupLevel = 'basic',
    more: Partial<MlsOptions> = {},
  ): Promise<TestMember> {
    return (await TestMember.createWithInfo(world, address, level, more)).member;
  }

  static async createWithInfo(
    world: TestWorld,
    address = 'ann@alpha.example',
    level: GroupLevel = 'basic',
    more: Partial<MlsOptions> = {},
  ): Promise<{ readonly member: TestMember; readonly groupInfo: Uint8Array }> {
    const device = world.device(address);
    const engine = world.engine(more);
    const { group, groupInfo } = await engine.createGroup({
      conversation: world.conversation(),
      hub: device.member.org,
      level,
      identity: device.identity,
    });
    return { member: new TestMember(world, device, engine, group), groupInfo };
  }

  /** Makes a commit and enters its epoch. */
  async commit(intent: Parameters<MlsGroup['prepareCommit']>[0] = {}): Promise<PendingCommit> {
    const pending = must(await this.group.prepareCommit(intent));
    await this.group.confirm(pending);
    return pending;
  }

  /** A commit that is made, and not used by its author. */
  async draft(intent: Parameters<MlsGroup['prepareCommit']>[0] = {}): Promise<PendingCommit> {
    const pending = must(await this.group.prepareCommit(intent));
    await this.group.abort(pending);
    return pending;
  }

  /** Adds newcomers in one commit; the others of the group must still receive it. */
  async add(addresses: readonly string[], update = false): Promise<{ joined: TestMember[]; pending: PendingCommit }> {
    const newcomers = await Promise.all(addresses.map((address) => newcomer(this.world, address)));
    const pending = await this.commit({ add: newcomers.map(({ own }) => own.keyPackage), update });
    const joined = [];
    for (const candidate of newcomers) joined.push(must(await candidate.join(pending.welcome)));
    return { joined, pending };
  }

  data(messageId: MessageId): AuthenticatedData {
    return { label: 'unclassified', conversation: this.group.conversation, messageId };
  }

  async say(text: string): Promise<Uint8Array> {
    const content = textContent(this.world, text);
    return must(await this.group.encrypt(content, this.data(content.message_id)));
  }

  async read(message: Uint8Array): Promise<string> {
    const received = must(await this.group.receive(message));
    assert.equal(received.kind, 'application');
    assert.equal(received.content.kind, 'text');
    return received.content.body.text;
  }

  async receiveCommit(commit: Uint8Array): Promise<Extract<Received, { kind: 'commit' }>> {
    const received = must(await this.group.receive(commit));
    assert.equal(received.kind, 'commit');
    return received;
  }
}

export function textContent(world: TestWorld, text: string): ContentOf<'text'> {
  return { kind: 'text', message_id: idFromBytes<MessageId>(world.random(16)), sent_at: world.now, body: { text } };
}

export interface Newcomer {
  readonly device: TestDevice;
  readonly own: OwnKeyPackage;
  join(welcome: Uint8Array | undefined): Promise<Result<TestMember>>;
}

export async function newcomer(world: TestWorld, address: string, known?: TestDevice): Promise<Newcomer> {
  const device = known ?? world.device(address);
  const engine = world.engine();
  const own = await engine.createKeyPackage({ identity: device.identity, lastResort: false });
  return {
    device,
    own,
    async join(welcome) {
      assert.ok(welcome);
      const group = await engine.join({ welcome, secret: own.secret, identity: device.identity });
      return group.ok ? { ok: true, value: new TestMember(world, device, engine, group.value) } : group;
    },
  };
}

/** Ann, Bob, Cid and so on, in leaves 0, 1, 2; each has committed once, so no parent is blank. */
export async function warmGroup(world: TestWorld, count: number): Promise<TestMember[]> {
  const ann = await TestMember.create(world);
  const names = Array.from({ length: count - 1 }, (_, i) => `user${i + 1}@bravo.example`);
  const members = [ann, ...(await ann.add(names)).joined];
  for (const member of members) await commitAmong(members, member);
  return members;
}

export async function commitAmong(members: readonly TestMember[], author: TestMember, intent = {}) {
  const pending = await author.commit(intent);
  for (const member of members)
    if (member !== author && member.group.active) await member.receiveCommit(pending.commit);
  return pending;
}

export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  assert.ok(item !== undefined);
  return item;
}
