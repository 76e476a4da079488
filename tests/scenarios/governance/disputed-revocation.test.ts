import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeCrypto } from '@norc/crypto/node';
import { MESSAGE_TYPES } from '@norc/protocol/base';
import { parseDocument, signDocument } from '@norc/protocol/crypto';
import { draftRevocation, emptyRevocations, TRUST_REVOCATION_ACK } from '@norc/protocol/norc-t';
import { mustBe } from '@norc/testkit';
import { until } from '@norc/testkit/live';
import { Sandbox } from '../../e2e/sandbox.ts';
import { meet, type Organisation, refusal } from './cast.ts';
import { story } from './story.ts';

const REASON = 'invoices for work that was not done; appeals to ciso@alpha.example';

/** `norc`, as an officer of the organisation types it on its server. */
async function types(sandbox: Sandbox, at: Organisation, ...words: readonly string[]): Promise<string> {
  return await sandbox.must(['trust', ...words, '--data', at.server.folder]);
}

/** A statement with the real key of a server, whatever its node thinks. */
async function forges(by: Organisation, about: Organisation, reason: string): Promise<Uint8Array> {
  const { trust, identity } = by.node;
  const [held] = trust.parts.board.standings(by.domain, about.domain, trust.now);
  const draft = draftRevocation(emptyRevocations(by.domain), {
    ...{ subject: about.domain, action: 'downgrade', level: 'basic', reason },
    ...{ issued_at: trust.now, effective_at: trust.now },
    certificate_id: held?.certificate.certificateId ?? assert.fail('certificate'),
  });
  return (await signDocument(nodeCrypto, draft, identity.signer)).bytes;
}

story('the partner that disputes a revocation', async (step) => {
  await using cast = await meet('alpha.example', 'bravo.example');
  const [alpha, bravo] = cast.organisations as [Organisation, Organisation]; // as many as met
  await cast.world.trust(alpha.server, bravo.server);
  const sandbox = await Sandbox.create();
  const [ours, theirs] = [sandbox.path('ours'), sandbox.path('theirs')];
  try {
    await step('alpha revokes bravo, and says why', async () => {
      const order = { peer: bravo.domain, action: 'revoke', reason: REASON } as const;
      const said = mustBe(await alpha.trust.order(order, 'officer:test'));
      assert.ok('sequence' in said);
      await until('bravo has signed that it knows', async () => {
        const progress = await alpha.trust.revocationProgress(said.sequence);
        return progress?.servers.some(({ peer, state }) => peer === bravo.domain && state === 'confirmed');
      });
    });

    await step('bravo’s officers read the reason on their own server, with whom to ask', async () => {
      const shown = await types(sandbox, bravo, 'show', alpha.domain);
      assert.ok(shown.includes(`alpha.example ended trust with bravo.example: ${REASON}`), shown);
    });

    await step('bravo says that it never got it. Alpha exports what it has, for an arbiter', async () => {
      await types(sandbox, alpha, 'export', bravo.domain, '--out', ours);
    });

    await step(
      'the arbiter checks every signature without any server: bravo has signed that it knew, and when',
      async () => {
        const { code, out } = await sandbox.norc(['trust', 'verify', ours]);
        assert.equal(code, 0, out);
        assert.match(out, /All of it holds\./);
        const path = join(ours, 'acks', 'alpha.example-000001-by-bravo.example.json');
        const { body } = mustBe(parseDocument(TRUST_REVOCATION_ACK, Uint8Array.from(await readFile(path))));
        assert.deepEqual([body.acknowledged_by, body.issuer, body.sequence], [bravo.domain, alpha.domain, 1]);
        assert.ok(body.enforced_at >= body.received_at);
      },
    );

    await step('bravo’s own papers say the same, byte for byte', async () => {
      await types(sandbox, bravo, 'export', alpha.domain, '--out', theirs);
      assert.match(await sandbox.must(['trust', 'verify', theirs]), /All of it holds\./);
      const statement = join('chains', 'alpha.example', '000001.json');
      assert.deepEqual(await readFile(join(theirs, statement)), await readFile(join(ours, statement)));
    });

    await step('a reason that somebody changed afterwards does not hold', async () => {
      const path = join(theirs, 'chains', 'alpha.example', '000001.json');
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace('not done', 'too good'));
      const { code, out } = await sandbox.norc(['trust', 'verify', theirs]);
      assert.equal(code, 1);
      assert.match(out, /chains\/alpha\.example\/000001\.json does not hold/);
    });

    await step('bravo appeals: it asks anew, with a note that alpha’s officers read before they decide', async () => {
      const note = 'We appeal: see the audit report of 12 March.';
      mustBe(await bravo.trust.request(alpha.domain, 'basic', 'officer:test', { note }));
      const waits = () => alpha.stateOf(bravo) === 'awaiting_approval';
      await until('it waits for alpha', waits);
      assert.equal(mustBe(alpha.trust.question(bravo.domain)).note, note);
      mustBe(await alpha.trust.approve(bravo.domain, 'officer:test'));
      await until('trust is back', () => alpha.levelOf(bravo) === 'basic' && bravo.levelOf(alpha) === 'basic');
    });

    await step('the old revocation, replayed, changes nothing: it is about what is over', async () => {
      const [row] = await alpha.node.store.read.trustRevocations();
      const again = mustBe(
        await bravo.trust.receive(alpha.domain, MESSAGE_TYPES.trust_revoke, row?.document ?? new Uint8Array()),
      );
      assert.equal(again?.type, MESSAGE_TYPES.trust_revoke_ack, 'the same signature as the first time');
      assert.equal(bravo.levelOf(alpha), 'basic');
    });
  } finally {
    await sandbox.close();
  }
});

story('the partner that tells two stories', async (step) => {
  await using cast = await meet('alpha.example', 'bravo.example', 'carol.example');
  const [alpha, bravo, carol] = cast.organisations as [Organisation, Organisation, Organisation]; // as many as met
  await cast.world.trust(alpha.server, bravo.server);
  await cast.world.trust(bravo.server, carol.server);
  const sandbox = await Sandbox.create();
  const out = sandbox.path('bundle');
  try {
    await step('bravo’s server signs two first statements, and shows alpha both', async () => {
      const [one, other] = [await forges(bravo, carol, 'the first story'), await forges(bravo, carol, 'another story')];
      const tell = (document: Uint8Array) => alpha.trust.receive(bravo.domain, MESSAGE_TYPES.trust_revoke, document);
      mustBe(await tell(one));
      assert.equal(refusal(await tell(other)), 'revocation_fork');
    });
    await step('nothing that bravo says counts any more at alpha, and officers read why', async () => {
      assert.equal(alpha.levelOf(bravo), 'untrusted');
      const shown = await types(sandbox, alpha, 'show', bravo.domain);
      assert.match(shown, /bravo\.example signed two different histories \(statement 1\)/);
      assert.match(shown, /trust export bravo\.example|nothing that it says counts/);
    });
    await step('anybody can check the proof, without alpha’s word for it', async () => {
      await types(sandbox, alpha, 'export', bravo.domain, '--out', out);
      const said = await sandbox.must(['trust', 'verify', out]);
      assert.match(said, /Checked .*1 second histories/);
      assert.match(said, /proves that its issuer signed two histories/);
    });
    await step('nobody can make such a proof out of one story: the same statement twice is none', async () => {
      const [name = ''] = await readdir(join(out, 'forks'));
      const path = join(out, 'forks', name);
      const { held } = JSON.parse(await readFile(path, 'utf8')) as { held: string }; // our own export's
      await writeFile(path, JSON.stringify({ held, other: held }));
      const { code, out: said } = await sandbox.norc(['trust', 'verify', out]);
      assert.equal(code, 1);
      assert.match(said, /does not hold: .*there are not two histories/);
    });
  } finally {
    await sandbox.close();
  }
});
