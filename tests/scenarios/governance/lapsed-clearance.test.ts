import assert from 'node:assert/strict';
import { mustBe } from '@norc/testkit';
import { refusalOf, until } from '@norc/testkit/live';
import { agree, type CivilCast, civilService, DAY, HOUR, type Organisation, type Request } from './cast.ts';
import { type Step, story } from './story.ts';

/** What alpha's certificate says of bravo, its contractor. */
const CONDITIONS: NonNullable<Request['conditions']> = [
  { name: 'clearance', kind: 'security_clearance', afterDays: 30, action: 'downgrade', level: 'basic' },
  { name: 'contract', kind: 'signed_contract', afterDays: 60, action: 'revoke' },
];

async function hireTheContractor(cast: CivilCast, step: Step): Promise<void> {
  const { alpha, bravo } = cast;
  const [anna, bert] = [await alpha.appoints('anna'), await bravo.appoints('bert')];
  await step('alpha takes bravo to verified, if its clearance comes in 30 days and the contract in 60', async () => {
    await agree(anna, bravo, 'verified', [bert], { conditions: CONDITIONS });
  });
}

const both = ({ alpha, bravo }: CivilCast): readonly (readonly [Organisation, Organisation])[] => [
  [alpha, bravo],
  [bravo, alpha],
];

story('the contractor whose clearance lapses', async (step) => {
  await using cast = await civilService();
  const { alpha, bravo } = cast;
  await hireTheContractor(cast, step);

  const [ann, bob] = [await alpha.person('ann'), await bravo.person('bob')];
  const open = await ann.create([bob.user]);
  const closed = await ann.create([bob.user], 'confidential', 'verified');
  await step('people talk in the open, and about confidential things', async () => {
    for (const one of [open, closed]) {
      await bob.conversation(one.id).inEpoch(1);
      await one.say('welcome');
      await bob.conversation(one.id).read('welcome');
    }
  });

  await step(
    'two weeks before the deadline, officers of both sides read what is missing and what will follow',
    async () => {
      await cast.pass(17 * DAY);
      for (const [one, other] of both(cast)) {
        const told = await one.isTold(
          other,
          /^bravo\.example has 12 days to show security_clearance \('clearance'\), until /,
        );
        assert.match(told, /: otherwise the level falls to basic\. alpha\.example records that it was met\.$/);
        assert.equal(one.levelOf(other), 'verified');
      }
    },
  );
  await step('and again in the last week and on the last day, each once', async () => {
    await cast.pass(7 * DAY);
    await cast.pass(5 * DAY + 12 * HOUR);
    for (const [one, other] of both(cast)) {
      await one.isTold(other, /has 12 hours to show security_clearance/);
      const told = one.noticesAbout(other).filter((text) => text.includes('to show security_clearance'));
      assert.equal(told.length, 3 + 1, 'with 30 days, 14, 7 and 1 left');
    }
  });

  await step('the day passes. Nobody does anything, and bravo is at basic on both sides', async () => {
    await cast.pass(DAY);
    for (const [one, other] of both(cast)) {
      assert.equal(one.levelOf(other), 'basic');
      await one.isTold(other, /'clearance' of alpha\.example was not met by .*: the level is now basic\./);
      assert.ok((await one.auditTypes()).includes('trust_condition_acted'));
    }
  });

  await step('what is confidential is closed to them; what is open goes on', async () => {
    for (const device of [ann, bob]) await device.reconnect();
    const { body } = await closed.encrypt('do they still see this?');
    assert.equal(refusalOf(await closed.trySubmit(body)), 'label_not_allowed');
    await bob.publish(2); // the KeyPackages of a month ago are over
    const refused = await ann.draftCreation([bob.user], 'confidential', 'verified');
    const reply = await ann.session.request({ type: 'conversation_create', body: refused.body });
    assert.equal(refusalOf(reply), 'label_not_allowed', 'nor a new one');
    await open.say('we are waiting for your papers');
    await bob.conversation(open.id).read('we are waiting for your papers');
    assert.ok(!bob.conversation(closed.id).readTexts.includes('do they still see this?'));
  });

  await step('too late the clearance comes: what was lost takes as many officers as the level asks for', async () => {
    const late = { peer: bravo.domain, action: 'condition_met', condition: 'clearance', reason: 'it came' } as const;
    assert.ok('sequence' in mustBe(await alpha.trust.order(late, 'officer:test')), 'at verified that is one');
    await until('both are back', () => both(cast).every(([one, other]) => one.levelOf(other) === 'verified'));
    await closed.say('good to have you back');
    await bob.conversation(closed.id).read('good to have you back');
  });

  await step('the contract never comes: after 60 days trust is over, by itself, with its reason', async () => {
    await cast.pass(30 * DAY);
    for (const [one, other] of both(cast)) {
      assert.equal(one.levelOf(other), 'untrusted');
      assert.match(one.explanationOf(other), /condition/);
    }
    await until('closed', async () => (await alpha.node.store.read.conversation(open.id))?.frozen);
  });
  for (const { server, domain } of [alpha, bravo]) assert.deepEqual(server.faults, [], domain);
});

story('the contractor whose clearance comes in time', async (step) => {
  await using cast = await civilService();
  const { alpha, bravo } = cast;
  await hireTheContractor(cast, step);

  await step('after three weeks alpha’s officer has seen both papers, and records it', async () => {
    await cast.pass(21 * DAY);
    for (const condition of ['clearance', 'contract']) {
      const met = { peer: bravo.domain, action: 'condition_met', condition, reason: 'seen the original' } as const;
      mustBe(await alpha.trust.order(met, 'officer:test'));
    }
    await until('bravo knows', () => bravo.trust.parts.board.chain(alpha.domain).sequence === 2);
  });
  await step('both deadlines pass, and nothing happens', async () => {
    await cast.pass(10 * DAY);
    await cast.pass(30 * DAY);
    for (const [one, other] of both(cast)) {
      assert.equal(one.levelOf(other), 'verified');
      assert.ok(!(await one.auditTypes()).includes('trust_condition_acted'));
    }
  });
  await step('the countdown has stopped when it was met', () => {
    for (const [one, other] of both(cast)) {
      const told = one.noticesAbout(other).filter((text) => text.includes('to show'));
      assert.ok(told.every((text) => !/has (1 day|12 hours|\d hours?) /.test(text)));
    }
  });
});
