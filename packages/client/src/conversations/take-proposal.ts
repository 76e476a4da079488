import type { LogEntry } from '@norc/protocol/norc-f';
import type { Batch } from './batch.ts';
import type { Cell } from './cell.ts';
import type { CommitDriver } from './commit-driver.ts';
import { mayOpenLater } from './dispositions.ts';
import { addProblem, type LogHooks, type Taken } from './take-message.ts';

/** A proposal entry: somebody has to commit it before anything else is said. */
export async function takeProposal(
  cell: Cell,
  entry: LogEntry,
  batch: Batch,
  { hooks, driver }: { readonly hooks: LogHooks; readonly driver: CommitDriver },
): Promise<Taken> {
  const { group } = cell;
  if (group === undefined || !group.active) return 'taken';
  const received = await group.receive(entry.body);
  if (!received.ok && mayOpenLater(received.error.code)) return 'blocked';
  if (!received.ok) return addProblem(cell, entry, batch, { cause: 'key.tampered' });
  batch.groupChanged('whole');
  await driver.proposalOrdered(entry.epoch, batch);
  batch.after.push(hooks.proposed);
  return 'taken';
}
