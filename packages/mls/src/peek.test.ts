import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { concatBytes } from '@norc/protocol/base';
import fc from 'fast-check';
import { must, newcomer, TestMember, TestWorld } from '../../../tests/mls/fixtures.ts';
import { forgeCommit, forgeProposal, stateOf } from '../../../tests/mls/forge.ts';
import { parseAuthenticatedData } from './authenticated-data.ts';
import { decodeKeyPackage } from './messages.ts';
import { peekMessage } from './peek.ts';

function codeOf(bytes: Uint8Array): string {
  const peeked = peekMessage(bytes);
  return peeked.ok ? 'accepted' : peeked.error.code;
}

describe('peekMessage', () => {
  const world = new TestWorld('peek');
  const messages = new Map<string, Uint8Array>();
  let ann: TestMember;

  before(async () => {
    ann = await TestMember.create(world);
    const [bob] = (await ann.add(['bob@bravo.example'])).joined;
    assert.ok(bob);
    const cid = await newcomer(world, 'cid@bravo.example');
    const keyPackage = must(decodeKeyPackage(cid.own.keyPackage));
    messages.set('private message', await ann.say('hello'));
    messages.set('update commit', (await ann.draft()).commit);
    messages.set('commit that adds', (await ann.draft({ add: [cid.own.keyPackage] })).commit);
    messages.set('commit that removes', (await ann.draft({ remove: [1] })).commit);
    messages.set('remove proposal', must(await ann.group.proposeRemove(1)));
    messages.set('add proposal', await forgeProposal(ann, { proposalType: 'add', add: { keyPackage } }));
    messages.set('empty commit', await forgeCommit(ann, {}));
  });

  test('reads conversation, epoch, kind and sender', () => {
    for (const [name, bytes] of messages) {
      const peeked = must(peekMessage(bytes));
      assert.equal(peeked.conversation, ann.group.conversation, name);
      assert.equal(peeked.epoch, 1, name);
      const kind = name.includes('commit') ? 'commit' : name.includes('proposal') ? 'proposal' : 'application';
      assert.equal(peeked.contentType, kind, name);
      assert.equal(peeked.wire, kind === 'application' ? 'private' : 'public', name);
      if (peeked.wire === 'public') assert.equal(peeked.senderLeaf, 0, name);
    }
  });

  test('the label can be read, and only there', () => {
    const peeked = must(peekMessage(messages.get('private message') ?? new Uint8Array(0)));
    const data = must(parseAuthenticatedData(peeked.authenticatedData));
    assert.deepEqual([data.label, data.conversation], ['unclassified', ann.group.conversation]);
  });

  test('a byte after the end of any message is refused [MLS-7]', () => {
    for (const [name, bytes] of messages) {
      assert.equal(codeOf(concatBytes(bytes, Uint8Array.of(0))), 'trailing_bytes', name);
    }
  });

  test('every truncation of any message is refused', () => {
    for (const [name, bytes] of messages) {
      const step = Math.max(1, Math.floor(bytes.length / 400));
      for (let length = 0; length < bytes.length; length += step) {
        assert.notEqual(codeOf(bytes.subarray(0, length)), 'accepted', `${name} cut to ${length}`);
      }
    }
  });

  test('other kinds of MLS messages are not group messages', async () => {
    const { own } = await newcomer(world, 'dan@bravo.example');
    const pending = await ann.draft({ add: [own.keyPackage] });
    for (const bytes of [own.keyPackage, pending.welcome, pending.groupInfo]) {
      assert.equal(codeOf(bytes ?? new Uint8Array(0)), 'malformed');
    }
    assert.equal(stateOf(ann).ownLeafIndex, 0);
  });

  test('arbitrary bytes, and changed messages, never make it throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void peekMessage(bytes)));
    const samples = [...messages.values()];
    const change = fc.tuple(fc.nat(samples.length - 1), fc.nat(4000), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(change, ([which, at, bits]) => {
        const bytes = (samples[which] ?? new Uint8Array(1)).slice();
        const place = at % bytes.length;
        bytes[place] = (bytes[place] ?? 0) ^ bits;
        peekMessage(bytes);
      }),
    );
  });
});

test('suite 0xF101 stands in bytes 6 and 7 of a published KeyPackage [MLS-1]', async () => {
  const { own } = await newcomer(new TestWorld(), 'bob@bravo.example');
  // version 0001, wire format 0005, then the KeyPackage: version 0001, suite f101
  assert.deepEqual([...own.keyPackage.subarray(0, 8)], [0, 1, 0, 5, 0, 1, 0xf1, 0x01]);
});
