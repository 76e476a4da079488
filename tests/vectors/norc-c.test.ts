import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NORC_C_MESSAGES, NORC_C_SCHEMAS } from '@norc/protocol/norc-c';
import { norcCVectors } from '../../vectors/generate/norc-c.ts';
import { runVectors } from './harness.ts';
import { messageRunners } from './norc-messages.ts';

const messages = messageRunners(NORC_C_MESSAGES);

runVectors('norc-c', { valid: { messages: messages.valid }, invalid: { messages: messages.invalid } }, norcCVectors);

test('vectors/norc-c: every message is there', () => {
  const types = new Set(norcCVectors[0]?.cases.map((one) => one['type']));
  assert.deepEqual(types, new Set(Object.keys(NORC_C_SCHEMAS)));
});
