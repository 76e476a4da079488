import type { ClientWrite } from '../store/port.ts';

/** Where a conversation's log is taken in to. */
export interface Place {
  readonly seq: number;
  readonly hash: Uint8Array;
}

/** How much of the group has changed since it was last stored. */
export type GroupChange = 'none' | 'ratchets' | 'whole';

/**
 * What one step changes, collected so that it is one transaction: the group, the
 * rows, the cursor. Only after it is stored is the
 * application told, and are follow-ups run.
 */
export class Batch {
  readonly writes: ClientWrite[] = [];
  readonly after: (() => void)[] = [];
  group: GroupChange = 'none';
  place: Place | undefined;

  /** It is stored. */
  clear(): void {
    this.writes.length = 0;
    this.after.length = 0;
    this.group = 'none';
    this.place = undefined;
  }

  /** A change of the whole group also stores its ratchets. */
  groupChanged(change: 'ratchets' | 'whole'): void {
    if (this.group !== 'whole') this.group = change;
  }
}
