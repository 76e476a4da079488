import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { clientStoreContract } from '../../store/contract.ts';
import { openNodeStore } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'norc-store-'));
after(() => rm(folder, { recursive: true, force: true }));

const paths = new WeakMap<object, string>();

async function open(path = join(folder, `${randomUUID()}.db`)) {
  const store = await openNodeStore({
    path,
    unlock: { passphrase: 'correct horse' },
    create: true,
    crypto: nodeCrypto,
    random: nodeRandom,
    cost: { memoryKib: 64, passes: 1, lanes: 1 },
  });
  paths.set(store, path);
  return store;
}

clientStoreContract('sqlite', {
  open: () => open(),
  reopen: async (store) => {
    await store.close();
    return open(paths.get(store));
  },
});
