import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '@norc/protocol/base';
import { encodeContent, type MessageContent } from '@norc/protocol/norc-c';
import type { ClientWrite } from '../store/port.ts';
import { ANNA, at, BRUNO, CONVERSATION, conversation, deviceId, message, messageId } from '../store/samples.ts';
import { entriesOf } from './decode.ts';
import { type OpenedEntry, takeIn, targetsOf } from './take-in.ts';

const common = { message_id: messageId(9), sent_at: at(9) };

function opened(content: Uint8Array, user = BRUNO): OpenedEntry {
  return {
    conversationId: CONVERSATION,
    sender: deviceId(2),
    messageId: messageId(9),
    user,
    seq: 9,
    storedAt: at(99),
    content,
  };
}

const context = (targets = [message(3), message(5)]) => ({ self: ANNA, conversation: conversation(), targets });
const take = (content: MessageContent, user = BRUNO) => takeIn(opened(encodeContent(content), user), context());
const bodyOf = (writes: readonly ClientWrite[]) =>
  writes[0]?.op === 'message.add' ? writes[0].message.body : undefined;

test('content that claims another message id than the authenticated one is not shown', () => {
  const content = encodeContent({ kind: 'text', ...common, message_id: messageId(1), body: { text: 'x' } });
  assert.deepEqual(bodyOf(takeIn(opened(content), context())), { type: 'problem', problem: { cause: 'key.tampered' } });
});

test('content that is not content is one damaged message, and the log goes on', () => {
  for (const bytes of [new Uint8Array(), utf8('{}'), Uint8Array.of(0xa0)]) {
    assert.equal(bodyOf(takeIn(opened(bytes), context()))?.type, 'problem');
    assert.deepEqual(targetsOf(bytes), []);
  }
});

test('a kind of a later version is kept for a later program', () => {
  // {"kind":"poll"} in deterministic CBOR
  const poll = Uint8Array.of(0xa1, 0x64, ...utf8('kind'), 0x64, ...utf8('poll'));
  const writes = takeIn(opened(poll), context());
  assert.deepEqual(bodyOf(writes), { type: 'content', content: poll });
  const row = writes[0]?.op === 'message.add' ? [writes[0].message] : [];
  assert.deepEqual(entriesOf(row)[0]?.content, { type: 'unknown' });
});

test('a receipt means read up to there; from an own other device it moves the own marker', () => {
  const receipt: MessageContent = { kind: 'receipt', ...common, body: { targets: [messageId(5), messageId(3)] } };
  assert.deepEqual(targetsOf(encodeContent(receipt)), [messageId(5), messageId(3)]);
  assert.deepEqual(take(receipt), [
    { op: 'mark.advance', conversationId: CONVERSATION, mark: { user: BRUNO, mark: 'read', seq: 5 } },
  ]);
  assert.deepEqual(take(receipt, ANNA), [{ op: 'readMarker.advance', conversationId: CONVERSATION, seq: 5 }]);
  assert.deepEqual(takeIn(opened(encodeContent(receipt)), context([])), []);
  const later = { ...message(50), seq: 50 };
  assert.deepEqual(
    takeIn(opened(encodeContent(receipt)), context([later])),
    [],
    'nobody has read what is not there yet',
  );
});

test('typing leaves nothing, and of a call only its beginning', () => {
  assert.deepEqual(take({ kind: 'typing', ...common, body: { active: true } }), []);
  const call = (step: 'offer' | 'candidate') =>
    take({ kind: 'call', ...common, body: { call_id: new Uint8Array(16), step, payload: new Uint8Array() } });
  assert.equal(call('offer').length, 1);
  assert.deepEqual(call('candidate'), []);
});

test('a new name is a line and the conversation’s title, from inside the encryption', () => {
  const [line, put] = take({ kind: 'control', ...common, body: { action: 'rename', text: 'Depot' } });
  assert.equal(line?.op === 'message.add' && line.message.body.type, 'notices');
  assert.equal(put?.op === 'conversation.put' && put.conversation.title, 'Depot');
});
