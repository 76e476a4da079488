import { writeSync } from 'node:fs';
import type { ConversationId } from '@norc/protocol/base';
import { append, conversationWith, entryRow } from '../contract/support.ts';
import { openSqliteStore } from './store.ts';

/*
 * Appends to four conversations as fast as it can and prints each entry after its
 * commit has resolved, until somebody kills it (crash.test.ts).
 */
const file = process.argv[2];
if (file === undefined) throw new RangeError('usage: crash-writer.ts DATABASE');
const store = await openSqliteStore({
  file,
  onFault: (fault) => {
    throw fault;
  },
});

async function write(conversationId: ConversationId): Promise<never> {
  for (let seq = 1; ; seq += 1) {
    const body = new Uint8Array(1024).fill(seq % 256);
    const outcome = await store.commit([append(conversationId, seq - 1, entryRow(seq, { body }))]);
    if (!outcome.ok) throw new Error('an append met a conflict');
    writeSync(1, `${conversationId} ${seq}\n`);
  }
}

const conversations = await Promise.all([0, 0, 0, 0].map(() => conversationWith(store, 0)));
await Promise.all(conversations.map(write));
