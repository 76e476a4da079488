import { ERRORS, type ErrorName } from '@norc/protocol/base';

/**
 * What a refusal of an own message asks for. reseal: the epoch is over, seal for the
 * one after it. rekey: commit first. frozen: somebody has to be removed first, and then
 * it is sealed for those who are left. wait: the same bytes again, later. refused: it
 * will not be ordered, and the person has to know.
 */
export type Disposition = 'reseal' | 'rekey' | 'frozen' | 'wait' | 'refused';

export function dispositionOf(code: ErrorName): Disposition {
  if (code === 'epoch_stale' || code === 'epoch_conflict') return 'reseal';
  if (code === 'rekey_required') return 'rekey';
  if (code === 'conversation_frozen') return 'frozen';
  return ERRORS[code].retryable ? 'wait' : 'refused';
}

/** Of an entry: whether it opens later without anybody changing anything. The others are what the entry is. */
export function mayOpenLater(code: ErrorName): boolean {
  const aboutTheEntry = code === 'epoch_stale' || code === 'log_gap' || code === 'rekey_required';
  return !aboutTheEntry && code !== 'epoch_conflict' && ERRORS[code].retryable;
}
