import assert from 'node:assert/strict';
import { mustBe } from '@norc/testkit';
import { refusalOf, until } from '@norc/testkit/live';
import { agree, approvesWhenAsked, bothHave, civilService, DAY, type Organisation } from './cast.ts';
import { story } from './story.ts';

const given = (by: Organisation, to: Organisation) =>
  by.trust.parts.board.givenInForce(to.domain, by.trust.now).map(({ level }) => level);

story('the merger: two organisations raise their level, step by step', async (step) => {
  await using cast = await civilService();
  const { alpha, bravo } = cast;
  const [anna, ada, alex] = [await alpha.appoints('anna'), await alpha.appoints('ada'), await alpha.appoints('alex')];
  const [bert, bea] = [await bravo.appoints('bert'), await bravo.appoints('bea')];
  const [ann, bob] = [await alpha.person('ann'), await bravo.person('bob')];
  const said: string[] = [];
  const old = await ann.create([bob.user]);
  const atBob = bob.conversation(old.id);
  await atBob.inEpoch(1);
  /** Somebody writes while something else is going on; nothing may be lost of it. */
  const writes = async (text: string) => {
    said.push(text);
    await old.say(text);
  };

  await step('alpha and bravo have worked together at the lowest level', async () => {
    assert.equal(alpha.levelOf(bravo), 'basic');
    await writes('hello from alpha');
    await atBob.read('hello from alpha');
  });

  await step('a secret conversation between them is refused, with the reason', async () => {
    const { body } = await ann.draftCreation([bob.user], 'secret', 'classified');
    const reply = await ann.session.request({ type: 'conversation_create', body });
    assert.equal(refusalOf(reply), 'label_not_allowed');
  });

  await step('they show their certificates: one officer approves, and both are at verified', async () => {
    mustBe(await anna.asks(bravo, 'verified'));
    await writes('while it waits for bravo');
    await approvesWhenAsked(bert, alpha);
    await bothHave(alpha, bravo, 'verified');
    await writes('after the first step');
  });

  await step('with the ministry’s chains, an auditor’s word and two officers of each, at classified', async () => {
    mustBe(await anna.asks(bravo, 'classified'));
    for (const officer of [bert, bea]) await approvesWhenAsked(officer, alpha);
    await writes('while it waits for alpha');
    assert.equal(alpha.levelOf(bravo), 'verified', 'nothing more counts before all have signed');
    for (const officer of [ada, alex]) await approvesWhenAsked(officer, bravo);
    await bothHave(alpha, bravo, 'classified');
    await writes('after the second step');
  });

  await step('their officers see the highest level, and until when it counts', async () => {
    for (const [one, other] of [
      [alpha, bravo],
      [bravo, alpha],
    ] as const) {
      const summary = one.trust.summaries().find(({ peer }) => peer === other.domain);
      assert.equal(summary?.level, 'classified');
      assert.equal(summary?.certificates?.given.level, 'classified');
      const days = ((summary?.notAfter ?? 0) - one.trust.now) / DAY;
      assert.ok(days > 89 && days <= 90, `the 90 days of classified, not the year of basic: ${days}`);
      assert.equal(summary?.score?.total, 90);
    }
  });

  await step('the certificates overlap: there was no moment without trust, and no message was lost', async () => {
    assert.deepEqual([...given(alpha, bravo)].sort(), ['basic', 'classified', 'verified']);
    for (const text of said) await atBob.read(text);
    assert.deepEqual(atBob.readTexts, said);
    assert.equal(old.refused.size, 0);
    assert.ok(!(await alpha.auditTypes()).includes('trust_expired'));
  });

  await step('their old conversation is what it was: nobody relabelled it', async () => {
    for (const one of [alpha, bravo]) {
      const row = await one.node.store.read.conversation(old.id);
      assert.deepEqual([row?.label, row?.floor, row?.frozen], ['unclassified', 'basic', false]);
    }
    assert.deepEqual([old.label, atBob.label], ['unclassified', 'unclassified']);
  });

  const secret = await step('a new one can be secret', async () => {
    const secret = await ann.create([bob.user], 'secret', 'classified');
    await bob.conversation(secret.id).inEpoch(1);
    await secret.say('the new building');
    await bob.conversation(secret.id).read('the new building');
    for (const one of [alpha, bravo])
      assert.equal((await one.node.store.read.conversation(secret.id))?.label, 'secret');
    return secret;
  });

  await step('somebody of an organisation that stayed at basic cannot be brought into it', async () => {
    const cid = await cast.carol.person('cid');
    await assert.rejects(secret.add(cid.user), /label_not_allowed/);
    assert.equal(secret.live.members.length, 2);
  });

  await step(
    'weeks before classified ends, officers of both sides are told; a server cannot renew what officers sign',
    async () => {
      await cast.pass(76 * DAY);
      for (const [one, other] of [
        [alpha, bravo],
        [bravo, alpha],
      ] as const)
        await one.isTold(other, /at classified ends .*: in 13 days\./);
      await cast.pass(DAY);
      for (const [one, other] of [
        [alpha, bravo],
        [bravo, alpha],
      ] as const)
        await one.isTold(
          other,
          /^Officers have to renew trust with .*norc trust request \S+ --level classified --officer KEY$/,
        );
    },
  );

  await step('so they sign again, and it goes on for another 90 days', async () => {
    const endsAt = () => alpha.trust.parts.board.pair(bravo.domain, alpha.trust.now)?.given.notAfter ?? 0;
    const before = endsAt();
    mustBe(await bert.asks(alpha, 'classified'));
    for (const officer of [ada, alex]) await approvesWhenAsked(officer, bravo);
    const chris = await bravo.appoints('chris');
    for (const officer of [bea, chris]) await approvesWhenAsked(officer, alpha);
    await until('the new certificates count', () => endsAt() > before);
    assert.equal(alpha.levelOf(bravo), 'classified');
  });
  for (const { server, domain } of [alpha, bravo]) assert.deepEqual(server.faults, [], domain);
});

story('what one side may not give, the other cannot get: the policy caps the level', async (step) => {
  await using cast = await civilService();
  const { alpha, bravo } = cast;
  const anna = await alpha.appoints('anna');
  const bert = await bravo.appoints('bert');
  await step('bravo’s policy gives alpha no more than verified', async () => {
    const { anchors, compliance } = bravo.trust.parts.board.policy;
    await bravo.keepsTo({ anchors, compliance, partnerLevelMax: new Map([[alpha.domain, 'verified']]) });
  });
  await step('a request for classified is refused, and says why; what was agreed before stays', async () => {
    mustBe(await anna.asks(bravo, 'classified'));
    const why = await until('the answer', () => alpha.refusedBy(bravo));
    assert.equal(why, 'trust_declined: insufficient_trust: policy allows verified at most');
    assert.equal(alpha.levelOf(bravo), 'basic');
  });
  await step('verified they can have', async () => {
    await agree(anna, bravo, 'verified', [bert]);
  });
});
