import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeClock, nodeCrypto } from '@norc/crypto/node';
import { type ErrorName, instant, MESSAGE_TYPES, type Result } from '@norc/protocol/base';
import { draftDocument, parseDocument, signDocument } from '@norc/protocol/crypto';
import {
  checkRevocationAck,
  draftRevocation,
  emptyRevocations,
  extendRevocations,
  keysOf,
  parseCertificateId,
  type RevocationBody,
  type RevocationChain,
  TRUST_REVOCATION_ACK,
  TRUST_STATUS,
} from '@norc/protocol/norc-t';
import { mustBe } from '@norc/testkit';
import { TestDevice, type TestServer, TestServers, trustState, until } from '@norc/testkit/live';

const OFFICER = 'officer:test';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface Scene {
  readonly alpha: TestServer;
  readonly bravo: TestServer;
  readonly carol: TestServer;
  /** All servers' clocks go on by so much, and everybody looks. */
  pass(milliseconds: number): void;
}

async function three(run: (scene: Scene) => Promise<void>): Promise<void> {
  let offset = 0;
  const clock = { now: () => instant(nodeClock.now() + offset) };
  const servers = ['alpha.example', 'bravo.example', 'carol.example'].map((domain) => ({
    domains: [domain] as const,
    clock,
  }));
  await using world = await TestServers.start(...servers);
  const [alpha, bravo, carol] = [world.at(0), world.at(1), world.at(2)];
  await world.trust(alpha, bravo);
  await world.trust(alpha, carol);
  await world.trust(bravo, carol);
  await run({
    ...{ alpha, bravo, carol },
    pass: (milliseconds) => {
      offset += milliseconds;
      for (const server of [alpha, bravo, carol]) if (server.isUp) server.node().trust.tick();
    },
  });
  for (const server of [alpha, bravo, carol]) assert.deepEqual(server.faults, [], server.domain);
}

const progressOf = async (server: TestServer, sequence: number) =>
  (await server.node().trust.revocationProgress(sequence)) ?? assert.fail('progress');

async function auditTypes(server: TestServer): Promise<readonly string[]> {
  await server.node().audit.flush();
  return (await server.node().store.read.auditEntries(0, 1000)).map(({ type }) => type);
}

async function revoke(by: TestServer, of: TestServer, more: { readonly effectiveAt?: number } = {}): Promise<number> {
  const effective = more.effectiveAt === undefined ? {} : { effectiveAt: instant(more.effectiveAt) };
  const order = { peer: of.domain, action: 'revoke', reason: 'the contract ended', ...effective } as const;
  const said = mustBe(await by.node().trust.order(order, OFFICER));
  return 'sequence' in said ? said.sequence : assert.fail('a revocation waits for nobody');
}

/** A statement with the real key of a server, whatever its node thinks. */
async function signed(
  by: TestServer,
  chain: RevocationChain,
  about: TestServer,
  changes: Partial<RevocationBody> = {},
) {
  const { trust, identity } = by.node();
  const [held] = trust.parts.board.standings(by.domain, about.domain, trust.now);
  const draft = draftRevocation(chain, {
    ...{ subject: about.domain, action: 'revoke', reason: 'hostile', issued_at: trust.now, effective_at: trust.now },
    certificate_id: held?.certificate.certificateId ?? assert.fail('certificate'),
    ...changes,
  });
  const { bytes } = await signDocument(nodeCrypto, draft, identity.signer);
  const keys = keysOf(nodeCrypto, trust.parts.party, 'trust', trust.now);
  return { bytes, chain: mustBe(extendRevocations(nodeCrypto, chain, bytes, keys)) };
}

async function status(by: TestServer, to: TestServer, chain: RevocationChain, claimed: number): Promise<Uint8Array> {
  const { trust, identity } = by.node();
  const known = trust.parts.board.chain(to.domain);
  const draft = draftDocument(TRUST_STATUS, {
    ...{ issuer: by.domain, to: to.domain, sequence: claimed, head: chain.head },
    ...{ known_sequence: known.sequence, known_head: known.head, sent_at: trust.now },
  });
  return (await signDocument(nodeCrypto, draft, identity.signer)).bytes;
}

const tell = (to: TestServer, from: TestServer, document: Uint8Array, type: number = MESSAGE_TYPES.trust_revoke) =>
  to.node().trust.receive(from.domain, type, document);

function refused(result: Result<unknown>, code: ErrorName): void {
  assert.equal(result.ok ? 'taken' : result.error.code, code);
}

test('[TRUST-62] [TRUST-64] a revocation is confirmed by every partner and by the subject, with signatures', async () => {
  await three(async ({ alpha, bravo, carol }) => {
    const sequence = await revoke(alpha, bravo);
    const done = await until('all have confirmed', async () => {
      const progress = await progressOf(alpha, sequence);
      return progress.state === 'enforced' && progress.servers.every((one) => one.state === 'confirmed') && progress;
    });
    const servers = done.servers.map(({ peer, role }) => [peer, role]);
    assert.deepEqual(servers, [
      [carol.domain, 'partner'],
      [bravo.domain, 'subject'],
    ]);
    assert.equal(done.inTime, true);
    assert.ok(done.linksCutAt !== undefined && done.enforcedAt !== undefined);
    assert.equal(done.spread?.count, 1);
    assert.equal(trustState(carol.node(), bravo.domain), 'in_force', 'trust is not inherited, nor is its end');
    const types = await auditTypes(alpha);
    for (const type of ['revocation_issued', 'revocation_acknowledged', 'revocation_enforced'])
      assert.ok(types.includes(type), type);
    const receipts = (await alpha.node().trust.receipts(sequence)) ?? [];
    assert.equal(receipts.length, 3, 'our own, the partner’s and the subject’s');
    const chain = alpha.node().trust.parts.board.chain(alpha.domain);
    for (const { document } of receipts) {
      const ack = mustBe(parseDocument(TRUST_REVOCATION_ACK, Uint8Array.from(Buffer.from(document, 'base64url'))));
      assert.ok(checkRevocationAck(chain, ack.body).ok);
    }
  });
});

test('[TRUST-65] killed while it spreads: after the start it goes on, late, and says so', async () => {
  await three(async ({ alpha, bravo, carol, pass }) => {
    await carol.stop();
    const sequence = await revoke(alpha, bravo);
    await until('in force here', async () => (await progressOf(alpha, sequence)).enforcedAt !== undefined);
    await alpha.restart();
    pass(121_000);
    const late = await until('the deadline', async () => {
      const progress = await progressOf(alpha, sequence);
      return progress.state === 'overdue' && progress;
    });
    assert.deepEqual(
      late.servers.filter(({ role, state }) => role === 'partner' && state !== 'confirmed').map(({ peer }) => peer),
      [carol.domain],
    );
    await carol.start();
    const done = await until('carol has confirmed', async () => {
      const progress = await progressOf(alpha, sequence);
      return progress.state === 'enforced' && progress;
    });
    assert.equal(done.inTime, false);
    assert.ok((done.spread?.max ?? 0) >= 121_000, 'measured from when it was to count');
    const said = (await auditTypes(alpha)).filter((type) => type === 'revocation_enforced');
    assert.equal(said.length, 2, 'at the deadline, and when it was complete');
    assert.equal((await auditTypes(carol)).filter((type) => type === 'revocation_received').length, 1);
  });
});

test('[TRUST-25] [TRUST-63] a future-dated revocation is held by everybody and counts at its time, with nothing arriving', async () => {
  await three(async ({ alpha, bravo, carol, pass }) => {
    const effectiveAt = alpha.node().trust.now + HOUR;
    const sequence = await revoke(alpha, bravo, { effectiveAt });
    await until('both hold it', () =>
      [bravo, carol].every((one) => one.node().trust.parts.board.chain(alpha.domain).sequence === sequence),
    );
    const held = await until('they said so', async () => {
      const progress = await progressOf(alpha, sequence);
      return progress.servers.every(({ state }) => state === 'held') && progress;
    });
    assert.equal(held.state, 'held');
    for (const [one, other] of [
      [alpha, bravo],
      [bravo, alpha],
    ] as const)
      assert.equal(trustState(one.node(), other.domain), 'in_force');
    await Promise.all([bravo.restart(), alpha.restart()]);
    pass(HOUR + 1);
    for (const [one, other] of [
      [alpha, bravo],
      [bravo, alpha],
    ] as const)
      await until('it counts', () => trustState(one.node(), other.domain) === 'revoked');
    await until('carol confirms', async () => (await progressOf(alpha, sequence)).state === 'enforced');
  });
});

test('[TRUST-55] statements of a time to come, and those that nobody signed, change nothing', async () => {
  await three(async ({ alpha, bravo }) => {
    const { now } = bravo.node().trust;
    const ahead = await signed(bravo, emptyRevocations(bravo.domain), alpha, {
      issued_at: now + HOUR,
      effective_at: now + HOUR,
    });
    refused(await tell(alpha, bravo, ahead.bytes), 'clock_skew');
    const forged = Uint8Array.from(ahead.bytes);
    forged[forged.length - 10] = (forged[forged.length - 10] ?? 0) ^ 1;
    assert.equal((await tell(alpha, bravo, forged)).ok, false);
    assert.equal(trustState(alpha.node(), bravo.domain), 'in_force');
    assert.equal(alpha.node().trust.parts.board.chain(bravo.domain).sequence, 0);
    assert.ok((await auditTypes(alpha)).includes('revocation_rejected'));
  });
});

test('[TRUST-29] a replayed statement gets the same acknowledgment, and changes nothing', async () => {
  await three(async ({ alpha, bravo }) => {
    const one = await signed(bravo, emptyRevocations(bravo.domain), alpha);
    const first = mustBe(await tell(alpha, bravo, one.bytes));
    await alpha.restart();
    const again = mustBe(await tell(alpha, bravo, one.bytes));
    assert.equal(first?.type, MESSAGE_TYPES.trust_revoke_ack);
    assert.deepEqual(again, first);
    assert.equal((await auditTypes(alpha)).filter((type) => type === 'revocation_received').length, 1);
  });
});

test('[TRUST-22] statements that come in another order: what is missing is fetched', async () => {
  await three(async ({ alpha, bravo, carol }) => {
    await bravo.stop();
    await revoke(alpha, carol);
    const rows = await alpha.node().store.read.trustRevocations();
    const lower = { peer: bravo.domain, action: 'suspend', reason: 'for a while' } as const;
    mustBe(await alpha.node().trust.order(lower, OFFICER));
    const second = (await alpha.node().store.read.trustRevocations()).find((row) => row.sequence > rows.length);
    await alpha.stop(); // so that the order below is ours
    await bravo.start();
    refused(await tell(bravo, alpha, second?.document ?? assert.fail('statement')), 'revocation_gap');
    await alpha.start();
    await until(
      'bravo has both',
      () => bravo.node().trust.parts.board.chain(alpha.domain).sequence === rows.length + 1,
    );
    await until('it counts', () => bravo.node().trust.level(alpha.domain) === 'untrusted');
  });
});

test('[TRUST-23] [TRUST-66] an issuer of two histories: both are kept, it is shown, and nothing passes, also after a restart', async () => {
  await three(async ({ alpha, bravo, carol }) => {
    const empty = emptyRevocations(bravo.domain);
    const mild = await signed(bravo, empty, carol);
    const other = await signed(bravo, empty, carol, { reason: 'another history' });
    mustBe(await tell(alpha, bravo, mild.bytes));
    refused(await tell(alpha, bravo, other.bytes), 'revocation_fork');
    const isStopped = () => {
      const { trust } = alpha.node();
      const question = {
        local: alpha.domain,
        remote: bravo.domain,
        direction: 'incoming',
        permission: 'message_relay',
      } as const;
      const decision = trust.decide(question);
      return decision.kind === 'deny' && decision.reason === 'forked' && trust.pins(bravo.domain) === undefined;
    };
    assert.ok(isStopped());
    const [kept] = await alpha.node().store.read.trustRecords('fork', bravo.domain);
    const text = new TextDecoder().decode(kept?.document);
    for (const { bytes } of [mild, other]) assert.ok(text.includes(Buffer.from(bytes).toString('base64url')));
    assert.deepEqual(
      alpha
        .node()
        .trust.parts.incidents.of(bravo.domain)
        .map(({ about }) => about),
      ['fork'],
    );
    await alpha.restart();
    assert.ok(isStopped());
    assert.deepEqual(
      alpha
        .node()
        .trust.parts.incidents.of(bravo.domain)
        .map(({ about }) => about),
      ['fork'],
    );
  });
});

test('[TRUST-66] a fork that only a status shows is one', async () => {
  await three(async ({ alpha, bravo, carol }) => {
    const empty = emptyRevocations(bravo.domain);
    const one = await signed(bravo, empty, carol);
    const other = await signed(bravo, empty, carol, { reason: 'another history' });
    mustBe(await tell(alpha, bravo, one.bytes));
    const lie = await status(bravo, alpha, other.chain, 1);
    refused(await tell(alpha, bravo, lie, MESSAGE_TYPES.trust_status), 'revocation_fork');
    assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted');
  });
});

test('[TRUST-28] [TRUST-67] a partner that holds statements back goes stale, is reported, and is back when it shows them', async () => {
  await three(async ({ alpha, bravo, carol, pass }) => {
    const hidden = await signed(bravo, emptyRevocations(bravo.domain), carol);
    await carol.stop();
    pass(5 * MINUTE);
    mustBe(await tell(alpha, bravo, await status(bravo, alpha, hidden.chain, 1), MESSAGE_TYPES.trust_status));
    assert.equal(alpha.node().trust.level(bravo.domain), 'basic');
    pass(2 * MINUTE);
    mustBe(await tell(alpha, bravo, await status(bravo, alpha, hidden.chain, 1), MESSAGE_TYPES.trust_status));
    pass(4 * MINUTE);
    assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted');
    await until('it is reported', () =>
      alpha
        .node()
        .trust.parts.incidents.of(bravo.domain)
        .some(({ about }) => about === 'suppressed'),
    );
    assert.equal(trustState(alpha.node(), bravo.domain), 'in_force', 'nothing was revoked');
    mustBe(await tell(alpha, bravo, hidden.bytes));
    mustBe(await tell(alpha, bravo, await status(bravo, alpha, hidden.chain, 1), MESSAGE_TYPES.trust_status));
    assert.equal(alpha.node().trust.level(bravo.domain), 'basic');
  });
});

test('[TRUST-26] a recorded status keeps nothing alive: it is of another time, or not newer than the last', async () => {
  await three(async ({ alpha, bravo, pass }) => {
    const { board } = alpha.node().trust.parts;
    const recorded = () => status(bravo, alpha, emptyRevocations(bravo.domain), 0);
    pass(MINUTE);
    const first = await recorded();
    assert.ok((await tell(alpha, bravo, first, MESSAGE_TYPES.trust_status)).ok);
    const heard = board.heardAt(bravo.domain);
    pass(2 * MINUTE);
    assert.ok((await tell(alpha, bravo, first, MESSAGE_TYPES.trust_status)).ok);
    assert.equal(board.heardAt(bravo.domain), heard, 'the same one again confirms nothing');
    pass(4 * MINUTE);
    refused(await tell(alpha, bravo, first, MESSAGE_TYPES.trust_status), 'clock_skew');
    pass(5 * MINUTE);
    assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted');
    assert.ok((await tell(alpha, bravo, await recorded(), MESSAGE_TYPES.trust_status)).ok);
    assert.equal(alpha.node().trust.level(bravo.domain), 'basic');
  });
});

/** What carol claims to have said before: nobody could sign so much in a test. */
function longer(chain: RevocationChain, statements: readonly RevocationBody[]): RevocationChain {
  const hashes = statements.map(() => new Uint8Array(32));
  return { ...chain, statements, hashes, sequence: statements.length };
}

test('[TRUST-59] a partner’s chain is bounded, and how long it is holds up nobody else', async () => {
  await three(async ({ alpha, bravo, carol, pass }) => {
    const { trust } = alpha.node();
    const { board, incidents } = trust.parts;
    const first = await signed(carol, emptyRevocations(carol.domain), bravo, { action: 'suspend' });
    mustBe(await tell(alpha, carol, first.bytes));
    const held = board.chain(carol.domain);
    const [body] = held.statements;
    assert.ok(body !== undefined);
    const ahead = { ...body, effective_at: trust.now + HOUR };
    const more = { certificate_id: mustBe(parseCertificateId('cd'.repeat(16))) };
    for (const [count, changes] of [
      [20_000, more],
      [256, { ...more, effective_at: trust.now + HOUR }],
    ] as const) {
      board.adopt(longer(held, new Array<RevocationBody>(count).fill(ahead)));
      refused(await tell(alpha, carol, (await signed(carol, board.chain(carol.domain), bravo, changes)).bytes), 'rate');
    }
    assert.deepEqual(
      incidents.of(carol.domain).map(({ about }) => about),
      ['too_many', 'too_many'],
    );
    board.adopt(longer(held, new Array<RevocationBody>(200_000).fill(ahead)));
    pass(MINUTE);
    const sequence = await revoke(alpha, bravo);
    await until('in force', async () => (await progressOf(alpha, sequence)).enforcedAt !== undefined);
  });
});

test('[TRUST-59] of a former partner only its last statements are taken', async () => {
  await three(async ({ alpha, bravo, carol }) => {
    await revoke(alpha, carol);
    let chain = emptyRevocations(carol.domain);
    let taken = 0;
    for (let number = 0; number < 66; number += 1) {
      const one = await signed(carol, chain, bravo, { action: 'suspend', reason: `number ${number}` });
      chain = one.chain;
      if ((await tell(alpha, carol, one.bytes)).ok) taken += 1;
    }
    assert.ok(taken <= 64, `${taken}`);
    assert.equal(alpha.node().trust.parts.board.chain(carol.domain).sequence, taken);
  });
});

test('[TRUST-29] an end whose freeze fails is tried again at the next look, and is not acknowledged before', async () => {
  await using world = await TestServers.start('alpha.example', 'bravo.example');
  const [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  const conversation = await ann.create([bob.user]);
  await bob.conversation(conversation.id).inEpoch(1);
  const statement = await signed(bravo, emptyRevocations(bravo.domain), alpha);
  const isFrozen = async () => (await alpha.node().store.read.conversation(conversation.id))?.frozen;
  alpha.disk.fail('io', (writes) => writes.some(({ op }) => op === 'conversation.freeze'));
  for (let tries = 0; tries < 2; tries += 1) await assert.rejects(tell(alpha, bravo, statement.bytes));
  alpha.disk.repair();
  assert.equal(await isFrozen(), false);
  alpha.node().trust.tick();
  await until('frozen without another statement or a restart', isFrozen);
  assert.equal(mustBe(await tell(alpha, bravo, statement.bytes))?.type, MESSAGE_TYPES.trust_revoke_ack);
});

test('[TRUST-27] an organisation that was put out learns nothing that is said about others later', async () => {
  await three(async ({ alpha, bravo, carol }) => {
    const first = await revoke(alpha, bravo);
    const known = () => bravo.node().trust.parts.board.chain(alpha.domain).sequence;
    await until('bravo knows of its own end', () => known() === first);
    await revoke(alpha, carol);
    const asked = await status(bravo, alpha, emptyRevocations(bravo.domain), 0);
    const answer = mustBe(await tell(alpha, bravo, asked, MESSAGE_TYPES.trust_status));
    const shown = mustBe(parseDocument(TRUST_STATUS, answer?.document ?? assert.fail('status')));
    assert.equal(shown.body.sequence, first);
    assert.deepEqual(shown.body.head, bravo.node().trust.parts.board.chain(alpha.domain).head);
    await until(
      'carol knows of its end',
      () => carol.node().trust.parts.board.chain(alpha.domain).sequence === first + 1,
    );
    for (const server of [alpha, bravo]) await server.node().trust.poll();
    assert.equal(known(), first);
  });
});

test('[TRUST-21] a statement that a key signed before its end, and that comes after it, is refused: it may be stolen', async () => {
  await three(async ({ alpha, bravo, pass }) => {
    const old = await signed(bravo, emptyRevocations(bravo.domain), alpha);
    pass(366 * 24 * HOUR); // the certificate of the key has ended
    refused(await tell(alpha, bravo, old.bytes), 'certificate_expired');
    assert.equal(alpha.node().trust.parts.board.chain(bravo.domain).sequence, 0);
  });
});
