import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberDevice, runningConversation } from '@norc/testkit';
import { pathQuestion } from './index.ts';

const anna = memberDevice('anna@alpha.example', 'phone');
const ben = memberDevice('ben@bravo.example', 'laptop');

test('[F-15] the question names the label, the size, and who acts at whom', () => {
  const state = runningConversation([anna, ben], { label: 'official_use_only' });
  const base = { local: anna.domain, remote: ben.domain, permission: 'message_relay', label: 'official_use_only' };
  assert.deepEqual(pathQuestion(state, ben.domain, ben.domain, 7), { ...base, direction: 'incoming', bytes: 7 });
  assert.deepEqual(pathQuestion(state, ben.domain, anna.domain, 7), { ...base, direction: 'outgoing', bytes: 7 });
});
