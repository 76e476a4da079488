import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeContract } from './contract.ts';
import { MemoryDisk, openMemoryStore } from './memory.ts';
import { openSqliteStore } from './sqlite/store.ts';

storeContract('memory store', async () => {
  const disk = new MemoryDisk();
  let store = openMemoryStore(disk);
  return {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      store = openMemoryStore(disk);
      return store;
    },
    dispose: () => store.close(),
  };
});

storeContract('SQLite store', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'norc-store-'));
  const open = () =>
    openSqliteStore({
      file: join(folder, 'store.db'),
      onFault: (fault) => {
        throw fault;
      },
    });
  let store = await open();
  return {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      store = await open();
      return store;
    },
    async dispose() {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
});
