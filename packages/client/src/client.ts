import { createMlsEngine, type MemberIdentity, type OwnIdentity } from '@norc/mls';
import {
  type ConversationId,
  type Instant,
  instant,
  type MessageId,
  ok,
  type Reject,
  type Result,
  type UserAddress,
} from '@norc/protocol/base';
import type { PinnedOrg, VerifiedServerCertificate } from '@norc/protocol/crypto';
import { checkVersionList, SUPPORTED_VERSIONS } from '@norc/protocol/handshake';
import { type ClockOffset, isDrifting, type MessageContent } from '@norc/protocol/norc-c';
import type { ClientEvents, ClientReject, CreateOptions, MemberView, NorcClientOptions } from './client-types.ts';
import type { TextOptions } from './conversations/content-maker.ts';
import { DEFAULT_POLICY, type EngineContext, type EngineEvent, type Self } from './conversations/context.ts';
import { ConversationEngine, type EngineReject } from './conversations/engine.ts';
import { Emitter } from './emitter.ts';
import type { Enrolled } from './enrolment/enrol.ts';
import { isLoopbackHost } from './session/address.ts';
import { ServerSession } from './session/server-session.ts';
import type { SessionStatus } from './session/status.ts';
import type { TimelineQuery } from './store/port.ts';
import type { ConversationRow } from './store/rows.ts';
import { type Problem, problemOfError } from './timeline/causes.ts';
import { entriesOf } from './timeline/decode.ts';
import {
  type ConversationSummary,
  type ConversationView,
  conversationSummary,
  conversationView,
} from './timeline/view.ts';
import { TrustAnchors } from './trust/anchors.ts';
import { credentialVerifier, hubVerifier } from './trust/credentials.ts';
import { RootBook } from './trust/root-book.ts';
import { safetyNumber } from './trust/safety-number.ts';

const PAGE_ROWS = 50;
/** Rows that a summary looks at: more unread ones are not counted one by one. */
const SUMMARY_ROWS = 200;

/** A device: its conversations, its connection, its keys. One per profile. */
export class NorcClient {
  readonly self: Self & { readonly deviceName: string };
  readonly #options: NorcClientOptions;
  readonly #events: Emitter<ClientEvents>;
  readonly #session: ServerSession;
  #engine!: ConversationEngine; // set by `open`, before anybody holds the client
  #offset: ClockOffset | undefined;
  #server: VerifiedServerCertificate | undefined;
  #warnedOfClock = false;
  /** As it was pinned at enrolment; `#roots` knows what became of it. */
  readonly #own: PinnedOrg;
  readonly #roots: RootBook;
  #anchors: TrustAnchors | undefined;

  private constructor(options: NorcClientOptions, device: Enrolled) {
    this.#options = options;
    this.#events = new Emitter((fault) => this.#fault(fault));
    this.self = { user: device.user, deviceId: device.deviceId, org: device.domain, deviceName: device.name };
    this.#own = { org: device.domain, rootKey: device.orgRootKey };
    const { crypto } = options;
    const roots = new RootBook({ crypto, clock: options.clock, store: options.store });
    this.#roots = roots;
    const versions = options.versions === undefined ? checkVersionList(SUPPORTED_VERSIONS) : ok(options.versions);
    if (!versions.ok) throw new RangeError(versions.error.detail);
    const { deviceId, publicKey, privateKey, server: address } = device;
    const sign = (message: Uint8Array) => crypto.ed25519.sign(privateKey, message);
    const session = {
      pinned: currentPin(roots, this.#own),
      device: { deviceId, publicKey, sign },
      versions: versions.value,
    };
    const allowOlderServer = options.allowOlderServer ?? false;
    this.#session = new ServerSession(
      { ...options, ...session, address, allowOlderServer },
      {
        status: (status) => this.#events.emit('state', status),
        ready: (ready, server) => {
          this.#server = server.certificate;
          this.#engine.ready(ready);
          void this.#anchors?.refreshOwn().catch((fault: unknown) => this.#fault(fault));
        },
        lost: () => this.#engine.lost(),
        push: (message) => this.#engine.push(message),
        unproven: (code) => this.#tell({ type: 'warning', warning: 'server_unproven', problem: problemOfError(code) }),
        clock: (offset) => this.#learnClock(offset),
        fault: (fault) => this.#fault(fault),
      },
    );
  }

  /**
   * Opens an enrolled profile; nothing is dialed before `connect`. Throws RangeError for a
   * profile that is no device yet, and for a server that would be dialed in the clear.
   */
  static async open(options: NorcClientOptions): Promise<NorcClient> {
    const device = await options.store.read.device();
    if (device?.registration === undefined) throw new RangeError('this profile is not enrolled');
    const { server, registration } = device;
    if (!server.tls && !isLoopbackHost(server.host) && options.allowPlain !== true) {
      throw new RangeError('the server would be dialed without TLS beyond this machine');
    }
    const client = new NorcClient(options, { ...device, registration });
    await client.#roots.load(client.#own);
    const { deviceCertificate, issuerCertificate } = registration;
    client.#engine = await ConversationEngine.open(
      client.#context({
        certificates: [deviceCertificate, issuerCertificate],
        signPrivateKey: device.privateKey,
        publicKey: device.publicKey,
      }),
    );
    return client;
  }

  #context(identity: OwnIdentity): EngineContext {
    const { store, crypto, random, timers, mlsProvider: provider, policy } = this.#options;
    const clock = { now: () => this.#now() };
    const session = this.#session;
    const onForged = (org: PinnedOrg['org']) =>
      this.#tell({ type: 'warning', warning: 'trust_forged', problem: { cause: 'trust.none', org } });
    const deviceClock = this.#options.clock;
    const pins = { own: this.#own, roots: this.#roots };
    const anchors = new TrustAnchors({ crypto, clock: deviceClock, store, session, ...pins, onForged });
    this.#anchors = anchors;
    const verifyCredential = credentialVerifier(crypto, anchors);
    const verifyHub = hubVerifier(crypto, anchors);
    const mls = createMlsEngine({ provider, clock: deviceClock, verifyCredential, verifyHub });
    return {
      ...{ self: this.self, identity, store, mls, crypto, random, clock, deviceClock, timers, session, anchors },
      policy: { ...DEFAULT_POLICY, ...policy },
      server: () => this.#server,
      emit: (event) => this.#tell(event),
      fault: (fault) => this.#fault(fault),
    };
  }

  // ---- connection ----

  /** Connects, and stays connected. Also tries again at once after a wait or a stop. */
  connect(): void {
    this.#session.start();
  }

  /** Resolves when the session is ready; with the reason when it cannot be without a person. */
  ready(): Promise<Result<void, ClientReject>> {
    const settled = (status: SessionStatus): Result<void, ClientReject> | undefined => {
      if (status.state === 'ready') return ok(undefined);
      if (status.state === 'stopped') return refuse({ code: status.code, detail: 'session' });
      return status.state === 'offline' ? refuse({ code: 'no_route', detail: 'not connecting' }) : undefined;
    };
    const now = settled(this.status);
    if (now !== undefined) return Promise.resolve(now);
    return new Promise((resolve) => {
      const end = this.on('state', (status) => {
        const outcome = settled(status);
        if (outcome === undefined) return;
        end();
        resolve(outcome);
      });
    });
  }

  /** Once ready: resolves when people can reach this device while it is away. */
  reachable(): Promise<void> {
    return this.#engine.published;
  }

  get status(): SessionStatus {
    return this.#session.status;
  }

  /** Server's time minus this device's, in milliseconds; 0 before the first connection. */
  get clockOffsetMilliseconds(): number {
    return this.#offset?.milliseconds ?? 0;
  }

  /** Finishes what was begun, and ends. */
  async close(): Promise<void> {
    this.#engine.flush();
    this.#session.stop();
    await this.#engine.close();
    if (this.#options.closeStore === true) await this.#options.store.close();
  }

  /** The returned function ends the subscription. */
  on<K extends keyof ClientEvents>(event: K, listener: (event: ClientEvents[K]) => void): () => void {
    return this.#events.on(event, listener);
  }

  // ---- conversations ----

  /** Newest first. */
  async conversations(): Promise<readonly ConversationSummary[]> {
    const summaries: ConversationSummary[] = [];
    for (const row of await this.#options.store.read.conversations()) {
      summaries.push(conversationSummary(await this.#viewInput(row, { limit: SUMMARY_ROWS })));
    }
    return summaries.sort((a, b) => b.lastTime - a.lastTime);
  }

  /** Undefined for one that is not there. By default its newest rows. */
  async timeline(
    id: ConversationId,
    query: TimelineQuery = { limit: PAGE_ROWS },
  ): Promise<ConversationView | undefined> {
    const row = await this.#options.store.read.conversation(id);
    return row === undefined ? undefined : conversationView(await this.#viewInput(row, query));
  }

  async #viewInput(conversation: ConversationRow, query: TimelineQuery) {
    const { read } = this.#options.store;
    const { rows, more } = await read.timeline(conversation.conversationId, query);
    const marks = await read.marks(conversation.conversationId);
    return { conversation, self: this.self.user, marks, entries: entriesOf(rows), more, now: this.#now() };
  }

  /**
   * Starts a conversation. Resolves when the hub has ordered it, which takes a connection.
   * Refused, nothing of it is left. Errors: user_not_found with `users`; not_trusted and
   * label_not_allowed for an organisation; no_route; and what the hub says.
   */
  async createConversation({ users, title, label }: CreateOptions): Promise<Result<ConversationId, ClientReject>> {
    const titled = title === undefined ? {} : { title };
    const created = await this.#engine.create({ users, label: label ?? 'unclassified', ...titled });
    return created.ok ? created : refuse(created.error);
  }

  /** Resolves when the log shows it. Errors: user_not_found, below_floor, forbidden, and what the hub says. */
  addParticipants(id: ConversationId, users: readonly UserAddress[]): Promise<Result<void, ClientReject>> {
    return refused(this.#engine.conversation(id).change({ type: 'add', users }));
  }

  /** With all devices of that person. Resolves when the log shows it. */
  async removeParticipant(id: ConversationId, user: UserAddress): Promise<Result<void, ClientReject>> {
    if (user === this.self.user) throw new RangeError('leave is for oneself');
    const conversation = this.#engine.conversation(id);
    const devices = await conversation.devicesOf(user);
    return await refused(conversation.change({ type: 'remove', devices }));
  }

  /** Says so to the others, one of whose devices then takes this user's devices out. */
  leave(id: ConversationId): Promise<Result<MessageId, ClientReject>> {
    return this.#send(id, this.#engine.content.control('leave'));
  }

  rename(id: ConversationId, title: string): Promise<Result<MessageId, ClientReject>> {
    return this.#send(id, this.#engine.content.control('rename', title));
  }

  /** Everybody in the group, with the devices that read along. */
  async members(id: ConversationId): Promise<readonly MemberView[]> {
    const byUser = Map.groupBy(await this.#engine.conversation(id).members(), ({ identity }) => identity.user);
    const views = Array.from(byUser, ([user, members]) => {
      return { user, devices: members.map(({ identity }) => this.#deviceView(identity)) };
    });
    return views.sort((a, b) => (a.user < b.user ? -1 : 1));
  }

  #deviceView({ deviceId }: MemberIdentity) {
    return { deviceId, own: deviceId === this.self.deviceId };
  }

  /**
   * 60 digits to compare with `user` over another channel, over the devices of both in
   * every conversation that they share; undefined when there is none (spec/safety-number).
   */
  async safetyNumber(user: UserAddress): Promise<string | undefined> {
    const keys = await this.#engine.keysOf([user, this.self.user], user);
    const [theirs = [], own = []] = [keys.get(user), keys.get(this.self.user)];
    if (theirs.length === 0) return undefined;
    return safetyNumber(this.#options.crypto, { user, keys: theirs }, { user: this.self.user, keys: own });
  }

  // ---- messages ----

  /** Stored when it resolves; sent now or when there is a connection. Errors: forbidden, conversation_frozen. */
  send(id: ConversationId, text: string, options: TextOptions = {}): Promise<Result<MessageId, ClientReject>> {
    return this.#send(id, this.#engine.content.text(text, options));
  }

  edit(id: ConversationId, target: MessageId, text: string): Promise<Result<MessageId, ClientReject>> {
    return this.#send(id, this.#engine.content.edit(target, text));
  }

  /** For everybody, as far as their programs are honest. */
  deleteMessage(id: ConversationId, target: MessageId): Promise<Result<MessageId, ClientReject>> {
    return this.#send(id, this.#engine.content.delete(target));
  }

  react(
    id: ConversationId,
    target: MessageId,
    emoji: string,
    removed = false,
  ): Promise<Result<MessageId, ClientReject>> {
    return this.#send(id, this.#engine.content.reaction(target, emoji, removed));
  }

  /** An own message that was not sent, once more. Errors: as `send`; user_not_found for one that is not there. */
  resend(id: ConversationId, messageId: MessageId): Promise<Result<void, ClientReject>> {
    return refused(this.#engine.conversation(id).resend(messageId));
  }

  /** An own message that was not sent is thrown away. */
  discard(id: ConversationId, messageId: MessageId): Promise<void> {
    return this.#engine.conversation(id).discard(messageId);
  }

  /** The user has seen everything up to this place of the log. */
  markRead(id: ConversationId, seq: number): Promise<void> {
    return this.#engine.markRead(id, seq, this.#options.readReceipts === false);
  }

  #send(id: ConversationId, content: MessageContent): Promise<Result<MessageId, ClientReject>> {
    return refused(this.#engine.conversation(id).send(content));
  }

  // ---- the world ----

  #now(): Instant {
    return instant(this.#options.clock.now() + this.clockOffsetMilliseconds);
  }

  /** The clock is never set; a person is told once per run. */
  #learnClock(offset: ClockOffset): void {
    this.#offset = offset;
    if (this.#warnedOfClock || !isDrifting(offset)) return;
    this.#warnedOfClock = true;
    const seconds = Math.round(Math.abs(offset.milliseconds) / 1000);
    this.#tell({ type: 'warning', warning: 'clock', problem: { cause: 'device.clock', seconds } });
  }

  #tell(event: EngineEvent): void {
    switch (event.type) {
      case 'message': {
        const { conversationId, message: row } = event;
        for (const entry of entriesOf([row])) this.#events.emit('message', { conversationId, entry, row });
        return;
      }
      case 'notice': {
        const { conversationId, notices, message: row } = event;
        this.#events.emit('notice', { conversationId, notices, row });
        return;
      }
      case 'conversation':
        this.#events.emit('conversation', event);
        return;
      case 'delivery':
        this.#events.emit('delivery', event);
        return;
      case 'trust': {
        const { org, state, level, text } = event;
        this.#events.emit('trust', { org, state, level, text });
        return;
      }
      case 'warning': {
        const { type: _type, ...warning } = event;
        this.#events.emit('warning', warning);
      }
    }
  }

  #fault(fault: unknown): void {
    this.#events.emit('fault', fault);
  }
}

async function refused<T>(outcome: Promise<Result<T, EngineReject>>): Promise<Result<T, ClientReject>> {
  const result = await outcome;
  return result.ok ? result : refuse(result.error);
}

function refuse(error: EngineReject | Reject): { readonly ok: false; readonly error: ClientReject } {
  const { code, detail } = error;
  const users = 'users' in error ? error.users : undefined;
  const problem = problemOf(error);
  return { ok: false, error: { code, detail, problem, ...(users === undefined ? {} : { users }) } };
}

/** What the own server was not asked, or did not answer, is not about anybody else. */
function problemOf(error: EngineReject | (Reject & { readonly fate?: string })): Problem {
  if ('fate' in error && error.fate !== 'refused') return { cause: 'server.unreachable' };
  if ('problem' in error && error.problem !== undefined) return error.problem;
  return { ...problemOfError(error.code), ...about(error) } as Problem; // a plain cause takes any of its details
}

function about(error: EngineReject): { readonly user?: UserAddress; readonly org?: string } {
  const [user] = error.users ?? [];
  return { ...(user === undefined ? {} : { user }), ...(error.org === undefined ? {} : { org: error.org }) };
}

/** The own organisation as it counts at the moment at which a server's hello is checked. */
function currentPin(roots: RootBook, first: PinnedOrg): PinnedOrg {
  return {
    org: first.org,
    get rootKey() {
      return roots.standing(first).rootKey;
    },
    get predecessors() {
      return roots.standing(first).predecessors ?? [];
    },
  };
}
