import type { UserAddress } from '@norc/protocol/base';
import type { Mark } from '../store/rows.ts';
import type { Problem } from './causes.ts';
import type { TimelineEntry } from './entries.ts';

/** What the sender sees about an own message. `delivered`, `read`: how many of the `of` other people. */
export type MessageState =
  /** `waits`: what has to pass before it goes. */
  | { readonly state: 'sending'; readonly waits?: Problem }
  /** The own server has it. */
  | { readonly state: 'sent' }
  | { readonly state: 'delivered' | 'read'; readonly delivered: number; readonly read: number; readonly of: number }
  | { readonly state: 'failed'; readonly problem: Problem };

export type StateName = MessageState['state'];

/** `others`: everybody in the conversation but the sender. */
export function messageState(
  entry: Pick<TimelineEntry, 'seq' | 'state'>,
  marks: readonly Mark[],
  others: readonly UserAddress[],
): MessageState {
  const { seq, state } = entry;
  if (seq === undefined) {
    if (state?.state === 'failed' || state?.state === 'sending') return state;
    return { state: state?.state === 'accepted' ? 'sent' : 'sending' };
  }
  const reached = (name: Mark['mark']) =>
    new Set(marks.filter((mark) => mark.mark === name && mark.seq >= seq).map((mark) => mark.user));
  const readers = reached('read');
  const holders = reached('delivered');
  // Whoever has read it has it, even when the two marks arrived the other way round.
  const read = others.filter((user) => readers.has(user)).length;
  const delivered = others.filter((user) => readers.has(user) || holders.has(user)).length;
  if (delivered === 0) return { state: 'sent' };
  return { state: read > 0 ? 'read' : 'delivered', delivered, read, of: others.length };
}
