import type { ClientWrite, TimelineQuery } from './port.ts';

/** A caller's fault is thrown before anything is touched; the same in every implementation. */
export function checkWrites(writes: readonly ClientWrite[]): void {
  for (const write of writes) {
    if (write.op === 'cursor.advance' && write.seq <= write.expectedSeq) {
      throw new RangeError('a cursor only moves forward');
    }
    if (write.op === 'message.add' && write.message.seq !== undefined && write.message.state !== undefined) {
      throw new RangeError('a message has a place in the log or a state, not both');
    }
  }
}

export function checkQuery(query: TimelineQuery): void {
  if (query.before !== undefined && query.after !== undefined) throw new RangeError('before or after, not both');
  if (!Number.isSafeInteger(query.limit) || query.limit < 1) throw new RangeError('limit is at least 1');
}
