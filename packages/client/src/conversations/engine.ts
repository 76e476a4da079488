import type { GroupLevel } from '@norc/mls';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  domainOf,
  idFromBytes,
  LABELS,
  type Label,
  type MessageId,
  ok,
  type Reject,
  type Result,
  type UserAddress,
} from '@norc/protocol/base';
import type { NorcCBody, NorcCMessage, Ready } from '@norc/protocol/norc-c';
import { lowestLevel } from '@norc/protocol/norc-t';
import type { ReceivedMessage } from '@norc/protocol/wire';
import type { ClientWrite } from '../store/port.ts';
import type { Problem } from '../timeline/causes.ts';
import { refuseCarriage } from '../trust/level-check.ts';
import { ContentMaker } from './content-maker.ts';
import type { EngineContext } from './context.ts';
import { Conversation } from './conversation.ts';
import { CursorAcks } from './cursor-acks.ts';
import type { OwnDevices } from './housekeeping.ts';
import { KeyStock } from './key-stock.ts';
import { claimPackages } from './packages.ts';

export interface NewConversation {
  /** Everybody else. Without anybody: notes to oneself, shared by the own devices. */
  readonly users: readonly UserAddress[];
  readonly title?: string;
  readonly label: Label;
}

/** `users`, `org`: whom it is about, where that is known. `problem`: with all that its sentence needs. */
export interface EngineReject extends Reject {
  readonly users?: readonly UserAddress[];
  readonly org?: Domain;
  readonly problem?: Problem;
}

const ID_BYTES = 16;

/** All conversations of one device: routes what the session brings, and starts what the application wants. */
export class ConversationEngine {
  readonly content: ContentMaker;
  readonly #ctx: EngineContext;
  readonly #conversations = new Map<ConversationId, Conversation>();
  readonly #acks: CursorAcks;
  readonly #keys: KeyStock;
  #ownDevices: OwnDevices | undefined;
  #published: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(ctx: EngineContext, content: ContentMaker) {
    this.#ctx = ctx;
    this.content = content;
    this.#acks = new CursorAcks(ctx.session, ctx.timers, ctx.policy.cursorBatchMilliseconds);
    this.#keys = new KeyStock(ctx);
  }

  /** Reads what there is; nothing is sent before `ready`. */
  static async open(ctx: EngineContext): Promise<ConversationEngine> {
    const engine = new ConversationEngine(ctx, await ContentMaker.open(ctx));
    for (const { conversationId } of await ctx.store.read.conversations()) engine.conversation(conversationId);
    for (const { conversationId } of await ctx.store.read.outgoing()) engine.conversation(conversationId);
    return engine;
  }

  /** Resolves when the KeyPackages that the server lacked at the last `ready` are there. */
  get published(): Promise<void> {
    return this.#published;
  }

  /** Tells the server now what it would be told a moment later. */
  flush(): void {
    this.#acks.flush();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#acks.clear();
    await Promise.all([...this.#conversations.values()].map((one) => one.close()));
  }

  /** Made when it is first heard of. */
  conversation(id: ConversationId): Conversation {
    const known = this.#conversations.get(id);
    if (known !== undefined) return known;
    const made = new Conversation(this.#ctx, id, {
      acknowledge: (conversation, seq) => this.#acks.add(conversation, seq),
      ownDevices: () => this.#ownDevices,
      discarded: (conversation) => this.#conversations.delete(conversation),
      control: (action, text) => this.content.control(action, text),
      packageUsed: () => this.#packageUsed(),
    });
    this.#conversations.set(id, made);
    return made;
  }

  // ---- from the session ----

  ready({ keyStock }: Ready): void {
    this.#published = this.#keys.check(keyStock);
    this.#ctx.session.ask('device_list_request', {}, (answer) => {
      if (answer.ok) this.#devicesListed(answer.value);
    });
    for (const conversation of this.#conversations.values()) conversation.sessionReady();
  }

  lost(): void {
    this.#acks.clear();
    for (const conversation of this.#conversations.values()) conversation.sessionLost();
  }

  push(message: ReceivedMessage<NorcCMessage>): void {
    if (this.#closed) return;
    switch (message.type) {
      case 'log_entries':
        this.conversation(message.body.conversation).pushed(message.body);
        return;
      case 'message_ack':
        this.#conversations.get(message.body.conversation)?.acknowledged(message.body);
        return;
      case 'conversation_closed':
        this.#conversations.get(message.body.conversation)?.closed(message.body);
        return;
      case 'trust_notice': {
        const { domain: org, state, level, text } = message.body;
        void this.#trustChanged(org, state === 'ended').catch(this.#ctx.fault);
        this.#ctx.emit({ type: 'trust', org, state, level, text });
        return;
      }
      case 'delivery_update':
        this.#delivered(message.body);
        return;
      case 'device_list':
        this.#devicesListed(message.body);
        return;
      case 'key_stock':
        void this.#keys.counted(message.body.count);
        return;
      default:
        return;
    }
  }

  /** A Welcome may have used the last resort. */
  #packageUsed(): void {
    if (this.#ctx.session.isReady) void this.#keys.check(undefined);
  }

  /** What was learned is asked about anew; what waits for trust may go on. */
  async #trustChanged(org: Domain, ended: boolean): Promise<void> {
    await this.#ctx.anchors.changed(org, ended);
    for (const conversation of this.#conversations.values()) conversation.trustChanged(org);
  }

  #delivered({ updates }: NorcCBody<'delivery_update'>): void {
    const byConversation = Map.groupBy(updates, ({ conversation }) => conversation);
    for (const [conversationId, list] of byConversation) {
      const others = list.filter(({ user }) => user !== this.#ctx.self.user);
      const writes = others.map(
        ({ user, seq }): ClientWrite => ({
          op: 'mark.advance',
          conversationId,
          mark: { user, mark: 'delivered', seq },
        }),
      );
      void this.#conversations.get(conversationId)?.mark(writes).catch(ignore); // reported where it failed
    }
  }

  #devicesListed({ devices }: NorcCBody<'device_list'>): void {
    const ids = (revoked: boolean) =>
      new Set<DeviceId>(devices.filter((one) => one.revoked === revoked).map(({ device_id }) => device_id));
    this.#ownDevices = { active: ids(false), revoked: ids(true) };
    for (const conversation of this.#conversations.values()) conversation.devicesChanged();
  }

  // ---- from the application ----

  /**
   * Starts a conversation whose hub is the own organisation. Errors: user_not_found with the
   * users who cannot be reached; not_trusted, label_not_allowed and their kin with the organisation;
   * no_route while not connected; and whatever the hub says. After an error nothing of it is left.
   */
  async create({ users, title, label }: NewConversation): Promise<Result<ConversationId, EngineReject>> {
    const others = [...new Set(users)].filter((user) => user !== this.#ctx.self.user);
    const level = await this.#levelFor(others, label);
    if (!level.ok) return level;
    const claimed = await claimPackages(this.#ctx, [...others, this.#ctx.self.user]);
    if (!claimed.ok) return claimed;
    const { unavailable } = claimed.value;
    if (unavailable.length > 0) return refuse({ code: 'user_not_found', detail: 'users' }, { users: unavailable });
    const id: ConversationId = idFromBytes(this.#ctx.random.bytes(ID_BYTES));
    const { group } = await this.#ctx.mls.createGroup({
      conversation: id,
      hub: this.#ctx.self.org,
      level: level.value,
      identity: this.#ctx.identity,
      hubSenders: this.#hubSenders(),
    });
    const beginning = { packages: claimed.value, ...(title === undefined ? {} : { title }) };
    const begun = await this.conversation(id).begin(group, label, others, beginning);
    return begun.ok ? ok(id) : begun;
  }

  /** The lowest level over the organisations, each of which has to carry the label; inside one's own, what the label asks for. */
  async #levelFor(users: readonly UserAddress[], label: Label): Promise<Result<GroupLevel, EngineReject>> {
    const floor = LABELS[label].level;
    let level: GroupLevel | undefined;
    for (const org of new Set([this.#ctx.self.org, ...users.map(domainOf)])) {
      const known = await this.#ctx.anchors.standing(org);
      if (!known.ok) return refuse(known.error, { org });
      const refused = await refuseCarriage(this.#ctx.anchors, [org], { label, floor });
      if (refused !== undefined) return { ok: false, error: refused };
      if (org !== this.#ctx.self.org) level = lowestLevel(known.value.level, level ?? known.value.level);
    }
    return ok(level ?? floor);
  }

  #hubSenders() {
    const certificate = this.#ctx.policy.hubMayPropose ? this.#ctx.server() : undefined;
    if (certificate === undefined) return [];
    return [{ publicKey: certificate.publicKey, certificates: [certificate.document.bytes] }];
  }

  /** Signature keys of these users' devices, over every conversation that `together` is in. */
  async keysOf(
    users: readonly UserAddress[],
    together: UserAddress,
  ): Promise<ReadonlyMap<UserAddress, readonly Uint8Array[]>> {
    const keys = new Map(users.map((user) => [user, [] as Uint8Array[]]));
    for (const conversation of this.#conversations.values()) {
      const members = await conversation.members();
      if (!members.some(({ identity }) => identity.user === together)) continue;
      for (const { identity, signaturePublicKey } of members) keys.get(identity.user)?.push(signaturePublicKey);
    }
    return keys;
  }

  /**
   * The user has seen everything up to `seq`. Tells the others, and the own devices,
   * unless `quietly`; nothing is told twice.
   */
  async markRead(id: ConversationId, seq: number, quietly: boolean): Promise<void> {
    const row = await this.#ctx.store.read.conversation(id);
    if (row === undefined) throw new RangeError('no such conversation');
    if (seq <= row.readSeq) return;
    const marker: ClientWrite = { op: 'readMarker.advance', conversationId: id, seq };
    const target = quietly ? undefined : await this.#lastOfOthers(id, row.readSeq, seq);
    const conversation = this.conversation(id);
    const sent = target === undefined ? undefined : await conversation.send(this.content.receipt(target), [marker]);
    if (sent?.ok !== true) await conversation.mark([marker]);
  }

  async #lastOfOthers(id: ConversationId, after: number, upTo: number): Promise<MessageId | undefined> {
    const { rows } = await this.#ctx.store.read.timeline(id, { before: upTo + 1, limit: RECEIPT_LOOK_BACK });
    const theirs = rows.filter(
      ({ user, seq = 0, target, body }) =>
        user !== this.#ctx.self.user && seq > after && seq <= upTo && target === undefined && body.type === 'content',
    );
    return theirs.sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0)).at(-1)?.messageId;
  }
}

function ignore(): void {}

/** Far enough to step over lines and own messages. */
const RECEIPT_LOOK_BACK = 64;

function refuse({ code, detail }: Reject, about: Pick<EngineReject, 'users' | 'org'>): Result<never, EngineReject> {
  return { ok: false, error: { code, detail, ...about } };
}
