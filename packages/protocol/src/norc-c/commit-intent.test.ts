import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorName, type Instant, instant, LIMITS, type MessageId, type Random, utf8 } from '@norc/protocol/base';
import { seededRandom, testId } from '@norc/testkit';
import fc from 'fast-check';
import { COMMIT_IDLE, type CommitEvent, type CommitState, commitWakeAt, stepCommit } from './index.ts';

type Wish = string;
const random = seededRandom('commit intent');
const id = (name: string) => testId<MessageId>(name);
const step = (state: CommitState<Wish>, event: CommitEvent<Wish>, now = 0) =>
  stepCommit(state, event, instant(now), random);
const built = (name: string, epoch: number): CommitEvent<Wish> => ({
  ...{ kind: 'built', messageId: id(name), epoch, commitHash: utf8(name) },
});
const orderedCommit = (name: string, epoch: number, bytes = name): CommitEvent<Wish> => ({
  ...{ kind: 'commit_ordered', messageId: id(name), epoch, commitHash: utf8(bytes) },
});
const verbs = (result: ReturnType<typeof step>) => result.effects.map((effect) => effect.do);
const building = step(COMMIT_IDLE, { kind: 'wanted', intent: 'add ben' }).state;
const pending = step(building, built('ours', 4)).state;

test('[C-40] our commit in the log is adopted, and the wish is fulfilled', () => {
  assert.deepEqual(verbs(step(COMMIT_IDLE, { kind: 'wanted', intent: 'add ben' })), ['build']);
  assert.deepEqual(verbs(step(building, built('ours', 4))), ['send']);
  const done = step(pending, orderedCommit('ours', 4));
  assert.deepEqual([done.state, verbs(done)], [COMMIT_IDLE, ['adopt', 'done']]);
});

test('[C-40] another commit of the epoch aborts ours; it is built again once the log has passed', () => {
  const lost = step(pending, orderedCommit('theirs', 4));
  assert.deepEqual(verbs(lost), ['abort']);
  assert.ok(lost.state.state === 'lost');
  const wake = commitWakeAt(lost.state) ?? instant(0);
  assert.ok(wake > 0 && wake <= LIMITS.retryDelayMillisecondsMin);
  assert.deepEqual(verbs(step(lost.state, { kind: 'tick', epoch: 5 }, wake - 1)), [], 'not before its time');
  assert.deepEqual(verbs(step(lost.state, { kind: 'tick', epoch: 4 }, wake)), [], 'not for the same epoch');
  assert.deepEqual(step(lost.state, { kind: 'tick', epoch: 5 }, wake).effects, [{ do: 'build', intent: 'add ben' }]);
});

test('[C-40] other bytes under our id are not ours', () => {
  assert.deepEqual(verbs(step(pending, orderedCommit('ours', 4, 'forged'))), ['abort']);
});

test('a commit of an epoch before is none of its business', () => {
  assert.equal(step(pending, orderedCommit('theirs', 3)).state, pending);
});

test('[C-41] a refusal for good ends it; one that may pass erases nothing, since the commit may be in the log', () => {
  const refusal = (code: ErrorName) => step(pending, { kind: 'refused', messageId: id('ours'), code }, 10);
  const given = refusal('forbidden');
  assert.deepEqual(given.effects.at(-1), { do: 'failed', intent: 'add ben', code: 'forbidden' });
  assert.deepEqual([given.state, verbs(given)], [COMMIT_IDLE, ['abort', 'failed']]);
  for (const code of ['rate_limited', 'queue_full', 'no_route', 'storage_full', 'internal', 'trust_stale'] as const) {
    const unsure = refusal(code);
    assert.ok(unsure.state.state === 'pending', code);
    assert.deepEqual(verbs(unsure), []);
    assert.deepEqual(verbs(step(unsure.state, { kind: 'tick', epoch: 4 }, unsure.state.resendAt)), ['send']);
    assert.deepEqual(
      verbs(step(unsure.state, orderedCommit('ours', 4))),
      ['adopt', 'done'],
      'it was ordered all the same',
    );
  }
  const other = step(pending, { kind: 'refused', messageId: id('another'), code: 'forbidden' });
  assert.equal(other.state, pending, 'of a former attempt');
});

test('[C-41] told of another commit, a device believes the log and not the refusal', () => {
  for (const code of ['epoch_conflict', 'epoch_stale'] as const) {
    const race = step(pending, { kind: 'refused', messageId: id('ours'), code }, 10);
    assert.ok(race.state.state === 'pending');
    assert.deepEqual(verbs(race), ['read']);
    assert.deepEqual(verbs(step(race.state, { kind: 'caught_up', epoch: 4 }, 10)), [], 'nothing new: no hurry');
    assert.deepEqual(verbs(step(race.state, { kind: 'caught_up', epoch: 4 }, race.state.resendAt)), ['send']);
    assert.deepEqual(verbs(step(race.state, orderedCommit('ours', 4))), ['adopt', 'done'], 'the server lied');
    assert.deepEqual(verbs(step(race.state, orderedCommit('theirs', 4))), ['abort']);
  }
});

test('[C-41] waits grow while a commit is refused for now', () => {
  const longest: Random = { bytes: (length) => new Uint8Array(length).fill(255) };
  let state = pending;
  let waited = 0;
  for (let i = 0; i < 4; i += 1) {
    state = stepCommit(
      state,
      { kind: 'refused', messageId: id('ours'), code: 'queue_full' },
      instant(0),
      longest,
    ).state;
    assert.ok(state.state === 'pending' && state.resendAt > waited);
    waited = state.resendAt;
  }
});

test('it is given up after a bounded number of lost races', () => {
  let state: CommitState<Wish> = building;
  for (let i = 0; i < LIMITS.commitAttemptsMax; i += 1) {
    const sent = step(state, built(`attempt ${i}`, i)).state;
    const result = step(sent, orderedCommit('theirs', i));
    if (i === LIMITS.commitAttemptsMax - 1) {
      assert.deepEqual(result.effects.at(-1), { do: 'failed', intent: 'add ben', code: 'epoch_conflict' });
      assert.equal(result.state, COMMIT_IDLE);
      return;
    }
    state = step(result.state, { kind: 'tick', epoch: i + 1 }, 100_000).state;
  }
});

test('[C-42] after a restart the same bytes are sent, unless the log has passed their epoch', () => {
  const again = step(pending, { kind: 'caught_up', epoch: 4 }, 5);
  assert.deepEqual(again.effects, [{ do: 'send', messageId: id('ours') }]);
  const passed = step(pending, { kind: 'caught_up', epoch: 5 }, 5);
  assert.deepEqual([passed.state.state, verbs(passed)], ['lost', ['abort']]);
  assert.deepEqual(verbs(step(building, { kind: 'caught_up', epoch: 5 })), ['build']);
  assert.deepEqual(verbs(step(COMMIT_IDLE, { kind: 'caught_up', epoch: 5 })), []);
});

test('whoever is removed gives up', () => {
  assert.deepEqual(verbs(step(pending, { kind: 'removed' })), ['abort', 'failed']);
  assert.deepEqual(verbs(step(building, { kind: 'removed' })), ['failed']);
  assert.deepEqual(verbs(step(COMMIT_IDLE, { kind: 'removed' })), []);
});

test('a confused caller is told so', () => {
  assert.throws(() => step(pending, { kind: 'wanted', intent: 'x' }), RangeError);
  assert.throws(() => step(pending, built('x', 4)), RangeError);
  assert.throws(() => step(pending, { kind: 'pointless' }), RangeError);
  assert.deepEqual(verbs(step(building, { kind: 'pointless' })), ['done']);
});

test('[C-43] a proposal of the hub: erased, and built again at once for the same epoch', () => {
  const again = step(pending, { kind: 'superseded', epoch: 4 }, 10);
  assert.deepEqual(verbs(again), ['abort']);
  assert.deepEqual(step(again.state, { kind: 'tick', epoch: 4 }, 10).effects, [{ do: 'build', intent: 'add ben' }]);
  assert.ok(again.state.state === 'lost');
  assert.equal(again.state.attempt, 0, 'no race was lost');
  assert.equal(step(pending, { kind: 'superseded', epoch: 3 }, 10).state, pending, 'of another epoch');
  assert.equal(step(building, { kind: 'superseded', epoch: 4 }, 10).state, building);
});

// ---- several devices, one hub, crashes at any point -------------------------------------

interface Submitted {
  readonly name: string;
  readonly epoch: number;
}

/** A device: what one transaction stored, and the effects that a crash may swallow. */
class Device {
  readonly name: string;
  stored: { state: CommitState<Wish>; epoch: number; cursor: number } = { state: COMMIT_IDLE, epoch: 0, cursor: 0 };
  /** Names of commits that this device applied, own and others': one for each epoch. */
  history: string[] = [];
  todo: ('send' | 'build')[] = [];
  wished = 0;
  ended = 0;
  #builds = 0;
  #names = new Map<MessageId, string>();

  constructor(name: string) {
    this.name = name;
  }

  handle(event: CommitEvent<Wish>, now: Instant): void {
    const { state, effects } = stepCommit(this.stored.state, event, now, random);
    this.stored = { ...this.stored, state };
    for (const effect of effects) {
      if (effect.do === 'adopt') this.#apply(this.#names.get(effect.messageId) ?? '?');
      else if (effect.do === 'done' || effect.do === 'failed') this.ended += 1;
      else if (effect.do === 'build' || effect.do === 'send') this.todo.push(effect.do);
    }
  }

  /** Reads the next entry of the log: the machine first, then the group, in one transaction. */
  read(log: readonly string[], now: Instant): boolean {
    const name = log[this.stored.cursor];
    if (name === undefined) return false;
    const epoch = this.stored.cursor;
    const own = this.history.length;
    this.handle(orderedCommit(name, epoch) as CommitEvent<Wish>, now);
    if (this.history.length === own) this.#apply(name);
    this.stored = { ...this.stored, cursor: epoch + 1 };
    return true;
  }

  #apply(name: string): void {
    this.history.push(name);
    this.stored = { ...this.stored, epoch: this.stored.epoch + 1 };
  }

  /** Carries out one effect; a submission is what comes of a send. */
  work(now: Instant): Submitted | undefined {
    const effect = this.todo.shift();
    const { state } = this.stored;
    if (effect === 'build' && state.state === 'building') {
      this.#builds += 1;
      const name = `${this.name} ${this.#builds}`;
      this.#names.set(id(name), name);
      this.handle(built(name, this.stored.epoch), now);
    }
    if (effect !== 'send' || state.state !== 'pending') return undefined;
    return { name: this.#names.get(state.messageId) ?? '?', epoch: state.epoch };
  }

  crash(): void {
    this.todo = [];
  }
}

/** A hub and its devices, on a clock of their own. */
class Conversation {
  readonly log: string[] = [];
  readonly devices = ['a', 'b', 'c'].map((name) => new Device(name));
  now = instant(0);

  /** Orders the first commit of each epoch; a repeated one is answered like the first time. */
  #order({ name, epoch }: Submitted): 'ordered' | 'epoch_conflict' {
    if (this.log.includes(name)) return 'ordered';
    if (epoch !== this.log.length) return 'epoch_conflict';
    this.log.push(name);
    return 'ordered';
  }

  /** `fate`: whether the submission, or the answer to it, is lost on the way. */
  work(device: Device, fate: number): void {
    const submitted = device.work(this.now);
    if (submitted === undefined || fate % 4 === 0) return;
    const code = this.#order(submitted);
    if (code === 'ordered' || fate % 4 === 1) return;
    device.handle({ kind: 'refused', messageId: id(submitted.name), code }, this.now);
  }

  run(kind: string, a: number, b: number): void {
    const device = this.devices[a % this.devices.length];
    assert.ok(device !== undefined);
    if (kind === 'wish') this.#wish(device, b);
    else if (kind === 'work') this.work(device, b);
    else if (kind === 'read') device.read(this.log, this.now);
    else if (kind === 'crash') device.crash();
    else this.now = instant(this.now + b);
  }

  #wish(device: Device, what: number): void {
    if (device.stored.state.state !== 'idle') return;
    device.wished += 1;
    device.handle({ kind: 'wanted', intent: `wish ${what}` }, this.now);
  }

  /** Nothing is lost any more: every wish comes to its end. */
  settle(): void {
    for (let round = 0; this.devices.some((device) => device.stored.state.state !== 'idle'); round += 1) {
      assert.ok(round < 500, 'it never ends');
      this.now = instant(this.now + LIMITS.requestMillisecondsMax);
      for (const device of this.devices) {
        this.readAll(device);
        if (device.todo.length === 0) device.handle({ kind: 'caught_up', epoch: device.stored.epoch }, this.now);
        while (device.todo.length > 0) this.work(device, 2);
      }
    }
  }

  readAll(device: Device): void {
    while (device.read(this.log, this.now)) assert.ok(device.history.length <= this.log.length);
  }
}

const n = fc.nat({ max: 1000 });
const operation = fc.tuple(fc.constantFrom('wish', 'work', 'work', 'work', 'read', 'read', 'crash', 'wait'), n, n);

test('[C-42] whatever is lost and whoever crashes, each device follows the log, and each wish ends', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 150, size: 'max' }), (operations) => {
      const conversation = new Conversation();
      for (const [kind, a, b] of operations) conversation.run(kind, a, b);
      conversation.settle();
      for (const device of conversation.devices) {
        conversation.readAll(device);
        assert.deepEqual(device.history, conversation.log, 'the commits of the log, each once');
        assert.equal(device.ended, device.wished);
      }
    }),
  );
});
