import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type Domain, type ErrorName, instant, type MessageId, utf8 } from '@norc/protocol/base';
import type { TrustDecision } from '@norc/protocol/norc-t';
import {
  ALLOWED,
  groupMembers,
  type MemberDevice,
  memberDevice,
  mustBe,
  type PretendMessage,
  pathsTo,
  pretendFacts,
  pretendHeader,
  pretendMessage,
  runningConversation,
  testId,
} from '@norc/testkit';
import {
  type AnnounceFacts,
  type Announcement,
  acceptAnnouncement,
  acceptEntries,
  type ConversationState,
  checkRoute,
  type EntryContent,
  type EntryFacts,
  type FollowedItem,
  freeze,
  type GroupFacts,
  genesisHead,
  groupEvidence,
  HUB_DEVICE,
  headOf,
  hubUser,
  linkEntry,
  proposalEvidence,
} from './index.ts';

const phone = memberDevice('anna@alpha.example', 'phone');
const ben = memberDevice('ben@bravo.example', 'laptop');
const carl = memberDevice('carl@charlie.example', 'phone');
const follower: ConversationState = { ...runningConversation([phone, ben]), self: ben.domain };
const fromHub = mustBe(checkRoute([phone.domain], phone.domain, ben.domain));

interface Case {
  readonly state?: ConversationState;
  readonly sender?: MemberDevice;
  readonly message?: Partial<PretendMessage>;
  readonly entry?: Partial<EntryContent>;
  readonly facts?: Partial<EntryFacts>;
}

function relayed({ state = follower, sender = phone, message = {}, entry = {}, facts = {} }: Case = {}): FollowedItem {
  const messageId = testId<MessageId>('message');
  const inside: PretendMessage = {
    ...{ conversation: state.conversation, epoch: state.epoch, kind: 'application', messageId, label: state.label },
    ...{ sender: sender.deviceId, ...message },
  };
  const body = pretendMessage(inside);
  const { kind, epoch, label } = inside;
  const content = { kind, epoch, label, messageId, body, welcome: new Uint8Array(0), storedAt: instant(1) };
  const signed = { sender: sender.deviceId, senderUser: sender.user };
  return {
    entry: linkEntry(crypto, headOf(state), { ...content, ...signed, ...entry }),
    facts: { ...pretendFacts(body, pathsTo([phone.domain, carl.domain])), ...facts },
  };
}

const accept = (item: FollowedItem, state = follower) => acceptEntries(state, fromHub, [item]);

function refused(item: FollowedItem, code: ErrorName, state = follower): void {
  const followed = accept(item, state);
  assert.equal(followed.failure?.code, code);
  assert.equal(followed.state, state, 'nothing changed');
}

const denied: TrustDecision = { kind: 'deny', reason: 'expired', code: 'trust_expired' };

test('[F-32] an honest entry is accepted, also a late one of the epoch before', () => {
  assert.equal(accept(relayed()).state.headSeq, 13);
  assert.equal(accept(relayed({ message: { epoch: 4 } })).failure, undefined);
});

test('[F-32] the follower holds the hub to the rules that the hub holds senders to', () => {
  refused(relayed({ sender: carl }), 'forbidden');
  refused(relayed({ entry: { senderUser: ben.user } }), 'forbidden');
  refused(relayed({ message: { label: 'secret' } }), 'label_not_allowed');
  refused(relayed({ entry: { label: 'secret' } }), 'label_not_allowed');
  refused(relayed({ entry: { messageId: testId('another') } }), 'malformed');
  refused(relayed({ entry: { epoch: 4 } }), 'malformed');
  refused(relayed({ message: { epoch: 3 } }), 'epoch_stale');
  refused(relayed({ message: { kind: 'commit', epoch: 4 } }), 'epoch_conflict');
  refused(relayed({ message: { kind: 'commit', sender: ben.deviceId } }), 'commit_invalid');
  const worn = { ...follower, epochSeq: 0, headSeq: 500 };
  refused(relayed({ state: worn }), 'rekey_required', worn);
});

test('[F-33] only the hub’s own relay counts', () => {
  const other = mustBe(checkRoute([carl.domain], carl.domain, ben.domain));
  assert.equal(acceptEntries(follower, other, [relayed()]).failure?.code, 'forbidden');
  const forwarded = mustBe(checkRoute([phone.domain, carl.domain], carl.domain, ben.domain));
  assert.equal(acceptEntries(follower, forwarded, [relayed()]).failure, undefined, 'the origin is what counts');
});

test('[F-15] the follower asks its own trust, about the hub and about who joins', () => {
  refused(relayed({ facts: { paths: pathsTo([phone.domain], denied) } }), 'trust_expired');
  const stale: TrustDecision = { kind: 'deny', reason: 'stale', code: 'trust_stale' };
  refused(relayed({ facts: { paths: pathsTo([phone.domain], stale) } }), 'trust_stale');
  const added = { kind: 'commit', added: groupMembers([carl], 7) } as const;
  const paths = new Map<Domain, TrustDecision>([
    [phone.domain, ALLOWED],
    [carl.domain, denied],
  ]);
  const closed = accept(relayed({ message: added, facts: { paths } })).state;
  assert.deepEqual([closed.organisations.size, closed.frozen], [3, true], 'taken, and nothing is said in its presence');
  const out = {
    kind: 'commit',
    epoch: closed.epoch,
    removed: [carl.deviceId],
  } as const;
  const open = accept(relayed({ state: closed, message: out, facts: { paths } }), closed).state;
  assert.deepEqual([open.organisations.size, open.frozen], [2, false], 'and goes on when it is put out');
  assert.deepEqual([accept(relayed({ message: added })).state.frozen], [false]);
});

test('what was accepted before a bad entry stays', () => {
  const good = relayed();
  const after = accept(good).state;
  const bad = relayed({ state: after, sender: carl });
  const followed = acceptEntries(follower, fromHub, [good, bad]);
  assert.deepEqual([followed.accepted.length, followed.state.headSeq, followed.failure?.code], [1, 13, 'forbidden']);
});

test('[F-18] a device of ours that is added without its Welcome is the hub’s fault', () => {
  const tablet = memberDevice('ben@bravo.example', 'tablet');
  const message = { kind: 'commit', added: groupMembers([tablet], 7) } as const;
  refused(relayed({ message }), 'commit_invalid');
  assert.equal(accept(relayed({ message, entry: { welcome: utf8('welcome') } })).failure, undefined);
});

test('[F-34] freezing is the hub’s to order: what it ordered is taken, and a removal thaws', () => {
  const frozen = freeze({ ...runningConversation([phone, ben, carl]), self: ben.domain });
  const paths = new Map<Domain, TrustDecision>([
    [phone.domain, ALLOWED],
    [carl.domain, denied],
  ]);
  assert.ok(accept(relayed({ state: frozen, facts: { paths } }), frozen).state.frozen);
  const message = { kind: 'commit', removed: [carl.deviceId] } as const;
  const thawed = accept(relayed({ state: frozen, message, facts: { paths } }), frozen);
  assert.deepEqual([thawed.failure, thawed.state.frozen], [undefined, false]);
  assert.deepEqual(thawed.accepted[0]?.change?.leftOrganisations, [carl.domain]);
});

test("[F-36] the hub's proposal freezes our copy too, and the commit that carries it out thaws it", () => {
  const state = { ...runningConversation([phone, ben, carl]), self: ben.domain };
  const hub: MemberDevice = { deviceId: HUB_DEVICE, user: hubUser(state.hub), domain: state.hub };
  const message = { kind: 'proposal', removed: [carl.deviceId] } as const;
  const facts = { proposal: proposalEvidence('hub') };
  const proposed = accept(relayed({ state, sender: hub, message, facts }), state);
  assert.deepEqual([proposed.failure, proposed.state.frozen], [undefined, true]);
  const commit = { kind: 'commit', removed: [carl.deviceId] } as const;
  const done = accept(relayed({ state: proposed.state, message: commit }), proposed.state);
  assert.deepEqual([done.failure, done.state.frozen], [undefined, false]);
});

test('entries that were linked onto another head are our own bug', () => {
  const after = accept(relayed()).state;
  assert.throws(() => accept(relayed(), after), RangeError);
});

interface AnnounceCase {
  readonly announced?: Partial<Announcement>;
  readonly message?: Partial<PretendMessage>;
  readonly entry?: Partial<EntryContent>;
  readonly group?: Partial<GroupFacts>;
  readonly facts?: Partial<AnnounceFacts>;
}

function announce({ announced = {}, message = {}, entry = {}, group = {}, facts = {} }: AnnounceCase = {}) {
  const hub = runningConversation([phone]);
  const messageId = testId<MessageId>('adds ben');
  const body = pretendMessage({
    ...{ conversation: hub.conversation, epoch: 5, kind: 'commit', messageId, label: 'unclassified' },
    ...{ sender: phone.deviceId, ...message },
  });
  const linked = linkEntry(crypto, headOf(hub), {
    ...{ kind: 'commit', epoch: 5, label: 'unclassified', messageId, body, welcome: utf8('welcome') },
    ...{ sender: phone.deviceId, senderUser: phone.user, storedAt: instant(1), ...entry },
  });
  const settings = { hub: phone.domain, floor: 'basic' } as const;
  return acceptAnnouncement(
    crypto,
    {
      ...{ conversation: hub.conversation, label: 'unclassified' },
      ...{ previousHash: hub.headHash, entry: linked, ...announced },
    },
    {
      ...{ self: ben.domain, route: fromHub, header: pretendHeader(body), paths: pathsTo([phone.domain]) },
      group: groupEvidence({ epoch: 6, members: groupMembers([phone, ben]), ...settings, ...group }),
      ...facts,
    },
  );
}

function refusedAnnounce(change: AnnounceCase, code: ErrorName): void {
  const joined = announce(change);
  assert.ok(!joined.ok);
  assert.equal(joined.error.code, code);
}

test('[F-35] a follower joins with the entry that adds its first device, and goes on from there', () => {
  const joined = announce();
  assert.ok(joined.ok);
  const { state } = joined.value;
  assert.deepEqual([state.self, state.hub, state.headSeq, state.epoch], [ben.domain, phone.domain, 13, 6]);
  const next = relayed({ state });
  assert.equal(acceptEntries(state, fromHub, [next]).state.headSeq, 14);
});

test('[F-35] an announcement is held to the group, to trust and to its own hash', () => {
  refusedAnnounce({ announced: { previousHash: new Uint8Array(32) } }, 'log_fork');
  refusedAnnounce({ group: { hub: carl.domain } }, 'commit_invalid');
  refusedAnnounce({ group: { floor: 'verified' } }, 'below_floor');
  refusedAnnounce({ group: { epoch: 7 } }, 'commit_invalid');
  refusedAnnounce({ group: { members: groupMembers([phone]) } }, 'commit_invalid');
  refusedAnnounce({ group: { members: groupMembers([ben]) } }, 'forbidden');
  refusedAnnounce({ entry: { welcome: new Uint8Array(0) } }, 'commit_invalid');
  refusedAnnounce({ entry: { kind: 'application' } }, 'commit_invalid');
  refusedAnnounce({ message: { kind: 'application' } }, 'commit_invalid');
  refusedAnnounce({ message: { conversation: testId('another') } }, 'malformed');
  refusedAnnounce({ message: { messageId: testId('another') } }, 'malformed');
  refusedAnnounce({ announced: { label: 'secret' } }, 'label_not_allowed');
  refusedAnnounce({ facts: { paths: pathsTo([phone.domain], denied) } }, 'trust_expired');
});

test('[F-2] a log that is announced from its first entry must start at its genesis', () => {
  const genesis = genesisHead(crypto, follower.conversation, phone.domain);
  const messageId = testId<MessageId>('first');
  const body = pretendMessage({
    ...{ conversation: follower.conversation, epoch: 0, kind: 'commit', messageId, label: 'unclassified' },
    sender: phone.deviceId,
  });
  const first = (head: typeof genesis) => {
    const entry = linkEntry(crypto, head, {
      ...{ kind: 'commit', epoch: 0, label: 'unclassified', messageId, body, welcome: utf8('welcome') },
      ...{ sender: phone.deviceId, senderUser: phone.user, storedAt: instant(1) },
    });
    return announce({
      announced: { previousHash: head.hash, entry },
      group: { epoch: 1 },
      facts: { header: pretendHeader(body) },
    });
  };
  assert.ok(first(genesis).ok);
  const forged = first({ ...genesis, hash: new Uint8Array(32) });
  assert.ok(!forged.ok && forged.error.code === 'log_fork');
});
