import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId } from '@norc/protocol/base';
import * as testkit from '@norc/testkit';
import { standardWorld } from '../testing/standard-world.ts';
import type { TestDevice, TestWorld } from '../testing/world.ts';

/**
 * The same story, told once for each moment at which a device may die: after each of
 * its transactions, before anything that follows, and just before the next one. What
 * the application asks for again after a restart is what it finds undone.
 */
class Story {
  readonly world: TestWorld;
  readonly anna: TestDevice;
  readonly bruno: TestDevice;
  readonly carla: TestDevice;
  readonly #mortal: TestDevice;

  constructor(
    world: TestWorld,
    [anna, bruno, carla]: readonly [TestDevice, TestDevice, TestDevice],
    mortal: TestDevice,
  ) {
    this.world = world;
    this.anna = anna;
    this.bruno = bruno;
    this.carla = carla;
    this.#mortal = mortal;
  }

  static async begin(seed: string, mortal: 'anna' | 'bruno'): Promise<Story> {
    const world = standardWorld(testkit, { seed });
    const people = [
      await world.device('anna@alpha.example'),
      await world.device('bruno@bravo.example'),
      await world.device('carla@bravo.example'),
    ] as const;
    return new Story(world, people, mortal === 'anna' ? people[0] : people[1]);
  }

  async tell(): Promise<ConversationId> {
    await this.#until(
      this.anna,
      async () => (await this.#conversation(this.anna)) !== undefined,
      () => this.anna.client.createConversation({ users: [this.bruno.user], title: 'Depot' }),
    );
    const id = (await this.#conversation(this.anna)) ?? assert.fail('no conversation');
    await this.#say(this.anna, id, 'one');
    await this.#say(this.bruno, id, 'two');
    await this.#until(
      this.anna,
      async () => (await this.#people(this.anna, id)) === 3,
      () => this.anna.client.addParticipants(id, [this.carla.user]),
    );
    await this.#say(this.carla, id, 'three');
    await this.#read(this.bruno, id);
    await this.#say(this.anna, id, 'four');
    await this.world.advance(60_000);
    return id;
  }

  async #conversation(device: TestDevice): Promise<ConversationId | undefined> {
    const rows = await device.store.read.conversations();
    assert.ok(rows.length <= 1, 'a conversation was started twice');
    return rows[0]?.conversationId;
  }

  async #people(device: TestDevice, id: ConversationId): Promise<number | undefined> {
    return (await device.store.read.conversation(id))?.participants.length;
  }

  #say(device: TestDevice, id: ConversationId, text: string): Promise<void> {
    const said = async () => (await device.shown(id)).includes(text);
    return this.#until(device, said, () => device.client.send(id, text));
  }

  async #read(device: TestDevice, id: ConversationId): Promise<void> {
    const seen = async () => ((await device.store.read.conversation(id))?.readSeq ?? 0) > 2;
    await this.#until(device, seen, () => device.client.markRead(id, 3));
  }

  /** As a person does: tries, and after a crash looks whether it was done. */
  async #until(device: TestDevice, done: () => Promise<boolean>, act: () => Promise<unknown>): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await this.#revive();
      if (await this.#now(done)) return;
      act().catch(() => undefined); // of a device that died, or was closed
      await this.world.settle();
      await this.#revive();
      // What was begun before a crash goes on by itself; it may have to wait for its turn.
      if (device === this.#mortal && !(await this.#now(done))) await this.world.advance(60_000);
    }
    await this.#revive();
    assert.ok(await this.#now(done), 'it did not come about');
  }

  /** The device may die while it is looked at. */
  async #now(done: () => Promise<boolean>): Promise<boolean> {
    return await done();
  }

  async #revive(): Promise<void> {
    while (this.#mortal.store.isDead) await this.#mortal.crash();
  }

  async check(id: ConversationId, when: string): Promise<void> {
    await this.#revive();
    const texts = ['one', 'two', 'three', 'four'];
    assert.deepEqual(await this.anna.shown(id), texts, when);
    assert.deepEqual(await this.bruno.shown(id), texts, when);
    assert.deepEqual(await this.carla.shown(id), texts.slice(2), when);
    for (const device of [this.anna, this.bruno, this.carla]) {
      assert.deepEqual(device.faults, [], when);
      assert.deepEqual(device.warnings, [], when);
      assert.deepEqual(await device.store.read.outgoing(), [], when);
      const view = await device.client.timeline(id);
      assert.deepEqual([view?.title, view?.standing, view?.people.length], ['Depot', 'open', 2], when);
    }
    assert.equal(this.world.hub.logs.size, 1, when);
  }
}

for (const mortal of ['anna', 'bruno'] as const) {
  test(`nothing is lost or doubled when the device of ${mortal} dies between any two transactions`, async () => {
    const whole = await Story.begin(mortal, mortal);
    const first = whole[mortal].store.transactions.length;
    await whole.check(await whole.tell(), 'without a crash');
    const last = whole[mortal].store.transactions.length;
    assert.ok(last - first > 8, 'a story of some length');
    await whole.world.close();
    for (let transactions = first; transactions <= last; transactions += 1) {
      for (const atOnce of [true, false]) {
        if (atOnce && transactions === first) continue; // that one is stored already
        const story = await Story.begin(mortal, mortal);
        const device = story[mortal];
        device.store.dieAfter = { transactions, atOnce };
        device.store.onDeath = () => device.transport.kill();
        const when = `died ${atOnce ? 'right after' : 'before the one after'} transaction ${transactions}`;
        await story.check(await story.tell(), when);
        await story.world.close();
      }
    }
  });
}
