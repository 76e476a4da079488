import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { instant, type MessageId, utf8 } from '@norc/protocol/base';
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
import fc from 'fast-check';
import { type BatchItem, type ConversationState, decideAppend, decideBatch, decideBundle } from './index.ts';

const phone = memberDevice('anna@alpha.example', 'phone');
const ben = memberDevice('ben@bravo.example', 'laptop');
const stranger = memberDevice('eve@bravo.example', 'x');
const carl = memberDevice('carl@charlie.example', 'phone');
const base = runningConversation([phone, ben]);
const domains = [ben.domain, carl.domain];

function item(device: MemberDevice, name: string, changes: Partial<PretendMessage> = {}, level = ALLOWED): BatchItem {
  const inside: PretendMessage = {
    ...{ conversation: base.conversation, epoch: base.epoch, kind: 'application', label: base.label },
    ...{ messageId: testId<MessageId>(name), sender: device.deviceId, ...changes },
  };
  const body = pretendMessage(inside);
  const { conversation, kind, messageId } = inside;
  const added = (inside.added?.length ?? 0) > 0 ? { welcome: utf8('welcome'), groupInfo: utf8('group info') } : {};
  return {
    submission: {
      ...{ conversation, kind, messageId, body, ...added },
      ...{ sender: device.deviceId, senderUser: device.user, origin: device.domain },
    },
    facts: { now: instant(7), ...pretendFacts(body, pathsTo(domains, level)) },
  };
}

const outcomes = (batch: ReturnType<typeof decideBatch>) =>
  batch.decisions.map((decision) => (decision.ok ? decision.value.outcome : decision.error.code));

test('refused items change nothing, a repeat within the batch is a duplicate', () => {
  const batch = decideBatch(crypto, base, [item(phone, 'a'), item(stranger, 'b'), item(ben, 'c'), item(phone, 'a')]);
  assert.deepEqual(outcomes(batch), ['ordered', 'forbidden', 'ordered', 'duplicate']);
  assert.deepEqual(
    batch.entries.map((entry) => entry.seq),
    [13, 14],
  );
  assert.equal(batch.state.headSeq, 14);
});

test('a commit that is ordered ends the batch; one that is refused does not', () => {
  const stale = item(ben, 'late', { kind: 'commit', epoch: 4 });
  const commit = item(phone, 'commit', { kind: 'commit', added: groupMembers([carl], 5) });
  const batch = decideBatch(crypto, base, [stale, commit, item(ben, 'after')]);
  assert.deepEqual(outcomes(batch), ['epoch_conflict', 'ordered']);
  assert.deepEqual(batch.change?.joinedOrganisations, [carl.domain]);
});

test('a batch is its items one by one', () => {
  const anyItem = fc.record({
    device: fc.constantFrom(phone, ben, stranger),
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    epoch: fc.constantFrom(3, 4, 5, 5, 5, 6),
  });
  fc.assert(
    fc.property(fc.array(anyItem, { maxLength: 8 }), fc.boolean(), (list, previousEpochOpen) => {
      const items = list.map(({ device, name, epoch }) => item(device, name, { epoch }));
      const before: ConversationState = { ...base, previousEpochOpen };
      const batch = decideBatch(crypto, before, items);
      let state = before;
      const placed = new Map<MessageId, BatchItem['facts']['ordered']>();
      for (const [i, { submission, facts }] of items.entries()) {
        const ordered = placed.get(submission.messageId);
        const one = decideAppend(crypto, state, submission, ordered === undefined ? facts : { ...facts, ordered });
        assert.deepEqual(batch.decisions[i], one);
        if (!one.ok || one.value.outcome !== 'ordered') continue;
        state = one.value.state;
        placed.set(submission.messageId, one.value.entry);
      }
      assert.deepEqual(batch.state, state);
    }),
  );
});

const classified = { ...ALLOWED, level: 'classified' as const };
const secret: ConversationState = { ...base, floor: 'classified', headSeq: base.epochSeq + 1 };

test('[F-20] a bundle is a commit and the message under it, ordered together', () => {
  const commit = item(phone, 'commit', { kind: 'commit' }, classified);
  const message = item(phone, 'message', { epoch: 6 }, classified);
  const bundle = decideBundle(crypto, secret, commit, message);
  assert.ok(bundle.ok && !('outcome' in bundle.value));
  assert.deepEqual(
    bundle.value.entries.map(({ kind, epoch }) => [kind, epoch]),
    [
      ['commit', 5],
      ['application', 6],
    ],
  );
  const next = decideBundle(crypto, bundle.value.state, item(ben, 'x', { kind: 'commit' }, classified), message);
  assert.ok(!next.ok && next.error.code === 'epoch_conflict');
  const lone = item(ben, 'lone', { epoch: 6 }, classified);
  const worn = decideAppend(crypto, bundle.value.state, lone.submission, lone.facts);
  assert.ok(!worn.ok && worn.error.code === 'rekey_required');
});

test('[F-20] when its message is refused, so is its commit', () => {
  const commit = item(phone, 'commit', { kind: 'commit' }, classified);
  const bundle = decideBundle(crypto, secret, commit, item(phone, 'message', { epoch: 5 }, classified));
  assert.ok(!bundle.ok && bundle.error.code === 'epoch_stale');
});

test('[F-20] a bundle whose answer was lost is a duplicate', () => {
  const commit = item(phone, 'commit', { kind: 'commit' }, classified);
  const again = {
    ...commit,
    facts: { ...commit.facts, ordered: { seq: 13, sender: phone.deviceId, senderUser: phone.user } },
  };
  const bundle = decideBundle(crypto, secret, again, item(phone, 'message', { epoch: 6 }, classified));
  assert.deepEqual(bundle, { ok: true, value: { outcome: 'duplicate', seq: 13 } });
});
