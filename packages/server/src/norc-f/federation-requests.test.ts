import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant, ok, parseDomain } from '@norc/protocol/base';
import type { NorcFMessage } from '@norc/protocol/norc-f';
import type { ReceivedMessage } from '@norc/protocol/wire';
import { mustBe } from '@norc/testkit';
import { FederationRequests, type FederationServices } from './federation-requests.ts';
import type { PeerEvidence } from './link-identity.ts';

const domain = mustBe(parseDomain('bravo.example'));
const other = mustBe(parseDomain('charlie.example'));

test('trust messages of a peer are counted: a flood is told to come again, and holds back nobody else', async () => {
  let [now, received] = [0, 0];
  const services = {
    clock: { now: () => instant(now) },
    rate: { count: 1, perMilliseconds: 1000, burst: 3 },
    trust: {
      receive: async () => {
        received += 1;
        return ok(undefined);
      },
    },
  };
  const requests = new FederationRequests(services as unknown as FederationServices); // the rest is not used
  const send = async (from: typeof domain) => {
    const message = { type: 'root_rotation', body: { document: new Uint8Array() } };
    const answer = await requests.serve(
      { domain: from } as unknown as PeerEvidence, // as above
      message as unknown as ReceivedMessage<NorcFMessage>, // as above
    );
    return answer.ok ? 'ok' : answer.error.code;
  };
  const answers = [];
  for (let i = 0; i < 5; i += 1) answers.push(await send(domain));
  assert.deepEqual(answers, ['ok', 'ok', 'ok', 'rate', 'rate']);
  assert.equal(received, 3);
  assert.equal(await send(other), 'ok');
  now += 1000;
  assert.equal(await send(domain), 'ok');
});
