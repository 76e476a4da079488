import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrustAllowed } from '@norc/protocol/norc-t';
import { memberDevice, runningConversation } from '@norc/testkit';
import { pathDecision, pathQuestion } from './index.ts';

const anna = memberDevice('anna@alpha.example', 'phone');
const ben = memberDevice('ben@bravo.example', 'laptop');

test('[F-15] the question names the label, the size, and who acts at whom', () => {
  const state = runningConversation([anna, ben], { label: 'official_use_only' });
  const base = { local: anna.domain, remote: ben.domain, permission: 'message_relay', label: 'official_use_only' };
  assert.deepEqual(pathQuestion(state, ben.domain, ben.domain, 7), { ...base, direction: 'incoming', bytes: 7 });
  assert.deepEqual(pathQuestion(state, ben.domain, anna.domain, 7), { ...base, direction: 'outgoing', bytes: 7 });
});

test('a trust decision becomes what the machines need of it', () => {
  const denied = pathDecision({ kind: 'deny', reason: 'stale', code: 'trust_stale' });
  assert.deepEqual(denied, { allowed: false, code: 'trust_stale' });
  const own: TrustAllowed = { kind: 'allow', level: 'verified', natoCapable: false };
  assert.deepEqual(pathDecision(own), { allowed: true, level: 'verified' });
  const limits = { message_bytes_max: 1000 };
  const paired = { ...own, pair: { limits } } as unknown as TrustAllowed; // the rest of the pair is not read
  assert.deepEqual(pathDecision(paired), { allowed: true, level: 'verified', messageBytesMax: 1000 });
});
