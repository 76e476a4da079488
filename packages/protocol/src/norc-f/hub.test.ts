import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type Domain, type ErrorName, instant, LEVELS, LIMITS, type MessageId, utf8 } from '@norc/protocol/base';
import type { TrustDecision } from '@norc/protocol/norc-t';
import {
  ALLOWED,
  groupMembers,
  type MemberDevice,
  memberDevice,
  type PretendMessage,
  pathsTo,
  pretendFacts,
  pretendMessage,
  runningConversation,
  testId,
} from '@norc/testkit';
import {
  type AppendDecision,
  type AppendFacts,
  type ConversationState,
  decideAppend,
  freeze,
  HUB_DEVICE,
  headOf,
  hubUser,
  proposalEvidence,
  type Submission,
  verifyEntry,
} from './index.ts';

const phone = memberDevice('anna@alpha.example', 'phone');
const laptop = memberDevice('anna@alpha.example', 'laptop');
const ben = memberDevice('ben@bravo.example', 'laptop');
const carl = memberDevice('carl@charlie.example', 'phone');
const now = instant(1_790_000_000_000);
const base = runningConversation([phone, laptop, ben]);

interface Case {
  readonly state?: ConversationState;
  readonly sender?: MemberDevice;
  readonly message?: Partial<PretendMessage>;
  readonly submission?: Partial<Submission>;
  readonly facts?: Partial<AppendFacts>;
}

function submit({ state = base, sender = phone, message = {}, submission = {}, facts = {} }: Case) {
  const inside: PretendMessage = {
    conversation: state.conversation,
    epoch: state.epoch,
    kind: 'application',
    messageId: testId<MessageId>('message'),
    label: state.label,
    sender: sender.deviceId,
    ...message,
  };
  const body = pretendMessage(inside);
  const { kind, messageId } = inside;
  const identity = { sender: sender.deviceId, senderUser: sender.user, origin: sender.domain };
  const domains = [...state.organisations, carl.domain];
  return decideAppend(
    crypto,
    state,
    { conversation: state.conversation, kind, messageId, body, ...identity, ...submission },
    { now, ...pretendFacts(body, pathsTo(domains)), ...facts },
  );
}

function ordered(result: ReturnType<typeof submit>): Extract<AppendDecision, { outcome: 'ordered' }> {
  assert.ok(result.ok, result.ok ? '' : `${result.error.code}: ${result.error.detail}`);
  assert.ok(result.value.outcome === 'ordered');
  return result.value;
}

function refused(result: ReturnType<typeof submit>, code: ErrorName): void {
  assert.ok(!result.ok);
  assert.equal(result.error.code, code);
}

const adding = (...devices: MemberDevice[]): Case => ({
  message: { kind: 'commit', added: groupMembers(devices, 9) },
  submission: { welcome: utf8('welcome'), groupInfo: utf8('group info') },
});
const removing = (...devices: MemberDevice[]): Case => ({
  message: { kind: 'commit', removed: devices.map((device) => device.deviceId) },
});

test('a member’s message is ordered after the head, and the next one after it', () => {
  const first = ordered(submit({}));
  assert.equal(first.entry.seq, 13);
  assert.ok(verifyEntry(crypto, headOf(base), first.entry).ok);
  assert.equal(first.entry.storedAt, now);
  assert.equal(first.state.members, base.members, 'an application message copies no members');
  const second = ordered(submit({ state: first.state, sender: ben, message: { messageId: testId('second') } }));
  assert.ok(verifyEntry(crypto, headOf(first.state), second.entry).ok);
});

test('[F-10] strangers, impostors and organisations that speak for others get one answer', () => {
  refused(submit({ sender: carl }), 'forbidden');
  refused(submit({ submission: { senderUser: ben.user } }), 'forbidden');
  refused(submit({ submission: { sender: ben.deviceId } }), 'forbidden');
  refused(submit({ submission: { origin: ben.domain } }), 'forbidden');
});

test('[F-11] what the MLS message says of itself must be what the submission says', () => {
  refused(submit({ message: { conversation: testId('another') }, submission: {} }), 'malformed');
  refused(submit({ submission: { messageId: testId('another') } }), 'malformed');
  refused(submit({ submission: { kind: 'proposal' } }), 'malformed');
  const header = pretendFacts(pretendMessage(messageOf()), pathsTo([])).header;
  refused(submit({ facts: { header: { ...header, wire: 'public' } } }), 'malformed');
});

const messageOf = (changes: Partial<PretendMessage> = {}): PretendMessage => ({
  conversation: base.conversation,
  epoch: base.epoch,
  kind: 'application',
  messageId: testId<MessageId>('message'),
  label: base.label,
  sender: phone.deviceId,
  ...changes,
});

test('[F-11] a label that differs from the conversation’s is refused, lower or higher', () => {
  const state = runningConversation([phone, ben], { label: 'official_use_only' });
  refused(submit({ state, message: { label: 'unclassified' } }), 'label_not_allowed');
  refused(submit({ state, message: { label: 'secret' } }), 'label_not_allowed');
  ordered(submit({ state }));
});

test('[F-12] late messages: the epoch before, only where the floor allows it and nobody was removed since', () => {
  const late = { message: { epoch: 4 } };
  refused(submit(late), 'epoch_stale');
  for (const floor of ['basic', 'verified', 'classified', 'nato'] as const) {
    const decision = { ...ALLOWED, level: floor };
    const state = { ...base, floor, previousEpochOpen: true, epochSeq: 12 };
    const facts = { paths: pathsTo([ben.domain], decision) };
    if (floor === 'basic' || floor === 'verified') ordered(submit({ ...late, state, facts }));
    else refused(submit({ ...late, state, facts }), 'epoch_stale');
    refused(submit({ message: { epoch: 3 }, state, facts }), 'epoch_stale');
  }
  refused(submit({ message: { epoch: 6 } }), 'malformed');
});

test('[F-12] after a removal nothing sealed before it is ordered any more', () => {
  const updated = ordered(submit({ message: { kind: 'commit' } })).state;
  ordered(submit({ state: updated, message: { epoch: 5 } }));
  const removed = ordered(submit(removing(laptop))).state;
  refused(submit({ state: removed, message: { epoch: 5 } }), 'epoch_stale');
});

test('[F-12] one commit per epoch: the second one conflicts', () => {
  const first = ordered(submit({ message: { kind: 'commit' } }));
  assert.equal(first.state.epoch, 6);
  assert.equal(first.change?.epoch, 6);
  refused(
    submit({ state: first.state, sender: ben, message: { kind: 'commit', epoch: 5 }, facts: {} }),
    'epoch_conflict',
  );
});

test('[F-13] an epoch that is used up takes only a commit', () => {
  for (const floor of ['basic', 'verified', 'classified', 'nato'] as const) {
    const facts = { paths: pathsTo([ben.domain], { ...ALLOWED, level: floor }) };
    const max = LEVELS[floor].epochMessagesMax;
    const last = { ...base, floor, headSeq: base.epochSeq + max - 1 };
    ordered(submit({ state: last, facts }));
    const worn = { ...base, floor, headSeq: base.epochSeq + max };
    refused(submit({ state: worn, facts }), 'rekey_required');
    const fresh = ordered(submit({ state: worn, message: { kind: 'commit' }, facts }));
    ordered(submit({ state: fresh.state, facts }));
  }
});

test('[F-14] a commit counts only with the group view’s word, and from its committer', () => {
  assert.throws(
    () =>
      submit({
        facts: {
          commit: pretendFacts(pretendMessage(messageOf({ kind: 'commit' })), pathsTo([])).commit,
        } as AppendFacts,
      }),
    RangeError,
  );
  refused(
    submit({ message: { kind: 'commit' }, facts: { commit: undefined } as unknown as AppendFacts }),
    'commit_invalid',
  );
  refused(
    submit({ message: { kind: 'proposal' }, facts: { proposal: undefined } as unknown as AppendFacts }),
    'commit_invalid',
  );
  const stolen = pretendFacts(pretendMessage(messageOf({ kind: 'commit', sender: ben.deviceId })), pathsTo([]));
  refused(submit({ message: { kind: 'commit' }, facts: { commit: stolen.commit } as AppendFacts }), 'commit_invalid');
});

test('[F-14] a device is added once, and only a member is removed', () => {
  refused(submit(adding(laptop)), 'commit_invalid');
  refused(submit(adding(carl, carl)), 'commit_invalid');
  refused(submit(removing(carl)), 'commit_invalid');
  refused(submit(removing(phone)), 'commit_invalid');
  const replaced = { ...adding(laptop).message, removed: [laptop.deviceId] };
  ordered(submit({ ...adding(laptop), message: replaced }));
});

test('[F-14] a removal that the hub proposed cannot be left out', () => {
  const proposedRemovals = [ben.deviceId];
  refused(submit({ message: { kind: 'commit', proposedRemovals } }), 'commit_invalid');
  ordered(submit({ message: { ...removing(ben).message, proposedRemovals } }));
});

test('[F-14] participants are bounded', () => {
  const many = Array.from({ length: LIMITS.participantsMax - 1 }, (_, i) => memberDevice(`u${i}@alpha.example`, 'x'));
  refused(submit(adding(...many)), 'limit_exceeded');
  ordered(submit(adding(...many.slice(1))));
});

test('the hub may propose under its own name, nobody else', () => {
  const hub: MemberDevice = { deviceId: HUB_DEVICE, user: hubUser(base.hub), domain: base.hub };
  const proposal = { kind: 'proposal', removed: [ben.deviceId] } as const;
  ordered(submit({ sender: hub, message: proposal, facts: { proposal: proposalEvidence('hub') } }));
  refused(
    submit({ sender: hub, message: proposal, facts: { proposal: proposalEvidence(ben.deviceId) } }),
    'commit_invalid',
  );
  refused(submit({ sender: hub }), 'forbidden');
  const other: MemberDevice = { deviceId: HUB_DEVICE, user: hubUser(ben.domain), domain: ben.domain };
  refused(submit({ sender: other, message: proposal, facts: { proposal: proposalEvidence('hub') } }), 'forbidden');
});

test('[F-17] the hub may propose a removal also where everything else is refused', () => {
  const hub: MemberDevice = { deviceId: HUB_DEVICE, user: hubUser(base.hub), domain: base.hub };
  const worn = { ...base, frozen: true, headSeq: base.epochSeq + LEVELS.basic.epochMessagesMax };
  const facts = { proposal: proposalEvidence('hub'), paths: pathsTo([ben.domain], denied) };
  ordered(submit({ state: worn, sender: hub, message: { kind: 'proposal', removed: [ben.deviceId] }, facts }));
  const member = { proposal: proposalEvidence(phone.deviceId), paths: pathsTo([ben.domain]) };
  refused(submit({ state: worn, message: { kind: 'proposal' }, facts: member }), 'conversation_frozen');
});

test('a removed member cannot send from then on', () => {
  const after = ordered(submit(removing(ben))).state;
  refused(submit({ state: after, sender: ben }), 'forbidden');
  assert.deepEqual([...after.organisations], [phone.domain]);
});

const denied = { kind: 'deny', reason: 'revoked', code: 'trust_revoked' } as const;

test('[F-15] without trust on a path nothing passes but a removal', () => {
  const facts = { paths: pathsTo([ben.domain], denied) };
  refused(submit({ facts }), 'trust_revoked');
  refused(submit({ sender: ben, facts }), 'trust_revoked');
  refused(submit({ message: { kind: 'commit' }, facts }), 'trust_revoked');
  const out = ordered(submit({ ...removing(ben), facts }));
  assert.deepEqual(out.change?.leftOrganisations, [ben.domain]);
  refused(submit({ sender: ben, ...removing(laptop), facts }), 'trust_revoked');
});

test('[F-15] stale trust holds up its own organisation, not the others', () => {
  const facts = { paths: pathsTo([ben.domain], { kind: 'deny', reason: 'stale', code: 'trust_stale' }) };
  ordered(submit({ facts }));
  refused(submit({ sender: ben, facts }), 'trust_stale');
});

test('[F-15] who joins must reach the floor, and a size is checked against the certificate', () => {
  const state = runningConversation([phone, ben], { floor: 'verified' });
  const verified = { ...ALLOWED, level: 'verified' as const };
  const paths = new Map<Domain, TrustDecision>([
    [ben.domain, verified],
    [carl.domain, ALLOWED],
  ]);
  refused(submit({ state, ...adding(carl), facts: { paths } }), 'below_floor');
  ordered(submit({ state, ...adding(carl), facts: { paths: pathsTo([ben.domain, carl.domain], verified) } }));
  assert.throws(() => submit({ facts: { paths: new Map() } }), RangeError);
  const limits = { message_bytes_max: 10 };
  const small = { ...ALLOWED, pair: { limits } } as unknown as TrustDecision; // the rest of the pair is not read
  refused(submit({ facts: { paths: pathsTo([ben.domain], small) } }), 'too_large');
});

test('[F-16] a repeated message id is answered with its place, but only to its sender', () => {
  const ordered13 = { seq: 13, sender: phone.deviceId, senderUser: phone.user };
  const repeated = submit({ facts: { ordered: ordered13 } });
  assert.deepEqual(repeated, { ok: true, value: { outcome: 'duplicate', seq: 13 } });
  const gone = ordered(submit(removing(laptop))).state;
  const own = { seq: 11, sender: laptop.deviceId, senderUser: laptop.user };
  assert.ok(submit({ state: gone, sender: laptop, facts: { ordered: own } }).ok, 'also after it was removed');
  refused(submit({ sender: ben, facts: { ordered: ordered13 } }), 'malformed');
  refused(submit({ submission: { origin: ben.domain }, facts: { ordered: ordered13 } }), 'forbidden');
});

test('[F-17] out of a frozen conversation leads only the removal of who is not trusted', () => {
  const state = freeze(runningConversation([phone, laptop, ben, carl]));
  const paths = new Map<Domain, TrustDecision>([
    [ben.domain, denied],
    [carl.domain, ALLOWED],
  ]);
  refused(submit({ state, facts: { paths } }), 'conversation_frozen');
  refused(submit({ state, message: { kind: 'commit' }, facts: { paths } }), 'conversation_frozen');
  const half = ordered(submit({ state, ...removing(carl), facts: { paths } })).state;
  assert.ok(half.frozen, 'the wrong one went');
  const whole = ordered(submit({ state, ...removing(ben), facts: { paths } })).state;
  assert.ok(!whole.frozen);
  ordered(submit({ state: whole }));
});

test('[F-17] [F-15] a commit that removes may add as well: those count who are there after it', () => {
  const erin = memberDevice('erin@alpha.example', 'phone');
  const state = freeze(runningConversation([phone, laptop, ben, carl]));
  const both = (gone: MemberDevice): Case => ({
    message: { kind: 'commit', removed: [gone.deviceId], added: groupMembers([erin], 9) },
    submission: { welcome: utf8('welcome') },
    facts: {
      paths: new Map<Domain, TrustDecision>([
        [ben.domain, denied],
        [carl.domain, ALLOWED],
      ]),
    },
  });
  refused(submit({ state, ...both(carl) }), 'trust_revoked');
  const after = ordered(submit({ state, ...both(ben) })).state;
  assert.deepEqual([after.frozen, after.members.has(erin.deviceId)], [false, true]);
});

test('[F-15] two who do not trust each other any more are not brought together, but by one of the two', () => {
  const endedPairs = [[ben.domain, carl.domain]] as const;
  refused(submit({ ...adding(carl), facts: { endedPairs } }), 'not_trusted');
  ordered(submit({ ...adding(carl), sender: ben, facts: { endedPairs } }));
  const instead: Case = { ...adding(carl), message: { ...adding(carl).message, removed: [ben.deviceId] } };
  ordered(submit({ ...instead, facts: { endedPairs } }));
  ordered(submit({ facts: { endedPairs } }));
});

test('[F-17] who has to go thaws nothing with a commit of its own, and brings nobody in', () => {
  const state = freeze(runningConversation([phone, ben, carl]));
  const expelling = new Set([carl.domain]);
  const own = submit({ ...removing(ben), state, sender: carl, facts: { expelling } });
  refused(own, 'conversation_frozen');
  const other = ordered(submit({ ...removing(ben), state, facts: { expelling } }));
  assert.equal(other.state.frozen, true, 'carl is still there, whatever our own paths say');
  const back = { ...adding(memberDevice('carl@charlie.example', 'laptop')), state, facts: { expelling } };
  const message = { ...back.message, ...removing(carl).message };
  refused(submit({ ...back, message }), 'conversation_frozen');
  const out = ordered(submit({ ...removing(carl), state, sender: ben, facts: { expelling } }));
  assert.equal(out.state.frozen, false);
});

test("[F-17] the hub's proposal freezes, and a commit that leaves somebody out of it is refused [F-14]", () => {
  const hub: MemberDevice = { deviceId: HUB_DEVICE, user: hubUser(base.hub), domain: base.hub };
  const proposal = { kind: 'proposal', removed: [ben.deviceId] } as const;
  const facts = { proposal: proposalEvidence('hub') };
  const { state } = ordered(submit({ sender: hub, message: proposal, facts }));
  assert.ok(state.frozen);
  refused(submit({ state, message: { messageId: testId('late') } }), 'conversation_frozen');
  const message = { kind: 'commit', removed: [laptop.deviceId], proposedRemovals: [ben.deviceId] } as const;
  refused(submit({ state, message }), 'commit_invalid');
});

test('[F-18] an addition brings a Welcome, a new organisation the group, nothing else either', () => {
  const erin = memberDevice('erin@bravo.example', 'phone');
  refused(submit({ ...adding(carl), submission: { groupInfo: utf8('g') } }), 'commit_invalid');
  refused(submit({ ...adding(carl), submission: { welcome: utf8('w') } }), 'missing_field');
  refused(submit({ submission: { welcome: utf8('w') } }), 'commit_invalid');
  const known = ordered(submit({ ...adding(erin), submission: { welcome: utf8('w') } }));
  assert.deepEqual(known.change?.joinedOrganisations, []);
  const joined = ordered(submit(adding(carl)));
  assert.deepEqual(joined.change?.joinedOrganisations, [carl.domain]);
  assert.equal(joined.state.members.get(carl.deviceId)?.joinedSeq, 13);
});

test('[F-18] sizes are bounded', () => {
  const large = new Uint8Array(LIMITS.mlsMessageBytesMax + 1);
  refused(submit({ submission: { body: large } }), 'limit_exceeded');
  refused(submit({ submission: { body: new Uint8Array(0) } }), 'malformed');
  refused(submit({ ...adding(carl), submission: { welcome: large } }), 'limit_exceeded');
  refused(submit({ ...adding(carl), submission: { groupInfo: large } }), 'limit_exceeded');
});

test('facts about another conversation are our own bug', () => {
  assert.throws(() => submit({ submission: { conversation: testId('another') } }), /another conversation/);
});
