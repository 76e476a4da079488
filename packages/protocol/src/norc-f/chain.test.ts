import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { instant, type MessageId, utf8 } from '@norc/protocol/base';
import { memberDevice, testId } from '@norc/testkit';
import fc from 'fast-check';
import { genesisHead, headAfter, type LinkedEntry, type LogHead, linkEntries, linkEntry } from './index.ts';

const phone = memberDevice('anna@alpha.example', 'phone');
const start = genesisHead(crypto, testId('conversation'), phone.domain);

function grow(from: LogHead, names: readonly string[]): LinkedEntry[] {
  let head = from;
  return names.map((name) => {
    const entry = linkEntry(crypto, head, {
      ...{ kind: 'application', messageId: testId<MessageId>(name), sender: phone.deviceId, senderUser: phone.user },
      ...{ epoch: 1, label: 'unclassified', body: utf8(name), welcome: new Uint8Array(0), storedAt: instant(1) },
    });
    head = headAfter(head, entry);
    return entry;
  });
}

const names = Array.from({ length: 12 }, (_, i) => `entry ${i}`);
const log = grow(start, names);
const headAt = (seq: number): LogHead => {
  const entry = log[seq - 1];
  return entry === undefined ? start : headAfter(start, entry);
};
const held = (seq: number) => new Map(log.slice(0, seq).map((entry) => [entry.seq, entry.hash]));
const anySeq = fc.nat({ max: log.length });

test('[F-30] whatever part of the log comes, exactly what is new is linked', () => {
  fc.assert(
    fc.property(anySeq, anySeq, anySeq, (at, from, to) => {
      const chain = linkEntries(crypto, headAt(at), log.slice(from, to), held(at));
      if (from > at && from < to) {
        assert.deepEqual(chain.failure, { code: 'log_gap', after: at });
        assert.equal(chain.linked.length, 0);
      } else {
        assert.equal(chain.failure, undefined);
        assert.deepEqual(chain.linked, log.slice(at, Math.max(at, to)).slice(0, from < to ? undefined : 0));
        assert.equal(chain.head.seq, from < to ? Math.max(at, to) : at);
      }
    }),
  );
});

test('[F-30] any order of pieces, with repeats, ends in the same log', () => {
  const pieces = fc.array(fc.record({ from: anySeq, to: anySeq }), { maxLength: 30 });
  fc.assert(
    fc.property(pieces, (list) => {
      let head = start;
      const taken: LinkedEntry[] = [];
      for (const { from, to } of [...list, { from: 0, to: log.length }]) {
        const chain = linkEntries(crypto, head, log.slice(from, to), held(head.seq));
        taken.push(...chain.linked);
        head = chain.head;
      }
      assert.deepEqual(taken, log);
    }),
  );
});

test('[F-31] a second history is a fork wherever it begins, and the evidence holds both sides', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: log.length }), fc.nat({ max: log.length - 1 }), (at, from) => {
      const other = grow(
        headAt(from),
        names.slice(from).map((name) => `${name} instead`),
      );
      const chain = linkEntries(crypto, headAt(at), other, held(at));
      if (from >= at) return;
      assert.ok(chain.failure?.code === 'log_fork' && 'evidence' in chain.failure);
      const { evidence } = chain.failure;
      assert.equal(evidence.offered, other[0]);
      assert.deepEqual(evidence.heldHash, log[from]?.hash);
      assert.equal(chain.linked.length, 0);
    }),
  );
});

test('[F-31] entries in another order, or with one left out, do not link', () => {
  const [first, second, third] = log.slice(4, 7) as [LinkedEntry, LinkedEntry, LinkedEntry];
  const swapped = linkEntries(crypto, headAt(4), [second, first, third], held(4));
  assert.deepEqual(swapped.failure, { code: 'log_gap', after: 4 });
  const renumbered = { ...second, seq: first.seq };
  const forged = linkEntries(crypto, headAt(4), [renumbered], held(4));
  assert.ok(forged.failure?.code === 'log_fork' && 'evidence' in forged.failure);
  assert.equal(forged.failure.evidence.heldHash, undefined);
  const without = linkEntries(crypto, headAt(4), [first, third], held(4));
  assert.deepEqual(without.failure, { code: 'log_gap', after: 5 });
  assert.deepEqual(without.linked, [first], 'what came before the gap is good');
});

test('an entry that was dropped here cannot be compared, and changes nothing', () => {
  const chain = linkEntries(crypto, headAt(6), log.slice(0, 6), new Map());
  assert.deepEqual([chain.linked.length, chain.duplicates, chain.failure], [0, 6, undefined]);
});
