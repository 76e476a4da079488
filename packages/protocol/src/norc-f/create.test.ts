import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type ConversationId, type ErrorName, instant, type MessageId, utf8 } from '@norc/protocol/base';
import type { TrustDecision } from '@norc/protocol/norc-t';
import {
  ALLOWED,
  groupMembers,
  memberDevice,
  type PretendMessage,
  pathsTo,
  pretendHeader,
  pretendMessage,
  testId,
} from '@norc/testkit';
import {
  type Creation,
  type CreationFacts,
  createConversation,
  type GroupFacts,
  genesisHead,
  groupEvidence,
  verifyEntry,
} from './index.ts';

const phone = memberDevice('anna@alpha.example', 'phone');
const ben = memberDevice('ben@bravo.example', 'laptop');
const conversation = testId<ConversationId>('new');

interface Case {
  readonly creation?: Partial<Creation>;
  readonly message?: Partial<PretendMessage>;
  readonly group?: Partial<GroupFacts>;
  readonly paths?: CreationFacts['paths'];
}

function create({ creation = {}, message = {}, group = {}, paths = pathsTo([phone.domain, ben.domain]) }: Case = {}) {
  const messageId = testId<MessageId>('first');
  const label = creation.label ?? 'unclassified';
  const commit = pretendMessage({
    ...{ conversation, epoch: 0, kind: 'commit', messageId, label, sender: phone.deviceId },
    ...message,
  });
  const identity = { sender: phone.deviceId, senderUser: phone.user };
  return createConversation(
    crypto,
    { conversation, label, messageId, commit, welcome: utf8('welcome'), ...identity, ...creation },
    {
      self: phone.domain,
      now: instant(7),
      header: pretendHeader(commit),
      group: groupEvidence({
        ...{ epoch: 1, hub: phone.domain, floor: 'basic', members: groupMembers([phone, ben]) },
        ...group,
      }),
      paths,
    },
  );
}

function refused(result: ReturnType<typeof create>, code: ErrorName): void {
  assert.ok(!result.ok);
  assert.equal(result.error.code, code);
}

test('the first entry extends the genesis hash and holds everybody', () => {
  const result = create();
  assert.ok(result.ok);
  const { state, entry, change } = result.value;
  assert.ok(verifyEntry(crypto, genesisHead(crypto, conversation, phone.domain), entry).ok);
  assert.deepEqual([state.headSeq, state.epoch, state.epochSeq, state.frozen], [1, 1, 1, false]);
  assert.deepEqual([...state.organisations], [phone.domain, ben.domain]);
  assert.equal(change.added.length, 2);
  assert.ok(change.added.every((member) => member.joinedSeq === 1));
});

test('only a member of this organisation creates here, under its own name', () => {
  refused(create({ creation: { sender: ben.deviceId, senderUser: ben.user } }), 'forbidden');
  refused(create({ creation: { senderUser: ben.user } }), 'forbidden');
  refused(create({ creation: { sender: testId('stranger') } }), 'forbidden');
});

test('the first commit is one of epoch 0 about this conversation and this hub', () => {
  refused(create({ message: { epoch: 1 } }), 'commit_invalid');
  refused(create({ message: { kind: 'application' } }), 'commit_invalid');
  refused(create({ group: { epoch: 2 } }), 'commit_invalid');
  refused(create({ group: { hub: ben.domain } }), 'commit_invalid');
  refused(create({ message: { conversation: testId('another') } }), 'malformed');
  refused(create({ message: { messageId: testId('another') } }), 'malformed');
  refused(create({ message: { label: 'official_use_only' } }), 'label_not_allowed');
  refused(create({ group: { members: groupMembers([phone, ben, ben]) } }), 'commit_invalid');
});

test('a Welcome comes exactly when somebody is added', () => {
  refused(create({ creation: { welcome: new Uint8Array(0) } }), 'commit_invalid');
  refused(create({ group: { members: groupMembers([phone]) } }), 'commit_invalid');
  const alone = create({ creation: { welcome: new Uint8Array(0) }, group: { members: groupMembers([phone]) } });
  assert.ok(alone.ok);
});

test('[F-19] the floor carries the label, and every path reaches the floor', () => {
  const at = (level: 'basic' | 'verified'): TrustDecision => ({ ...ALLOWED, level });
  const both = (own: TrustDecision, other: TrustDecision) =>
    new Map([
      [phone.domain, own],
      [ben.domain, other],
    ]);
  refused(create({ creation: { label: 'confidential' } }), 'label_not_allowed');
  const group = { floor: 'verified' as const };
  refused(create({ group, paths: both(at('verified'), at('basic')) }), 'below_floor');
  refused(create({ group, paths: both(at('basic'), at('verified')) }), 'below_floor');
  const verified = both(at('verified'), at('verified'));
  assert.ok(create({ creation: { label: 'confidential' }, group, paths: verified }).ok);
  const denied: TrustDecision = { kind: 'deny', reason: 'none_given', code: 'not_trusted' };
  refused(create({ paths: both(ALLOWED, denied) }), 'not_trusted');
});
