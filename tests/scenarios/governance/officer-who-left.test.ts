import assert from 'node:assert/strict';
import { mustBe } from '@norc/testkit';
import { agree, approvesWhenAsked, bothHave, civilService, HOUR, type Organisation, refusal } from './cast.ts';
import { story } from './story.ts';

const signaturesFor = (one: Organisation, partner: Organisation): number =>
  mustBe(one.trust.question(partner.domain)).approvedBy.length;

/** Whose signatures a proposal has that waits. */
const signaturesOn = (one: Organisation): readonly string[] =>
  one.node.proposals.list().find(({ state }) => state === 'open')?.approvedBy ?? [];

story('the officer who left', async (step) => {
  await using cast = await civilService();
  const { alpha, bravo } = cast;
  const [anna, ada, alex] = [await alpha.appoints('anna'), await alpha.appoints('ada'), await alpha.appoints('alex')];
  const [bert, bea, ben] = [await bravo.appoints('bert'), await bravo.appoints('bea'), await bravo.appoints('ben')];
  const bodo = await bravo.appoints('bodo');

  await step('bert and bea of bravo sign, and trust is in force at classified', async () => {
    await agree(anna, bravo, 'classified', [bert, bea, ada, alex]);
  });

  await step(
    'later two things wait for bravo’s officers, both asked for by somebody else, and bert has signed them',
    async () => {
      await cast.pass(HOUR);
      mustBe(await bea.orders({ peer: alpha.domain, action: 'downgrade', level: 'verified', reason: 'a doubt' }));
      await bothHave(bravo, alpha, 'verified');
      const restore = { peer: alpha.domain, action: 'restore', reason: 'no doubt any more' } as const;
      assert.ok('proposal' in mustBe(await bodo.orders(restore)));
      mustBe(await bert.signsTheProposal());
      assert.deepEqual(signaturesOn(bravo), [bert.id]);
      mustBe(await anna.asks(bravo, 'classified'));
      await approvesWhenAsked(bert, alpha);
      assert.equal(signaturesFor(bravo, alpha), 1);
    },
  );

  await step('bert leaves: what he signed for things that still wait counts no more', async () => {
    await bravo.putsOut(bert, 'left the organisation');
    assert.deepEqual(signaturesOn(bravo), []);
    assert.equal(signaturesFor(bravo, alpha), 0);
  });

  await step('what he signed before, and what is done, stands: trust is what it was', async () => {
    assert.equal(bravo.levelOf(alpha), 'verified');
    const kept = await bravo.node.store.read.trustRecords('approval', alpha.domain);
    const officers = bravo.node.officers.list().map(({ officerId, state }) => [officerId, state]);
    assert.ok(kept.length >= 5, 'the request and the four approvals of the first day are kept');
    assert.deepEqual(Object.fromEntries(officers), {
      [bert.id]: 'revoked',
      [bea.id]: 'in_office',
      [ben.id]: 'in_office',
      [bodo.id]: 'in_office',
    });
  });

  await step('he still has his key, and it opens nothing', async () => {
    assert.notEqual(refusal(await bert.signsTheProposal()), undefined);
    assert.notEqual(refusal(await bert.approves(alpha)), undefined);
    assert.notEqual(refusal(await bert.asks(alpha, 'classified')), undefined);
    assert.deepEqual([signaturesOn(bravo).length, signaturesFor(bravo, alpha)], [0, 0]);
  });

  await step('bea’s signature counts as ever, and nobody of alpha has to sign anything again', async () => {
    mustBe(await bea.signsTheProposal());
    assert.deepEqual(signaturesOn(bravo), [bea.id]);
    mustBe(await bea.approves(alpha));
    assert.equal(signaturesFor(bravo, alpha), 1);
    const [question] = alpha.trust.parts.exchanges.filter(({ peer }) => peer === bravo.domain);
    assert.notEqual(question?.state.phase, 'ended', 'what alpha asked for still stands');
  });

  await step('ben takes bert’s place, and both things are done', async () => {
    mustBe(await ben.signsTheProposal());
    mustBe(await ben.approves(alpha));
    for (const officer of [ada, alex]) await approvesWhenAsked(officer, bravo);
    await bothHave(alpha, bravo, 'classified');
  });
  for (const { server, domain } of [alpha, bravo]) assert.deepEqual(server.faults, [], domain);
});

story('an officer who left does not weaken what nobody touched', async (step) => {
  await using cast = await civilService();
  const { alpha, bravo } = cast;
  const [anna, ada, alex] = [await alpha.appoints('anna'), await alpha.appoints('ada'), await alpha.appoints('alex')];
  const [bert, bea, ben] = [await bravo.appoints('bert'), await bravo.appoints('bea'), await bravo.appoints('ben')];
  mustBe(await anna.asks(bravo, 'classified'));
  await step('bea and ben sign for bravo; bert, who did not sign, leaves', async () => {
    await approvesWhenAsked(bea, alpha);
    await bravo.putsOut(bert, 'left');
    assert.equal(signaturesFor(bravo, alpha), 1, 'bea’s stays');
    mustBe(await ben.approves(alpha));
  });
  await step(
    'anna, who asked, leaves while alpha’s officers sign: her request stands on what it was signed for',
    async () => {
      await approvesWhenAsked(ada, bravo);
      await alpha.putsOut(anna, 'left');
      assert.equal(signaturesFor(alpha, bravo), 1, 'ada’s stays');
      mustBe(await alex.approves(bravo));
      await bothHave(alpha, bravo, 'classified');
    },
  );
});
