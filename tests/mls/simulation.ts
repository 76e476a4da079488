import assert from 'node:assert/strict';
import { nodeCrypto } from '@norc/crypto/node';
import type { CommitIntent, GroupView, PendingCommit } from '@norc/mls';
import { idFromBytes, type MessageId, toHex, utf8 } from '@norc/protocol/base';
import type { RandomBytes } from '@norc/protocol/crypto';
import { codeOf, must, type Newcomer, newcomer, seededRandom, TestMember, TestWorld } from './fixtures.ts';
import { countOpened, stateOf } from './forge.ts';

const MEMBERS_MAX = 8;
const HUB = 'alpha.example';

export interface SimulationHooks {
  /** Now and then, a commit before a receiver processes it, with its stored state; the answer is called after. */
  readonly onCommit?: (
    commit: Uint8Array,
    receiver: TestMember,
    stored: Uint8Array,
  ) => Promise<(after: TestMember) => void>;
}

/** Messages that were sent but that somebody has not read yet. */
interface Late {
  readonly reader: TestMember;
  readonly message: Uint8Array;
  readonly text: string;
  readonly epoch: number;
}

/**
 * One group, and whatever its members may do to it, in an order that a seed decides.
 * After every commit all members, and the server's view, must agree.
 */
export class Simulation {
  readonly #world: TestWorld;
  readonly #random: RandomBytes;
  readonly #hooks: SimulationHooks;
  readonly #hubKeys;
  members: TestMember[] = [];
  late: Late[] = [];
  view!: GroupView;
  commits = 0;
  messages = 0;

  constructor(seed: string, hooks: SimulationHooks = {}) {
    this.#world = new TestWorld(seed);
    this.#random = seededRandom(`${seed}/choices`);
    this.#hooks = hooks;
    this.#hubKeys = nodeCrypto.ed25519.keyPair(this.#world.random);
    this.#world.hubKeys.set(HUB, this.#hubKeys.publicKey);
  }

  async run(steps: number): Promise<void> {
    await this.#begin();
    for (let step = 0; step < steps; step += 1) await this.#step();
  }

  async #begin(): Promise<void> {
    const device = this.#world.device('ann@alpha.example');
    const engine = this.#world.engine();
    const hubSenders = [{ publicKey: this.#hubKeys.publicKey, certificates: [utf8(HUB)] }];
    const { group, groupInfo } = await engine.createGroup({
      conversation: this.#world.conversation(),
      hub: device.member.org,
      level: 'basic',
      identity: device.identity,
      hubSenders,
    });
    this.members = [new TestMember(this.#world, device, engine, group)];
    this.view = must(await this.#world.views().fromGroupInfo(groupInfo));
    await this.#add(this.#member(), 2);
  }

  below(limit: number): number {
    const [high = 0, low = 0] = this.#random(2);
    return (high * 256 + low) % limit;
  }

  #member(): TestMember {
    return this.#pick(this.members);
  }

  #pick<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)];
    assert.ok(chosen !== undefined);
    return chosen;
  }

  #otherThan(member: TestMember): TestMember | undefined {
    const others = this.members.filter((candidate) => candidate !== member);
    return others.length === 0 ? undefined : this.#pick(others);
  }

  async #step(): Promise<void> {
    const roll = this.below(100);
    const actor = this.#member();
    if (roll < 18) await this.#add(actor, 1 + this.below(3));
    else if (roll < 30) await this.#commit(actor, { remove: this.#victims(actor) });
    else if (roll < 40) await this.#replace(actor);
    else if (roll < 58) await this.#commit(actor, {});
    else if (roll < 66) await this.#race();
    else if (roll < 74) await this.#propose(actor);
    else if (roll < 80) this.#restart(actor);
    else await this.#talk(actor);
  }

  #victims(actor: TestMember): number[] {
    const victim = this.#otherThan(actor);
    return victim === undefined ? [] : [victim.group.ownLeafIndex];
  }

  async #add(actor: TestMember, count: number): Promise<void> {
    const room = MEMBERS_MAX - this.members.length;
    if (room === 0) return this.#talk(actor);
    const newcomers = await this.#newcomers(Math.min(count, room));
    await this.#commit(
      actor,
      { add: newcomers.map(({ own }) => own.keyPackage), update: this.below(2) === 0 },
      newcomers,
    );
  }

  /** One leaves and another comes in the same commit: into the same leaf, often. */
  async #replace(actor: TestMember): Promise<void> {
    const newcomers = await this.#newcomers(1);
    const remove = this.#victims(actor);
    if (remove.length === 0) return this.#talk(actor);
    await this.#commit(actor, { add: newcomers.map(({ own }) => own.keyPackage), remove }, newcomers);
  }

  #newcomers(count: number): Promise<Newcomer[]> {
    const names = Array.from({ length: count }, () => `user${toHex(this.#random(4))}@bravo.example`);
    return Promise.all(names.map((name) => newcomer(this.#world, name)));
  }

  async #commit(actor: TestMember, intent: CommitIntent, newcomers: readonly Newcomer[] = []): Promise<void> {
    const prepared = await actor.group.prepareCommit(intent);
    if (!prepared.ok) {
      // Somebody proposed to remove the actor: it cannot commit that. Another one must.
      assert.equal(prepared.error.code, 'forbidden');
      const other = this.members.find((member) => !this.view.proposedRemovals.includes(member.group.ownLeafIndex));
      if (other !== undefined) return this.#commit(other, {});
      this.members = [];
      return this.#begin();
    }
    if (this.below(4) === 0) this.#restart(actor);
    await this.#settle(actor, prepared.value, newcomers);
  }

  /** Two commits for one epoch: the hub takes one, its author confirms, the other's processes it. */
  async #race(): Promise<void> {
    const winner = this.#member();
    const loser = this.#otherThan(winner);
    if (loser === undefined) return;
    const prepared = await winner.group.prepareCommit({});
    if (!prepared.ok) return;
    const lost = await loser.group.prepareCommit({ remove: this.below(2) === 0 ? [winner.group.ownLeafIndex] : [] });
    if (this.below(2) === 0) this.#restart(loser);
    if (lost.ok && this.below(2) === 0 && loser.group.pending !== undefined)
      await loser.group.abort(loser.group.pending);
    await this.#settle(winner, prepared.value, []);
    assert.equal(loser.group.pending, undefined);
  }

  async #settle(author: TestMember, pending: PendingCommit, newcomers: readonly Newcomer[]): Promise<void> {
    const { commit, welcome } = pending;
    const gone = pending.removed.map(({ leafIndex }) => this.#at(leafIndex));
    const knew = gone.map(stateOf);
    const change = must(await this.view.apply(commit));
    assert.equal(change.kind, 'commit');
    assert.equal(change.sender.leafIndex, author.group.ownLeafIndex);
    assert.deepEqual(change.added, pending.added);
    this.view = change.view;
    const own = author.group.pending;
    assert.ok(own);
    await author.group.confirm(own);
    for (const member of this.members) if (member !== author) await this.#receive(member, commit);
    this.members = this.members.filter((member) => !gone.includes(member));
    for (const candidate of newcomers) this.members.push(must(await candidate.join(welcome)));
    this.commits += 1;
    this.#compare();
    for (const state of knew) assert.equal(await countOpened(this.#world, state, commit), 0);
    if (gone.length > 0) await this.#shutOut(gone);
  }

  async #receive(member: TestMember, commit: Uint8Array): Promise<void> {
    const chosen = this.#hooks.onCommit !== undefined && this.below(3) === 0;
    const check = chosen ? await this.#hooks.onCommit?.(commit, member, member.group.serialize()) : undefined;
    await member.receiveCommit(commit);
    if (member.group.active) check?.(member);
  }

  #at(leafIndex: number): TestMember {
    const member = this.members.find((candidate) => candidate.group.ownLeafIndex === leafIndex);
    assert.ok(member);
    return member;
  }

  #compare(): void {
    const [first] = this.members;
    assert.ok(first);
    for (const { group } of this.members) {
      assert.equal(group.epoch, this.view.epoch);
      assert.deepEqual(group.treeHash, this.view.treeHash);
      assert.deepEqual(group.epochAuthenticator, first.group.epochAuthenticator);
      assert.deepEqual(group.members, this.view.members);
      assert.equal(group.members.length, this.members.length);
    }
  }

  async #shutOut(gone: readonly TestMember[]): Promise<void> {
    const message = await this.#member().say('not for you');
    for (const former of gone) {
      assert.equal(former.group.active, false);
      assert.equal(codeOf(await former.group.receive(message)), 'unexpected_message');
    }
  }

  async #propose(actor: TestMember): Promise<void> {
    const target = this.#otherThan(actor);
    if (target === undefined) return;
    const byHub = this.below(2) === 0;
    const leafIndex = target.group.ownLeafIndex;
    const { publicKey, privateKey } = this.#hubKeys;
    const hub = { publicKey, sign: async (bytes: Uint8Array) => nodeCrypto.ed25519.sign(privateKey, bytes) };
    const messageId: MessageId = idFromBytes(new Uint8Array(16));
    const data = {
      label: 'unclassified',
      conversation: this.view.conversation,
      messageId,
      cause: 'trust_ended',
    } as const;
    const proposal = byHub
      ? await this.view.proposeRemove(leafIndex, hub, data)
      : must(await actor.group.proposeRemove(leafIndex));
    const change = await this.view.apply(proposal);
    for (const member of this.members) {
      const received = await member.group.receive(proposal);
      assert.equal(received.ok, change.ok);
      assert.ok(!received.ok || received.value.kind === 'proposal');
    }
    if (change.ok) this.view = change.value.view;
    if (this.below(2) === 0) await this.#commit(this.#member(), {});
  }

  /** The program ends and begins again, from what it stored. */
  #restart(member: TestMember): void {
    const state = member.group.serialize();
    member.group = member.engine.restore(state, member.device.identity, member.group.serializeRatchets());
    if (this.below(3) === 0) this.view = this.#world.views().restore(this.view.serialize());
  }

  async #talk(actor: TestMember): Promise<void> {
    await this.#deliverLate();
    if (actor.group.hasProposals) return this.#commit(actor, {});
    const text = `message ${this.messages}`;
    const message = await actor.say(text);
    this.messages += 1;
    for (const reader of this.members) {
      if (reader === actor) continue;
      if (this.below(4) === 0) this.late.push({ reader, message, text, epoch: this.view.epoch });
      else assert.equal(await reader.read(message), text);
    }
  }

  /** Later, perhaps epochs later: readable while the epoch is kept, never after. */
  async #deliverLate(): Promise<void> {
    const due = this.late;
    this.late = [];
    for (const { reader, message, text, epoch } of due) {
      if (!this.members.includes(reader)) continue;
      if (this.view.epoch - epoch > 4) assert.equal(codeOf(await reader.group.receive(message)), 'epoch_stale');
      else {
        assert.equal(await reader.read(message), text);
        assert.equal(codeOf(await reader.group.receive(message)), 'message_rejected');
      }
    }
  }
}
