import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant, LIMITS, type MessageId } from '@norc/protocol/base';
import { testId } from '@norc/testkit';
import { OpenRequests } from './index.ts';

const id = (name: string) => testId<MessageId>(name);
const now = instant(0);

test('[C-5] a reply carries the id of its request and closes it', () => {
  const requests = new OpenRequests<string>();
  requests.add(id('a'), 'message_send', now, 'mine');
  const reply = requests.arrived(id('a'), 'message_ack');
  assert.ok(reply.is === 'reply' && reply.request.context === 'mine');
  assert.equal(requests.size, 0);
  assert.deepEqual(requests.arrived(id('a'), 'key_response'), { is: 'unexpected' }, 'once');
});

test('[C-5] an error answers any request, another type none', () => {
  const requests = new OpenRequests();
  requests.add(id('a'), 'key_request', now, undefined);
  assert.deepEqual(requests.arrived(id('a'), 'message_ack'), { is: 'unexpected' });
  assert.equal(requests.arrived(id('a'), 'error').is, 'reply');
});

test('[C-6] what the server pushes needs no request; what only answers does', () => {
  const requests = new OpenRequests();
  for (const type of ['log_entries', 'delivery_update', 'device_list', 'key_stock', 'message_ack', 'ping'] as const)
    assert.deepEqual(requests.arrived(id('new'), type), { is: 'push' });
  for (const type of ['key_response', 'org_response', 'auth_result', 'message_send'] as const)
    assert.deepEqual(requests.arrived(id('new'), type), { is: 'unexpected' });
});

test('a reply that comes too late is no breach', () => {
  const requests = new OpenRequests();
  const { deadline } = requests.add(id('a'), 'key_request', now, undefined);
  requests.add(id('b'), 'key_request', instant(1), undefined);
  assert.equal(requests.nextDeadline, deadline);
  assert.deepEqual(requests.expire(instant(deadline - 1)), []);
  assert.deepEqual(
    requests.expire(deadline).map((request) => request.id),
    [id('a')],
  );
  assert.deepEqual(requests.arrived(id('a'), 'key_response'), { is: 'late' });
  assert.equal(requests.arrived(id('b'), 'key_response').is, 'reply');
});

test('requests are bounded, ids are used once, and types without a reply are not requests', () => {
  const requests = new OpenRequests();
  for (let i = 0; i < LIMITS.requestsOutstandingMax; i += 1) requests.add(id(`${i}`), 'time_sync', now, undefined);
  assert.ok(!requests.hasRoom);
  assert.throws(() => requests.add(id('more'), 'time_sync', now, undefined), RangeError);
  assert.equal(requests.close().length, LIMITS.requestsOutstandingMax);
  requests.add(id('0'), 'time_sync', now, undefined);
  assert.throws(() => requests.add(id('0'), 'time_sync', now, undefined), RangeError);
  assert.throws(() => requests.add(id('x'), 'cursor_ack', now, undefined), RangeError);
  assert.throws(() => requests.add(id('x'), 'log_entries', now, undefined), RangeError);
  assert.equal(requests.add(id('p'), 'ping', now, undefined).type, 'ping');
});
