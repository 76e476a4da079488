import { after, before, describe } from 'node:test';
import { directoryContract } from './contract/directory.ts';
import { followerContract } from './contract/followers.ts';
import { logContract } from './contract/log.ts';
import { modelContract } from './contract/model.ts';
import { queueContract } from './contract/queues.ts';
import type { OpenStore, StoreUnderTest, UseStore } from './contract/support.ts';

export type { OpenStore, StoreUnderTest } from './contract/support.ts';

/** What every implementation of `Store` promises. Call it from a test file. */
export function storeContract(name: string, open: OpenStore): void {
  const groups: readonly (readonly [string, (use: UseStore) => void])[] = [
    ['directory', directoryContract],
    ['conversations and logs', logContract],
    ['followers and pruning', followerContract],
    ['outbox, trust, audit, values', queueContract],
    ['model', modelContract],
  ];
  for (const [area, contract] of groups) {
    describe(`${name}: ${area}`, () => {
      let under: StoreUnderTest | undefined;
      before(async () => {
        under = await open();
      });
      after(async () => {
        await under?.dispose();
      });
      contract(() => {
        if (under === undefined) throw new Error('the store was not opened');
        return under;
      });
    });
  }
}
