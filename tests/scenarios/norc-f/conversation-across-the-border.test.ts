import assert from 'node:assert/strict';
import { forEachVersionPair, TestDevice, TestServers, type VersionPair } from '@norc/testkit/live';

/** Two people of two organisations talk; every border between programs has its own pair of versions. */
async function talk(
  { first, second }: { readonly first: readonly string[]; readonly second: readonly string[] },
  devices: VersionPair,
) {
  await using world = await TestServers.start(
    { domains: ['alpha.example'], versions: first },
    { domains: ['bravo.example'], versions: second },
  );
  const [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example', { versions: devices.first });
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example', { versions: devices.second });

  const atAnn = await ann.create(['bob@bravo.example']);
  const atBob = bob.conversation(atAnn.id);
  await atBob.inEpoch(1);
  assert.equal((await atAnn.say('hello bob')).state, 'sent');
  assert.equal((await atBob.read('hello bob')).user, 'ann@alpha.example');
  assert.equal((await atBob.say('hello ann')).state, 'queued');
  const answer = await atAnn.read('hello ann');
  assert.equal(answer.user, 'bob@bravo.example');
  await atBob.read('hello ann'); // the log shows its own message at its place

  await ann.waitFor('sees that bob has it', () => ann.deliveredTo(atAnn.id, bob.user) >= answer.seq - 1);
  await bob.waitFor('sees that ann has it', () => bob.deliveredTo(atAnn.id, ann.user) >= answer.seq);
  assert.deepEqual(atAnn.readTexts, ['hello bob', 'hello ann']);
  assert.deepEqual(atBob.readTexts, ['hello bob', 'hello ann']);
  assert.deepEqual(Buffer.from(atAnn.live.epochAuthenticator), Buffer.from(atBob.live.epochAuthenticator));
  for (const server of world.all) assert.deepEqual(server.faults, []);
  return { link: alpha.node().links.status()[0]?.version, ann: ann.session.version, bob: bob.session.version };
}

const NEWEST = ['2.0', '1.2'];

forEachVersionPair('people of two organisations talk, between servers', async (pair) => {
  const versions = await talk(pair, { ...pair, first: NEWEST, second: NEWEST });
  assert.equal(versions.link, pair.negotiated);
});

forEachVersionPair('people of two organisations talk, between devices and servers', async (pair) => {
  const versions = await talk({ first: pair.second, second: pair.second }, { ...pair, second: pair.first });
  assert.equal(versions.ann, pair.negotiated);
  assert.equal(versions.bob, pair.negotiated);
});
