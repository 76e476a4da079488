import assert from 'node:assert/strict';
import { mustBe } from '@norc/testkit';
import type { TestConversation, TestDevice } from '@norc/testkit/live';
import { refusalOf, until } from '@norc/testkit/live';
import { agree, approvesWhenAsked, bothHave, civilService, type Organisation, refusal } from './cast.ts';
import { story } from './story.ts';

story('the compromised partner at 3 a.m.', async (step) => {
  await using cast = await civilService();
  const { alpha, bravo, carol } = cast;
  const [anna, ada, alex] = [await alpha.appoints('anna'), await alpha.appoints('ada'), await alpha.appoints('alex')];
  const [bert, bea] = [await bravo.appoints('bert'), await bravo.appoints('bea')];

  await step('alpha and bravo trust each other for classified matters: two officers of each signed', async () => {
    await agree(anna, bravo, 'classified', [bert, bea, ada, alex]);
  });

  const [ann, amy, bob, cid] = await step('people of three organisations talk in one conversation', async () => {
    return [
      ...[await alpha.person('ann'), await alpha.person('amy')],
      ...[await bravo.person('bob'), await carol.person('cid')],
    ] as [TestDevice, TestDevice, TestDevice, TestDevice]; // four of them
  });
  const room = await ann.create([amy.user, bob.user, cid.user]);
  const secret = await ann.create([bob.user], 'secret', 'classified');
  const inRoom = (who: TestDevice): TestConversation => who.conversation(room.id);
  await step('and two of them about something secret', async () => {
    for (const who of [amy, bob, cid]) await inRoom(who).inEpoch(1);
    await bob.conversation(secret.id).inEpoch(1);
    await room.say('good night');
    await secret.say('the convoy leaves at six');
    for (const who of [amy, bob, cid]) await inRoom(who).read('good night');
    await bob.conversation(secret.id).read('the convoy leaves at six');
  });

  const written = await inRoom(bob).encrypt('please send me the plans again');
  const sequence = await step('03:00: bravo is broken into. One officer of alpha, alone, revokes it', async () => {
    const said = mustBe(await anna.revokes(bravo, 'broken into: keys are stolen'));
    return 'sequence' in said ? said.sequence : assert.fail('a revocation waits for nobody');
  });

  await step('at that moment nothing passes between the two any more', async () => {
    assert.equal(alpha.levelOf(bravo), 'untrusted');
    assert.equal(alpha.trust.pins(bravo.domain), undefined, 'no link is opened');
    for (const id of [room.id, secret.id])
      await until('frozen', async () => (await alpha.node.store.read.conversation(id))?.frozen);
    const { body } = await secret.encrypt('never mind');
    assert.equal(refusalOf(await secret.trySubmit(body)), 'conversation_frozen', 'nothing goes there');
    await inRoom(bob).trySubmit(written.body); // bravo's server may say what it likes
    await until('bravo knows', () => bravo.levelOf(alpha) === 'untrusted');
    const entries = await alpha.node.store.read.entries(room.id, 0, 100, 1 << 20);
    assert.ok(!entries.some(({ senderUser }) => senderUser === bob.user), 'and nothing comes from there');
  });

  const progress = async () => (await alpha.trust.revocationProgress(sequence)) ?? assert.fail('progress');
  await step('bravo’s people are put out of both conversations by cryptography', async () => {
    await room.commitProposals();
    await secret.commitProposals();
    for (const who of [amy, cid]) await inRoom(who).inEpoch(2);
    const left = room.live.members.map(({ identity }) => identity.user).sort();
    assert.deepEqual(left, [amy.user, ann.user, cid.user]);
    await room.say('now among ourselves');
    for (const who of [amy, cid]) await inRoom(who).read('now among ourselves');
    assert.ok(!inRoom(bob).readTexts.includes('now among ourselves'));
    for (const who of [amy, cid]) assert.ok(!inRoom(who).readTexts.includes('please send me the plans again'));
  });

  await step(
    'carol, the third one, has acted and has said so with its signature; bravo has signed that it knows',
    async () => {
      const done = await until('all is in force', async () => {
        const now = await progress();
        return now.state === 'enforced' && now.servers.every(({ state }) => state === 'confirmed') && now;
      });
      const roles = done.servers.map(({ peer, role }) => `${peer} ${role}`).sort();
      assert.deepEqual(roles, [`${bravo.domain} subject`, `${carol.domain} partner`]);
      assert.equal(done.inTime, true, 'within the 60 seconds that classified allows');
      assert.deepEqual([done.conversations.total, done.conversations.removed], [2, 2]);
      assert.equal(carol.levelOf(bravo), 'basic', 'what carol thinks of bravo is for carol to decide');
    },
  );

  await step('receipts are left: one of each server, one of each conversation, with the epochs', async () => {
    const names = ((await alpha.trust.receipts(sequence)) ?? []).map(({ name }) => name.replace(/[0-9a-f]{32,}/, 'ID'));
    const servers = [alpha, bravo, carol].map(({ domain }) =>
      names.filter((one) => one.startsWith(`server-${domain}`)),
    );
    assert.ok(
      servers.every((own) => own.length > 0),
      names.join(),
    );
    assert.equal(names.filter((name) => name.startsWith('conversation-')).length, 2);
    const { conversations } = (await progress()).conversations;
    for (const one of conversations) assert.deepEqual([one.epochBefore, one.epochAfter], [1, 2]);
  });

  await step('in the morning nobody can simply take it back, and one officer alone cannot ask for it', async () => {
    const restored = await alpha.trust.order(
      { peer: bravo.domain, action: 'restore', reason: 'sorry' },
      'officer:test',
    );
    assert.equal(refusal(restored), 'not_trusted', 'a revocation is for good');
    const byAdmin = await alpha.trust.request(bravo.domain, 'classified', 'officer:test');
    assert.equal(refusal(byAdmin), 'approval_required');
  });

  await step('bravo has new keys everywhere; an officer asks anew, and two of each side have to sign', async () => {
    mustBe(await ada.asks(bravo, 'classified', { note: 'after the night of the 3rd' }));
    for (const officer of [bert, bea]) await approvesWhenAsked(officer, alpha);
    await approvesWhenAsked(anna, bravo);
    mustBe(await anna.approves(bravo));
    assert.equal(mustBe(alpha.trust.question(bravo.domain)).approvedBy.length, 1, 'nobody counts twice');
    assert.equal(refusal(await ada.approves(bravo)), 'forbidden', 'and the one who asked does not count');
    assert.equal(alpha.levelOf(bravo), 'untrusted', 'one is not enough');
    mustBe(await alex.approves(bravo));
    await bothHave(alpha, bravo, 'classified');
  });
  assertHonest(alpha, bravo, carol);
});

story('a suspension is given back only by all officers that the level asks for', async (step) => {
  await using cast = await civilService();
  const { alpha, bravo } = cast;
  const [anna, ada, alex] = [await alpha.appoints('anna'), await alpha.appoints('ada'), await alpha.appoints('alex')];
  const [bert, bea] = [await bravo.appoints('bert'), await bravo.appoints('bea')];
  await agree(anna, bravo, 'classified', [bert, bea, ada, alex]);

  await step('one officer suspends bravo while something is looked into', async () => {
    mustBe(await anna.orders({ peer: bravo.domain, action: 'suspend', reason: 'an inquiry' }));
    assert.equal(alpha.levelOf(bravo), 'untrusted');
    await until('bravo knows', () => bravo.levelOf(alpha) === 'untrusted');
  });
  await step('it turns out to be nothing: an officer asks to give it back, and two others have to sign', async () => {
    const order = { peer: bravo.domain, action: 'restore', reason: 'it was nothing' } as const;
    assert.equal(refusal(await alpha.trust.order(order, 'officer:test')), 'approval_required');
    const said = mustBe(await anna.orders(order));
    assert.ok('proposal' in said && said.proposal.needed === 2);
    await anna.signsTheProposal();
    mustBe(await ada.signsTheProposal());
    await ada.signsTheProposal();
    assert.equal(alpha.levelOf(bravo), 'untrusted', 'neither the one who asked counts, nor one who signs twice');
  });
  await step('the second one signs, and it goes on where it stopped', async () => {
    mustBe(await alex.signsTheProposal());
    await bothHave(alpha, bravo, 'classified');
  });
  assertHonest(alpha, bravo);
});

function assertHonest(...organisations: readonly Organisation[]): void {
  for (const { server, domain } of organisations) assert.deepEqual(server.faults, [], domain);
}
