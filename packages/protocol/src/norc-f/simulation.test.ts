import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type ConversationId, type Domain, instant, type MessageId, utf8 } from '@norc/protocol/base';
import {
  groupMembers,
  type MemberDevice,
  memberDevice,
  mustBe,
  type PretendMessage,
  pathsTo,
  pretendFacts,
  pretendHeader,
  pretendMessage,
  testId,
} from '@norc/testkit';
import fc from 'fast-check';
import {
  acceptAnnouncement,
  acceptEntries,
  type ConversationState,
  checkRoute,
  createConversation,
  decideAppend,
  entryFromWire,
  entryToWire,
  genesisHead,
  groupEvidence,
  headAfter,
  headOf,
  type LinkedEntry,
  type LogEntry,
  type LogHead,
  linkEntries,
  linkEntry,
  restoreConversation,
  type Submission,
} from './index.ts';

/**
 * One conversation of three organisations: a hub, two followers, a device of each that reads.
 * Submissions are repeated, answers lost, relays cut, repeated and tampered with;
 * servers crash before and after each transaction and restart from what they stored.
 */

const CONVERSATION = testId<ConversationId>('simulated');
const pool = ['alpha', 'bravo', 'charlie'].flatMap((org) =>
  [0, 1, 2].map((i) => memberDevice(`user${i}@${org}.example`, 'device')),
);
const anchors = [pool[0], pool[3], pool[6]] as [MemberDevice, MemberDevice, MemberDevice];
const hubDomain = anchors[0].domain;
const everywhere = pathsTo(anchors.map((device) => device.domain));
const NONE = new Uint8Array(0);

/** What survives a crash: rows, as a store would hold them. */
class Server {
  readonly self: Domain;
  log: LinkedEntry[] = [];
  state: ConversationState | undefined;
  #stored: ConversationState | undefined;

  constructor(self: Domain) {
    this.self = self;
  }

  /** One transaction. */
  persist(entries: readonly LinkedEntry[], state: ConversationState): void {
    this.log.push(...entries);
    this.state = state;
    this.#stored = state;
  }

  crash(): void {
    if (this.#stored === undefined) return;
    const rows = Array.from(this.#stored.members, ([deviceId, member]) => ({ deviceId, ...member }));
    this.state = restoreConversation(this.#stored, rows);
  }
}

/** A device: holds what its server gave it, as far as the hashes hold. */
class Reader {
  readonly home: Server;
  log: LinkedEntry[] = [];
  head = genesisHead(crypto, CONVERSATION, hubDomain);

  constructor(home: Server) {
    this.home = home;
  }

  /** Some entries after its cursor, perhaps with repeats; a crash comes before it stored them. */
  read(back: number, count: number, crash: number): void {
    const start = Math.max(0, this.head.seq - (back % 4));
    const held = new Map(this.log.map((entry) => [entry.seq, entry.hash]));
    const chain = linkEntries(crypto, this.head, this.home.log.slice(start, start + count), held);
    assert.equal(chain.failure, undefined);
    if (crash % 4 === 0) return;
    this.log.push(...chain.linked);
    this.head = chain.head;
  }
}

interface Waiting {
  readonly device: MemberDevice;
  readonly inside: PretendMessage;
  readonly added: readonly MemberDevice[];
}

class World {
  readonly hub = new Server(hubDomain);
  readonly followers = [new Server(anchors[1].domain), new Server(anchors[2].domain)];
  readonly readers = [this.hub, ...this.followers].map((home) => new Reader(home));
  /** Sent but not answered: will be repeated, the same bytes under the same id. */
  waiting: Waiting[] = [];
  /** What happened, so that the test can tell that everything did. */
  readonly reached: Set<string>;
  readonly answered = new Map<MessageId, number>();
  #count = 0;

  constructor(reached: Set<string>) {
    this.reached = reached;
    const messageId = this.#id();
    const creator = anchors[0];
    const inside = { conversation: CONVERSATION, messageId, label: 'unclassified', sender: creator.deviceId } as const;
    const commit = pretendMessage({ ...inside, epoch: 0, kind: 'commit' });
    const settings = { epoch: 1, hub: hubDomain, floor: 'basic' } as const;
    const created = createConversation(
      crypto,
      { ...inside, senderUser: creator.user, commit, welcome: utf8('welcome') },
      {
        ...{ self: hubDomain, now: instant(0), header: pretendHeader(commit), paths: everywhere },
        group: groupEvidence({ ...settings, members: groupMembers(anchors) }),
      },
    );
    const { entry, state } = mustBe(created);
    this.hub.persist([entry], state);
    for (const follower of this.followers) {
      const route = mustBe(checkRoute([hubDomain], hubDomain, follower.self));
      const group = groupEvidence({ ...settings, members: groupMembers(anchors) });
      const joined = acceptAnnouncement(
        crypto,
        {
          ...{ conversation: CONVERSATION, label: 'unclassified', entry },
          previousHash: genesisHead(crypto, CONVERSATION, hubDomain).hash,
        },
        { self: follower.self, route, header: pretendHeader(commit), group, paths: everywhere },
      );
      follower.persist([mustBe(joined).entry], mustBe(joined).state);
    }
  }

  #id(): MessageId {
    this.#count += 1;
    return testId<MessageId>(`message ${this.#count}`);
  }

  get hubState(): ConversationState {
    assert.ok(this.hub.state !== undefined);
    return this.hub.state;
  }

  /** A device seals something for an epoch that it may be late to know of. */
  write(who: number, what: number, lag: number): void {
    const device = pool[who % pool.length] ?? anchors[0];
    const other = pool[what % pool.length] ?? anchors[0];
    const epoch = Math.max(1, this.hubState.epoch - (lag % 3));
    const inside: PretendMessage = {
      ...{ conversation: CONVERSATION, epoch, kind: what % 4 === 0 ? 'commit' : 'application' },
      ...{ messageId: this.#id(), label: 'unclassified', sender: device.deviceId },
    };
    if (inside.kind === 'application') this.waiting.push({ device, inside, added: [] });
    else this.#writeCommit(device, other, inside);
  }

  #writeCommit(device: MemberDevice, other: MemberDevice, inside: PretendMessage): void {
    const isMember = this.hubState.members.has(other.deviceId);
    const keep = anchors.includes(other) || other === device;
    if (isMember && !keep) this.waiting.push({ device, inside: { ...inside, removed: [other.deviceId] }, added: [] });
    else if (isMember) this.waiting.push({ device, inside, added: [] });
    else this.waiting.push({ device, inside: { ...inside, added: groupMembers([other], 20) }, added: [other] });
  }

  /** Sends one waiting submission; a crash may come before the transaction, or before the answer. */
  submit(which: number, crash: number): void {
    const item = this.waiting[which % Math.max(1, this.waiting.length)];
    if (item === undefined) return;
    const { device, inside, added } = item;
    const body = pretendMessage(inside);
    const submission: Submission = {
      ...{ conversation: CONVERSATION, messageId: inside.messageId, kind: inside.kind, body, origin: device.domain },
      ...{ sender: device.deviceId, senderUser: device.user },
      ...(added.length > 0 ? { welcome: utf8('welcome'), groupInfo: utf8('group info') } : {}),
    };
    const facts = { ...pretendFacts(body, everywhere), now: instant(this.hub.log.length) };
    const ordered = this.hub.log.find((entry) => entry.messageId === inside.messageId);
    const decided = decideAppend(
      crypto,
      this.hubState,
      submission,
      ordered === undefined ? facts : { ...facts, ordered },
    );
    this.reached.add(decided.ok ? `${decided.value.outcome} ${inside.kind}` : decided.error.code);
    if (crash % 5 === 0) {
      this.hub.crash();
      return;
    }
    if (decided.ok && decided.value.outcome === 'ordered') this.hub.persist([decided.value.entry], decided.value.state);
    if (crash % 5 === 1) {
      this.hub.crash();
      return;
    }
    this.waiting = this.waiting.filter((other) => other !== item);
    if (!decided.ok) return;
    this.answered.set(
      inside.messageId,
      decided.value.outcome === 'ordered' ? decided.value.entry.seq : decided.value.seq,
    );
  }

  /** The hub's log from one place to another reaches a follower, perhaps not as it was. */
  relay(which: number, from: number, count: number, crash: number, tamper?: Tamper): void {
    const follower = this.followers[which % this.followers.length];
    assert.ok(follower?.state !== undefined);
    const start = Math.max(0, follower.state.headSeq + (from % 7) - 3);
    const honest = this.hub.log
      .slice(start, start + (count % 9))
      .map((entry) => entryFromWire(entryToWire(entry, true)));
    const sent = tamper?.([...honest], this.hub.log, follower.state.headSeq) ?? honest;
    const held = new Map(follower.log.map((entry) => [entry.seq, entry.hash]));
    const chain = linkEntries(crypto, headOf(follower.state), sent, held);
    if (chain.failure === undefined) assertSame(sent, this.hub.log);
    else this.reached.add(chain.failure.code);
    const route = mustBe(checkRoute([hubDomain], hubDomain, follower.self));
    const items = chain.linked.map((entry) => ({ entry, facts: pretendFacts(entry.body, everywhere) }));
    const followed = acceptEntries(follower.state, route, items);
    assert.equal(followed.failure, undefined, 'what links is the hub’s own, and keeps the rules');
    if (crash % 5 === 0) {
      follower.crash();
      return;
    }
    follower.persist(
      followed.accepted.map(({ entry }) => entry),
      followed.state,
    );
    if (crash % 5 === 1) follower.crash();
  }

  check(): void {
    for (const follower of this.followers) {
      assertSame(follower.log, this.hub.log);
      assert.deepEqual(
        follower.log.map((entry) => entry.seq),
        follower.log.map((_, i) => i + 1),
        'a prefix',
      );
    }
    for (const reader of this.readers) {
      assertSame(reader.log, this.hub.log);
      assert.equal(reader.log.length, reader.head.seq, 'a prefix, each entry once');
    }
    const ids = this.hub.log.map((entry) => entry.messageId);
    assert.equal(new Set(ids).size, ids.length, 'no message id twice');
    for (const [id, seq] of this.answered) assert.equal(this.hub.log[seq - 1]?.messageId, id, 'acknowledged and kept');
    const whole = linkEntries(crypto, genesisHead(crypto, CONVERSATION, hubDomain), this.hub.log, new Map());
    assert.equal(whole.failure, undefined);
  }

  /** Faults stop: everything drains within a bound, and all agree. */
  drain(): void {
    for (let i = this.waiting.length; i > 0; i -= 1) this.submit(0, 2);
    assert.equal(this.waiting.length, 0);
    for (const which of [0, 1])
      for (let round = 0; round <= this.hub.log.length; round += 1) this.relay(which, 3, 8, 2);
    for (const reader of this.readers) reader.read(0, this.hub.log.length, 1);
    this.check();
    for (const reader of this.readers) assert.equal(reader.log.length, this.hub.log.length, 'devices have it all');
    for (const { state, self } of this.followers) {
      const { previousEpochOpen: _, ...own } = this.hubState;
      const { previousEpochOpen: __, ...theirs } = state ?? this.hubState;
      assert.deepEqual(theirs, { ...own, self }, 'hub and follower hold the same');
    }
  }
}

/** Every entry is the hub's entry of its place, byte for byte in its hash. */
function assertSame(entries: readonly LogEntry[], log: readonly LogEntry[]): void {
  for (const entry of entries) assert.deepEqual(entry.hash, log[entry.seq - 1]?.hash);
}

const n = fc.nat({ max: 1000 });
const honestStep = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constant('write' as const), n, n, n) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('submit' as const), n, n, n) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('relay' as const), n, n, n) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('read' as const), n, n, n) },
);
const anyStep = fc.oneof(
  { weight: 13, arbitrary: honestStep },
  { weight: 3, arbitrary: fc.tuple(fc.constant('tamper' as const), n, n, n) },
);
type Step = readonly ['write' | 'submit' | 'relay' | 'read' | 'tamper', number, number, number];
type Tamper = (entries: LogEntry[], log: readonly LogEntry[], head: number) => LogEntry[];

const TAMPER: readonly Tamper[] = [
  (entries) => entries.reverse(),
  (entries) => entries.filter((_, i) => i !== 1),
  (entries) => entries.map((entry) => ({ ...entry, body: utf8('another') })),
  (entries) => entries.map((entry) => ({ ...entry, seq: entry.seq + 1 })),
  forkAfter,
];

/**
 * A second history, well hashed, from a place that the follower has passed: what a
 * hub shows that equivocates. Beyond the head only members' comparison of heads tells.
 */
function forkAfter(entries: LogEntry[], log: readonly LogEntry[], headSeq: number): LogEntry[] {
  const first = entries[0];
  if (first === undefined || first.seq > headSeq) return entries;
  const before = log[first.seq - 2];
  const genesis = genesisHead(crypto, CONVERSATION, hubDomain);
  let head: LogHead = before === undefined ? genesis : headAfter(genesis, before);
  return entries.map((entry) => {
    const other = linkEntry(crypto, head, { ...entry, body: utf8(`instead of ${entry.seq}`), welcome: NONE });
    head = headAfter(head, other);
    return other;
  });
}

function run(world: World, [op, a, b, c]: Step): void {
  if (op === 'write') world.write(a, b, c);
  else if (op === 'submit') world.submit(a, c);
  else if (op === 'relay') world.relay(a, b, c, a + b);
  else if (op === 'read') world.readers[a % world.readers.length]?.read(b, c % 9, b + c);
  else world.relay(a, b, c, 2, TAMPER[(a + b + c) % TAMPER.length]);
}

const ORDINARY = [
  ...['ordered application', 'ordered commit', 'duplicate application', 'duplicate commit'],
  ...['forbidden', 'epoch_stale', 'epoch_conflict', 'log_gap'],
];
const steps = (step: fc.Arbitrary<Step>) => fc.array(step, { minLength: 30, maxLength: 150, size: 'max' });

test('hub and followers hold one log, whatever is repeated, lost, or crashes', () => {
  const reached = new Set<string>();
  fc.assert(
    fc.property(steps(honestStep), (history) => {
      const world = new World(reached);
      for (const step of history) run(world, step);
      world.check();
      world.drain();
    }),
    { numRuns: 300, seed: 7 },
  );
  for (const outcome of ORDINARY) assert.ok(reached.has(outcome), `the runs never came to: ${outcome}`);
});

test('[F-31] a log that is reordered, thinned out, changed or forked is never taken over', () => {
  const reached = new Set<string>();
  fc.assert(
    fc.property(steps(anyStep), (history) => {
      const world = new World(reached);
      for (const step of history) run(world, step);
      world.check();
      world.drain();
    }),
    { numRuns: 200, seed: 7 },
  );
  for (const outcome of [...ORDINARY, 'log_fork'])
    assert.ok(reached.has(outcome), `the runs never came to: ${outcome}`);
});
