import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserAddress } from '@norc/protocol/base';
import * as testkit from '@norc/testkit';
import { standardWorld } from '../testing/standard-world.ts';
import { must, type TestDevice, type TestWorld } from '../testing/world.ts';

const DOMAINS = ['alpha.example', 'bravo.example', 'echo.example'];

async function threePeople(seed: string) {
  const world = standardWorld(testkit, { seed, domains: DOMAINS });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const eve = await world.device('eve@echo.example');
  return { world, anna, bruno, eve };
}

/** Anna's organisation does not trust Eve's; everybody else, the hub included, does not care. */
function distrustEcho(world: TestWorld, anna: TestDevice): void {
  world.server(anna.user).mischief.answer = (_message, answer) =>
    answer.type === 'org_response' && answer.body.domain === 'echo.example'
      ? { type: 'org_response', body: { domain: answer.body.domain, level: 'untrusted' } }
      : answer;
}

async function adds(world: TestWorld, by: TestDevice, id: Parameters<TestDevice['shown']>[0], users: UserAddress[]) {
  const adding = by.client.addParticipants(id, users);
  await world.settle();
  must(await adding);
}

test('a member whose organisation this one does not trust is refused loudly, and nothing is said in their presence', async () => {
  const { world, anna, bruno, eve } = await threePeople('ghost commit');
  const id = await bruno.creates([anna]);
  distrustEcho(world, anna);
  await adds(world, bruno, id, [eve.user]);
  await bruno.says(id, 'with eve');
  assert.deepEqual(await anna.shown(id), ['[key.sender_unapproved]', '[key.waiting]']);
  assert.deepEqual(
    anna.warnings.map(({ warning }) => warning),
    ['group_refused'],
  );
  assert.equal((await anna.client.timeline(id))?.standing, 'paused');
  const refused = await anna.client.send(id, 'hello?');
  assert.ok(!refused.ok);
  assert.deepEqual(refused.error.problem, { cause: 'conversation.paused' });
  await world.advance(60_000);
  assert.equal(anna.warnings.length, 1, 'said once');
  assert.equal((await anna.store.read.conversation(id))?.cursorSeq, 3, 'the log is taken in all the same');
  await world.close();
});

test('an invitation into the company of strangers is not accepted', async () => {
  const { world, anna, bruno, eve } = await threePeople('ghost welcome');
  distrustEcho(world, anna);
  const id = await bruno.creates([eve, anna]);
  await bruno.says(id, 'welcome');
  assert.equal(await anna.client.timeline(id), undefined);
  assert.deepEqual(
    anna.warnings.map(({ warning }) => warning),
    ['group_refused'],
  );
  assert.deepEqual(await eve.shown(id), ['welcome']);
  await world.close();
});

test('while the own server cannot say whether an organisation is trusted, the log waits and nothing is lost', async () => {
  const { world, anna, bruno, eve } = await threePeople('blocked');
  const id = await bruno.creates([anna]);
  world.server(anna.user).mischief.request = ({ type }) => (type === 'org_request' ? 'internal' : undefined);
  await adds(world, bruno, id, [eve.user]);
  await eve.says(id, 'hello');
  assert.deepEqual(await anna.shown(id), []);
  await world.advance(5_000);
  anna.transport.cut();
  await world.advance(5_000);
  assert.equal((await anna.store.read.conversation(id))?.cursorSeq, 1);
  delete world.server(anna.user).mischief.request;
  await world.advance(60_000);
  assert.deepEqual(await anna.shown(id), ['hello']);
  assert.equal((await anna.client.members(id)).length, 3);
  await world.close();
});
