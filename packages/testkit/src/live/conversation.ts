import assert from 'node:assert/strict';
import type { CommitIntent, MlsGroup, PendingCommit } from '@norc/mls';
import type { ConversationId, Domain, ErrorName, Label, MessageId, UserAddress } from '@norc/protocol/base';
import type { NorcCBody } from '@norc/protocol/norc-c';
import type { WireLogEntry } from '@norc/protocol/wire';
import { mustBe } from '../organisations.ts';
import type { TestDevice } from './device.ts';
import { newId, type Reply, refusalOf } from './session.ts';

export interface TimelineText {
  readonly seq: number;
  readonly user: UserAddress;
  readonly text: string;
}

/** A conversation as one device has it: checks that its log comes in order, without a gap, each entry once. */
export class TestConversation {
  readonly id: ConversationId;
  readonly device: TestDevice;
  group: MlsGroup | undefined;
  label: Label = 'unclassified';
  hub: Domain | undefined;
  /** Everything up to here was processed, or is an own message that was acknowledged as sent. */
  seq = 0;
  /** Texts by their place, own ones included. */
  readonly texts: TimelineText[] = [];
  /** Entries that came more than once. */
  repeats = 0;
  /** What a member that was removed, or an intruder, could not read. */
  unreadable = 0;
  readonly refused = new Map<MessageId, ErrorName>();
  readonly #sent = new Map<MessageId, string>();
  readonly #ownSeqs = new Map<number, MessageId>();
  #pending: { readonly messageId: MessageId; readonly commit: PendingCommit } | undefined;

  constructor(device: TestDevice, id: ConversationId) {
    this.device = device;
    this.id = id;
  }

  get live(): MlsGroup {
    if (this.group === undefined) throw new TypeError(`${this.device.user} is not in the conversation`);
    return this.group;
  }

  // ---- sending ----

  async encrypt(text: string): Promise<{ readonly messageId: MessageId; readonly body: Uint8Array }> {
    const content = this.device.textContent(text);
    const data = { label: this.label, conversation: this.id, messageId: content.message_id };
    const body = mustBe(await this.live.encrypt(content, data));
    this.#sent.set(content.message_id, text);
    return { messageId: content.message_id, body };
  }

  /** Until the server has it: its acknowledgment. */
  async say(text: string): Promise<NorcCBody<'message_ack'>> {
    const { body } = await this.encrypt(text);
    return await this.submit(body);
  }

  async submit(body: Uint8Array): Promise<NorcCBody<'message_ack'>> {
    const reply = await this.trySubmit(body);
    if (reply.type !== 'message_ack') throw new Error(`message: ${refusalOf(reply)}`);
    this.acked(reply.body);
    return reply.body;
  }

  trySubmit(body: Uint8Array): Promise<Reply> {
    return this.device.session.request({ type: 'message_send', body: { conversation: this.id, body } });
  }

  /** The text's place in the log, however it came there. */
  async ordered(text: string): Promise<number> {
    return (await this.read(text)).seq;
  }

  acked(ack: NorcCBody<'message_ack'>): void {
    if (ack.state === 'refused')
      this.refused.set(ack.message_id, refusalOf({ type: 'message_ack', body: ack } as Reply)); // shaped as received
    const text = this.#sent.get(ack.message_id);
    if (ack.state !== 'sent' || ack.seq === undefined || text === undefined || ack.seq <= this.seq) return;
    if (this.#ownSeqs.get(ack.seq) !== undefined) return;
    this.#ownSeqs.set(ack.seq, ack.message_id);
    this.#advance();
    this.device.changed();
  }

  // ---- commits ----

  async prepare(messageId: MessageId, intent: CommitIntent): Promise<PendingCommit> {
    const data = { label: this.label, conversation: this.id, messageId };
    const commit = mustBe(await this.live.prepareCommit({ ...intent, authenticatedData: data }));
    this.#pending = { messageId, commit };
    return commit;
  }

  async draftCommit(intent: CommitIntent, withInfo = true): Promise<NorcCBody<'commit_submit'>> {
    const messageId: MessageId = newId();
    const { commit, welcome, groupInfo } = await this.prepare(messageId, intent);
    return {
      ...{ conversation: this.id, message_id: messageId, commit },
      ...(welcome === undefined ? {} : { welcome }),
      ...(withInfo ? { group_info: groupInfo } : {}),
    };
  }

  submitCommit(body: NorcCBody<'commit_submit'>): Promise<Reply> {
    return this.device.session.request({ type: 'commit_submit', body });
  }

  /** A commit that must be ordered; adopted when the log shows it. */
  async commit(intent: CommitIntent): Promise<void> {
    const { epoch } = this.live;
    const reply = await this.submitCommit(await this.draftCommit(intent));
    if (reply.type !== 'message_ack') throw new Error(`commit: ${refusalOf(reply)}`);
    await this.device.waitFor('the own commit is in the log', () => this.live.epoch > epoch);
  }

  async add(...users: readonly string[]): Promise<void> {
    const { packages } = await this.device.claim(...users);
    const members = new Set(this.live.members.map(({ identity }) => identity.deviceId));
    const add = packages.filter((one) => !members.has(one.device_id)).map((one) => one.key_package);
    await this.commit({ add });
  }

  leavesOf(user: string): readonly number[] {
    return this.live.members.filter(({ identity }) => identity.user === user).map(({ leafIndex }) => leafIndex);
  }

  async remove(...users: readonly string[]): Promise<void> {
    await this.commit({ remove: users.flatMap((user) => this.leavesOf(user)) });
  }

  /** The own commit lost: it is erased, and the winner can be processed. */
  async abort(): Promise<void> {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined) await this.live.abort(pending.commit);
  }

  /** Out of it: what comes next is an invitation. */
  leave(): void {
    this.group = undefined;
    this.seq = 0;
  }

  // ---- reading ----

  read(text: string): Promise<TimelineText> {
    return this.device.waitFor(`reads "${text}"`, () => this.texts.find((one) => one.text === text));
  }

  reached(seq: number): Promise<number> {
    return this.device.waitFor(`has entry ${seq}`, () => this.seq >= seq && this.seq);
  }

  inEpoch(epoch: number): Promise<number> {
    return this.device.waitFor(
      `is in epoch ${epoch}`,
      () => this.group !== undefined && this.group.epoch >= epoch && this.group.epoch,
    );
  }

  /** Texts in the log's order, without those of the device's own. */
  get readTexts(): readonly string[] {
    return this.texts.map((one) => one.text);
  }

  async take(entry: WireLogEntry): Promise<void> {
    if (this.#ownSeqs.has(entry.seq)) return; // stood for by its acknowledgment
    if (entry.seq <= this.seq) {
      this.repeats += 1;
      return;
    }
    if (this.seq > 0 && entry.seq !== this.seq + 1) await this.#ownBetween(entry.seq);
    if (entry.kind === 'commit') await this.#takeCommit(entry);
    else if (entry.kind === 'proposal') await this.#takeProposal(entry);
    else await this.#takeMessage(entry);
    this.seq = entry.seq;
    this.#advance();
  }

  /** An own message's acknowledgment may be on its way behind the entry that follows it. */
  async #ownBetween(next: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#advance();
    if (this.seq !== 0) assert.equal(next, this.seq + 1, `${this.device.user}: a gap in the log before entry ${next}`);
  }

  #advance(): void {
    for (let id = this.#ownSeqs.get(this.seq + 1); id !== undefined; id = this.#ownSeqs.get(this.seq + 1)) {
      this.seq += 1;
      this.texts.push({ seq: this.seq, user: this.device.user, text: this.#sent.get(id) ?? '' });
    }
  }

  async #takeProposal(entry: WireLogEntry): Promise<void> {
    if (this.group?.active !== true) return;
    const received = mustBe(await this.group.receive(entry.body));
    assert.equal(received.kind, 'proposal');
    await this.abort(); // a commit that was made without it will not be ordered
  }

  /** Carries out what the hub proposed, as any member may. */
  async commitProposals(): Promise<void> {
    await this.device.waitFor('a proposal of the hub', () => this.live.hasProposals);
    await this.commit({});
  }

  async #takeCommit(entry: WireLogEntry): Promise<void> {
    const pending = this.#pending;
    if (pending?.messageId === entry.message_id) {
      this.#pending = undefined;
      return await this.live.confirm(pending.commit);
    }
    if (this.group === undefined) return await this.#join(entry);
    if (pending !== undefined) await this.abort();
    if (!this.group.active) return;
    mustBe(await this.group.receive(entry.body));
  }

  async #join(entry: WireLogEntry): Promise<void> {
    assert.ok(entry.welcome !== undefined, `${this.device.user}: no Welcome in the commit that adds it`);
    const refs = mustBe(this.device.engine.welcomeRefs(entry.welcome));
    const own = refs.map((ref) => this.device.ownPackage(ref)).find((one) => one !== undefined);
    assert.ok(own !== undefined, `${this.device.user}: the Welcome is for none of its KeyPackages`);
    this.group = mustBe(await this.device.join({ welcome: entry.welcome, own }));
  }

  async #takeMessage(entry: WireLogEntry): Promise<void> {
    const { seq, sender_user: user, message_id: id } = entry;
    const own = entry.sender === this.device.deviceId ? this.#sent.get(id) : undefined;
    if (own !== undefined) {
      this.texts.push({ seq, user, text: own });
      return;
    }
    const received = this.group === undefined ? undefined : await this.group.receive(entry.body);
    if (received?.ok !== true || received.value.kind !== 'application' || received.value.content.kind !== 'text') {
      this.unreadable += 1;
      return;
    }
    const { sender, content } = received.value;
    assert.equal(sender.identity.user, user, 'the log names the sender that the group knows');
    this.texts.push({ seq, user, text: content.body.text });
  }
}
