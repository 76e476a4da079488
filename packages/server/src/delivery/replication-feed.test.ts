import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId, Domain } from '@norc/protocol/base';
import { ReplicationFeed } from './replication-feed.ts';

const PEER = 'bravo.example' as Domain; // well formed
const CONVERSATION = '00'.repeat(16) as ConversationId; // well formed

function scene(): ReplicationFeed {
  let run = 0;
  return new ReplicationFeed(PEER, () => {
    run += 1;
    return run;
  });
}

test('a held conversation keeps its place, and goes on from what was confirmed when it is released', () => {
  const feed = scene();
  const place = feed.begin(CONVERSATION, 4);
  feed.appended(CONVERSATION);
  feed.sent(CONVERSATION, 9, false);
  const run = feed.hold(CONVERSATION, place);
  feed.appended(CONVERSATION);
  assert.equal(feed.next(), undefined);
  assert.equal(feed.place(CONVERSATION)?.sent, 4);
  assert.equal(feed.release(CONVERSATION, run - 1), false);
  assert.equal(feed.release(CONVERSATION, run), true);
  assert.equal(feed.next(), CONVERSATION);
});

test('a rewind starts another run, so that answers to relays of the one before are known as such', () => {
  const feed = scene();
  const place = feed.begin(CONVERSATION, 0);
  const before = place.run;
  feed.sent(CONVERSATION, 9, false);
  assert.equal(feed.acked(place, 3), true);
  feed.rewind(CONVERSATION, place);
  assert.notEqual(place.run, before);
  assert.equal(place.sent, 3);
  assert.equal(feed.next(), CONVERSATION);
});

test('nothing of a conversation goes before its announcement is answered', () => {
  const feed = scene();
  feed.joined(CONVERSATION);
  feed.appended(CONVERSATION);
  assert.equal(feed.next(), undefined);
  feed.announced(CONVERSATION);
  assert.equal(feed.next(), CONVERSATION);
});
