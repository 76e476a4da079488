import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type ConversationId, concatBytes, type Domain, instant, parseDomain, utf8 } from '@norc/protocol/base';
import { encodeCbor } from '@norc/protocol/wire';
import { memberDevice, testId } from '@norc/testkit';
import fc from 'fast-check';
import {
  type EntryContent,
  entryFromWire,
  entryToWire,
  genesisHash,
  genesisHead,
  headAfter,
  type LogEntry,
  linkEntry,
  verifyEntry,
} from './index.ts';

const conversation = testId<ConversationId>('conversation');
const domainNamed = (text: string): Domain => {
  const parsed = parseDomain(text);
  assert.ok(parsed.ok);
  return parsed.value;
};
const hub = domainNamed('alpha.example');
const anna = memberDevice('anna@alpha.example', 'phone');

const content = (changes: Partial<EntryContent> = {}): EntryContent => ({
  kind: 'application',
  messageId: testId('message'),
  sender: anna.deviceId,
  senderUser: anna.user,
  epoch: 3,
  label: 'unclassified',
  body: utf8('sealed'),
  welcome: new Uint8Array(0),
  storedAt: instant(1_790_000_000_000),
  ...changes,
});

test('[F-1] the hash of an entry is what the specification writes out', () => {
  const head = genesisHead(crypto, conversation, hub);
  const entry = linkEntry(crypto, head, content());
  const header = encodeCbor(
    new Map<string, string | number | Uint8Array>([
      ['conversation', Uint8Array.from(Buffer.from(conversation, 'hex'))],
      ['seq', 1],
      ['kind', 'application'],
      ['message_id', Uint8Array.from(Buffer.from(testId('message'), 'hex'))],
      ['sender', Uint8Array.from(Buffer.from(anna.deviceId, 'hex'))],
      ['sender_user', 'anna@alpha.example'],
      ['epoch', 3],
      ['label', 'unclassified'],
      ['body_hash', crypto.blake3(utf8('sealed'))],
      ['welcome_hash', crypto.blake3(new Uint8Array(0))],
      ['stored_at', 1_790_000_000_000],
    ]),
  );
  assert.deepEqual(entry.hash, crypto.blake3(concatBytes(utf8('norc-log-v1'), head.hash, header)));
});

test('[F-2] the genesis hash binds the conversation and its hub', () => {
  const hash = genesisHash(crypto, conversation, hub);
  assert.notDeepEqual(hash, genesisHash(crypto, testId('another'), hub));
  assert.notDeepEqual(hash, genesisHash(crypto, conversation, domainNamed('bravo.example')));
});

test('a linked entry verifies after its head, also over the wire, with and without its Welcome', () => {
  const head = genesisHead(crypto, conversation, hub);
  const entry = linkEntry(crypto, head, content({ kind: 'commit', welcome: utf8('welcome') }));
  for (const withWelcome of [true, false]) {
    const received = entryFromWire(entryToWire(entry, withWelcome));
    assert.equal(received.welcome.length > 0, withWelcome);
    assert.ok(verifyEntry(crypto, head, received).ok);
  }
});

const flip = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ 1;
  return copy;
};

test('[F-3] any change of an entry, or of what it follows, is noticed', () => {
  const head = headAfter(
    genesisHead(crypto, conversation, hub),
    linkEntry(crypto, genesisHead(crypto, conversation, hub), content()),
  );
  const entry = linkEntry(crypto, head, content({ kind: 'commit', welcome: utf8('welcome') }));
  const changes: ((at: number) => Partial<LogEntry>)[] = [
    () => ({ kind: 'application' }),
    () => ({ messageId: testId('another') }),
    () => ({ sender: testId('another') }),
    () => ({ senderUser: memberDevice('eve@alpha.example', 'x').user }),
    () => ({ epoch: 4 }),
    () => ({ label: 'official_use_only' }),
    () => ({ storedAt: instant(1) }),
    (at) => ({ body: flip(entry.body, at) }),
    (at) => ({ welcomeHash: flip(entry.welcomeHash, at) }),
    (at) => ({ hash: flip(entry.hash, at) }),
  ];
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom(...changes), (at, change) => {
      const outcome = verifyEntry(crypto, head, { ...entry, ...change(at) });
      assert.ok(!outcome.ok && outcome.error.code === 'log_fork');
      const elsewhere = verifyEntry(crypto, { ...head, hash: flip(head.hash, at) }, entry);
      assert.ok(!elsewhere.ok && elsewhere.error.code === 'log_fork');
    }),
  );
  const otherConversation = verifyEntry(crypto, { ...head, conversation: testId('another') }, entry);
  assert.ok(!otherConversation.ok && otherConversation.error.code === 'log_fork');
});

test('[F-3] a Welcome that was swapped is refused, though the hash of the entry still holds', () => {
  const head = genesisHead(crypto, conversation, hub);
  const entry = linkEntry(crypto, head, content({ kind: 'commit', welcome: utf8('welcome') }));
  const outcome = verifyEntry(crypto, head, { ...entry, welcome: utf8('another') });
  assert.ok(!outcome.ok && outcome.error.code === 'malformed');
});

test('an entry that is ahead is a gap, one whose place is taken a fork', () => {
  const start = genesisHead(crypto, conversation, hub);
  const first = linkEntry(crypto, start, content());
  const second = linkEntry(crypto, headAfter(start, first), content());
  const ahead = verifyEntry(crypto, start, second);
  assert.ok(!ahead.ok && ahead.error.code === 'log_gap');
  const taken = verifyEntry(crypto, headAfter(start, first), first);
  assert.ok(!taken.ok && taken.error.code === 'log_fork');
});
