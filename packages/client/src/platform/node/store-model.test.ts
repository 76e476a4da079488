import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import fc from 'fast-check';
import { memoryStore } from '../../store/memory.ts';
import type { ClientStore, ClientWrite } from '../../store/port.ts';
import * as sample from '../../store/samples.ts';
import { openNodeStore } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'norc-model-'));
after(() => rm(folder, { recursive: true, force: true }));

const small = fc.integer({ min: 1, max: 4 });
const id = sample.CONVERSATION;

const write: fc.Arbitrary<ClientWrite> = fc.oneof(
  small.map((n): ClientWrite => ({ op: 'group.put', group: sample.group(n) })),
  fc.constant<ClientWrite>({ op: 'group.delete', conversationId: id }),
  small.map(
    (n): ClientWrite => ({ op: 'conversation.put', conversation: { ...sample.conversation(), title: `t${n}` } }),
  ),
  fc.tuple(small, small).map(
    ([from, by]): ClientWrite => ({
      op: 'cursor.advance',
      conversationId: id,
      expectedSeq: from - 1,
      seq: from - 1 + by,
      hash: sample.hash(by),
    }),
  ),
  small.map((seq): ClientWrite => ({ op: 'readMarker.advance', conversationId: id, seq })),
  fc
    .tuple(small, fc.constantFrom('delivered' as const, 'read' as const), fc.constantFrom(sample.ANNA, sample.BRUNO))
    .map(([seq, mark, user]): ClientWrite => ({ op: 'mark.advance', conversationId: id, mark: { user, mark, seq } })),
  fc.tuple(small, fc.option(small, { nil: undefined }), small).map(([n, target, sender]): ClientWrite => {
    const row = { ...sample.message(n), sender: sample.deviceId(sender), seq: n * 10 + sender };
    return { op: 'message.add', message: target === undefined ? row : { ...row, target: sample.messageId(target) } };
  }),
  small.map((n): ClientWrite => ({ op: 'message.add', message: sample.ownMessage(n) })),
  // A number of the log belongs to one entry: the hub's hash chain, checked before anything is stored, sees to it.
  fc
    .tuple(small, small)
    .map(([n, by]): ClientWrite => ({ op: 'message.order', key: sample.message(n), seq: n * 10 + 4 + by })),
  small.map((n): ClientWrite => ({ op: 'message.state', key: sample.message(n), state: { state: 'accepted' } })),
  small.map((n): ClientWrite => ({ op: 'message.scrub', key: sample.message(n) })),
  small.map((n): ClientWrite => ({ op: 'message.discard', key: sample.message(n) })),
  fc
    .tuple(small, small)
    .map(([n, attempts]): ClientWrite => ({ op: 'outgoing.put', item: { ...sample.outgoing(n), attempts } })),
  small.map((n): ClientWrite => ({ op: 'outgoing.delete', id: sample.messageId(n) })),
  fc.tuple(small, fc.boolean()).map(
    ([n, lastResort]): ClientWrite => ({
      op: 'keyPackages.add',
      packages: [{ ...sample.keyPackage(n), lastResort }],
    }),
  ),
  small.map((n): ClientWrite => ({ op: 'keyPackage.use', ref: sample.keyPackage(n).ref, usedAt: sample.at(n) })),
  small.map((n): ClientWrite => ({ op: 'keyPackages.published', refs: [sample.keyPackage(n).ref] })),
);

async function seen(store: ClientStore): Promise<unknown> {
  const { read } = store;
  return {
    stock: await read.keyPackages(),
    secret: await read.keyPackage(sample.keyPackage(1).ref),
    group: await read.group(id),
    conversations: await read.conversations(),
    marks: await read.marks(id),
    about: await read.messagesAbout(id, sample.messageId(1)),
    newest: sorted(await read.timeline(id, { limit: 3 })),
    older: sorted(await read.timeline(id, { before: 30, limit: 2 })),
    newer: sorted(await read.timeline(id, { after: 12, limit: 3 })),
    outgoing: await read.outgoing(),
  };
}

/** The port leaves the order of changes open. */
function sorted(page: Awaited<ReturnType<ClientStore['read']['timeline']>>): unknown {
  const shown = page.rows.filter((row) => row.target === undefined);
  const changes = page.rows.filter((row) => row.target !== undefined);
  return { shown, changes: changes.sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0)), more: page.more };
}

test('any writes leave the encrypted store and the memory store with the same answers', async () => {
  const transactions = fc.array(fc.array(write, { minLength: 1, maxLength: 5 }), { minLength: 5, maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(transactions, async (batches) => {
      const model = memoryStore();
      const store = await openNodeStore({
        path: join(folder, `${randomUUID()}.db`),
        unlock: { passphrase: 'x' },
        create: true,
        crypto: nodeCrypto,
        random: nodeRandom,
        cost: { memoryKib: 8, passes: 1, lanes: 1 },
      });
      for (const writes of batches) assert.deepEqual(await store.transact(writes), await model.transact(writes));
      assert.deepEqual(await seen(store), await seen(model));
      await store.close();
    }),
    { numRuns: 60 },
  );
});
