import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Domain, instant } from '@norc/protocol/base';
import { ResolverError } from '../transport/errors.ts';
import { ManualTimers } from '../transport/manual-timers.ts';
import { PeerWorker, type WorkerDependencies } from './peer-worker.ts';

const PEER = 'bravo.example' as Domain; // well formed

for (const [name, error, cause, faults] of [
  ['a name service that does not answer', new ResolverError('test'), 'the name service does not answer', 0],
  ['a fault of ours', new TypeError('test'), 'internal fault', 1],
] as const) {
  test(`${name} is a failed attempt, and the next one follows`, async () => {
    const timers = new ManualTimers();
    let asked = 0;
    let faulted = 0;
    let now = 1_800_000_000_000;
    const worker = new PeerWorker(PEER, {
      identity: { clock: { now: () => instant(now) }, random: { bytes: (length: number) => new Uint8Array(length) } },
      trust: { pins: () => ({}) },
      ...{ timers, onState: () => undefined },
      onFault: () => {
        faulted += 1;
      },
      endpoints: async () => {
        asked += 1;
        throw error;
      },
    } as unknown as WorkerDependencies); // all that an attempt without an address asks for
    const answer = await worker.request('interactive', { type: 'delivery_ack', body: { updates: [] } });
    assert.equal(answer.ok ? undefined : answer.error.code, 'no_route');
    assert.equal(worker.status().state, 'waiting');
    assert.equal(worker.status().cause, cause);
    assert.equal(faulted, faults);
    now += 1000;
    timers.advance(1000);
    await new Promise<void>((resolve) => setImmediate(resolve));
    assert.equal(asked, 2);
  });
}
