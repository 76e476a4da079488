import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { StoreError } from '../../store/port.ts';
import * as sample from '../../store/samples.ts';
import { openNodeStore } from './store.ts';

/** The other process of store-sealing.test.ts: `try` opens and tells; `write` takes in messages until it is killed. */
const [path = '', task] = process.argv.slice(2);

try {
  const store = await openNodeStore({
    path,
    unlock: { passphrase: 'correct horse' },
    create: false,
    crypto: nodeCrypto,
    random: nodeRandom,
  });
  if (task === 'try') process.stdout.write('opened');
  const id = sample.CONVERSATION;
  const start = { op: 'cursor.advance', conversationId: id, expectedSeq: 3, seq: 100, hash: sample.hash(0) } as const;
  await store.transact([start]);
  for (let seq = 101; task === 'write'; seq += 1) {
    const message = {
      ...sample.message(1),
      messageId: sample.messageId(seq % 256),
      sender: sample.deviceId(seq >> 8),
      seq,
    };
    await store.transact([
      { op: 'group.put', group: sample.group(seq) },
      { op: 'message.add', message },
      { op: 'cursor.advance', conversationId: id, expectedSeq: seq - 1, seq, hash: sample.hash(0) },
    ]);
    await new Promise((resolve) => process.stdout.write(`${seq - 100}\n`, resolve));
  }
  await store.close();
} catch (thrown) {
  process.stdout.write(thrown instanceof StoreError ? thrown.fault : String(thrown));
}
