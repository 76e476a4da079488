import {
  type ErrorName,
  type Instant,
  instant,
  isRetryable,
  LIMITS,
  type MessageId,
  nextRetry,
  type Random,
  sameBytes,
} from '../base/index.ts';

/**
 * A device's commit, from the wish to its place in the log (spec/norc-c section 4).
 * Only the log says what became of it: an acknowledgment may be lost, but the log
 * shows either our own commit or another one of the same epoch. So the same bytes
 * are sent again until the log, or a refusal that is meant, has the answer.
 *
 * A crash at any point is survived when one transaction stores, for each step, the
 * machine's state, the engine's group after `adopt` or `abort` (or with the commit
 * that was built), and the log cursor; `send`, `done` and `failed` come after it.
 *
 * `I` is what is wanted (add these, remove those), from which a commit can be built
 * again for a later epoch. One machine per conversation; one commit at a time.
 */
export type CommitState<I> = CommitIdle | CommitBuilding<I> | CommitPending<I> | CommitLost<I>;

export interface CommitIdle {
  readonly state: 'idle';
}

/** Waits for the MLS engine to build a commit for the present epoch. */
export interface CommitBuilding<I> {
  readonly state: 'building';
  readonly intent: I;
  readonly attempt: number;
}

/** Waits for the log to show which commit ends `epoch`. The engine holds the pending group state. */
export interface CommitPending<I> {
  readonly state: 'pending';
  readonly intent: I;
  readonly attempt: number;
  readonly messageId: MessageId;
  /** The epoch that the commit would end. */
  readonly epoch: number;
  /** BLAKE3 of the commit: a hub that put other bytes under our id does not make us adopt ours. */
  readonly commitHash: Uint8Array;
  /** Unless something is heard by then, the same bytes are sent again. */
  readonly resendAt: Instant;
  /** In a row, of this very commit, that may pass: each makes the wait longer. Absent before the first. */
  readonly refusals?: number;
}

/** Lost: waits until `retryAt`, and until the log has passed `passEpoch`. */
export interface CommitLost<I> {
  readonly state: 'lost';
  readonly intent: I;
  readonly attempt: number;
  readonly retryAt: Instant;
  /** The next commit is built for a later epoch than this one. */
  readonly passEpoch: number;
}

export const COMMIT_IDLE: CommitIdle = { state: 'idle' };

export type CommitEvent<I> =
  /** Somebody wants it. */
  | { readonly kind: 'wanted'; readonly intent: I }
  /** The log shows a proposal of the hub in this epoch: a commit that was made without it will never be ordered. */
  | { readonly kind: 'superseded'; readonly epoch: number }
  /** The engine built it; nothing was sent. */
  | {
      readonly kind: 'built';
      readonly messageId: MessageId;
      readonly epoch: number;
      readonly commitHash: Uint8Array;
    }
  /** The engine could not: the intent makes no sense any more (who was to be removed is gone). */
  | { readonly kind: 'pointless' }
  /** The log shows a commit; it was verified to be the next entry, and not applied yet. */
  | {
      readonly kind: 'commit_ordered';
      readonly messageId: MessageId;
      readonly epoch: number;
      readonly commitHash: Uint8Array;
    }
  /** This device was removed. */
  | { readonly kind: 'removed' }
  /** The server says that it does not order this commit, now or ever. */
  | { readonly kind: 'refused'; readonly messageId: MessageId; readonly code: ErrorName }
  /** Started, or connected again, and the log is read to its end: `epoch` is the group's. */
  | { readonly kind: 'caught_up'; readonly epoch: number }
  /** Time went by. */
  | { readonly kind: 'tick'; readonly epoch: number };

/** To be carried out in order, after the new state is stored. */
export type CommitEffect<I> =
  | { readonly do: 'build'; readonly intent: I }
  /** The same stored bytes each time. */
  | { readonly do: 'send'; readonly messageId: MessageId }
  /** The log is said to have gone on: it is asked for. */
  | { readonly do: 'read' }
  /** The pending state becomes the group's. */
  | { readonly do: 'adopt'; readonly messageId: MessageId }
  /** The pending state is erased; the group can then apply the winner. */
  | { readonly do: 'abort'; readonly messageId: MessageId }
  /** The wish is fulfilled, or is given up for `code`. */
  | { readonly do: 'done' }
  | { readonly do: 'failed'; readonly intent: I; readonly code: ErrorName };

export interface CommitStep<I> {
  readonly state: CommitState<I>;
  readonly effects: readonly CommitEffect<I>[];
}

/** Throws RangeError for events that only a confused caller sends: a second wish, a commit that nobody asked for. */
export function stepCommit<I>(
  state: CommitState<I>,
  event: CommitEvent<I>,
  now: Instant,
  random: Random,
): CommitStep<I> {
  switch (event.kind) {
    case 'wanted':
      if (state.state !== 'idle') throw new RangeError('one commit at a time');
      return next({ state: 'building', intent: event.intent, attempt: 0 }, { do: 'build', intent: event.intent });
    case 'built':
      return built(state, event, now);
    case 'pointless':
      if (state.state !== 'building') throw new RangeError('nothing is being built');
      return next(COMMIT_IDLE, { do: 'done' });
    case 'commit_ordered':
      return state.state === 'pending' ? ordered(state, event, now, random) : next(state);
    case 'removed':
      return removed(state);
    case 'refused':
      return refused(state, event, now, random);
    case 'superseded':
      return superseded(state, event.epoch, now);
    case 'caught_up':
      return resumed(state, event.epoch, now, random);
    case 'tick':
      return ticked(state, event.epoch, now);
  }
}

/** When the next `tick` may change something. */
export function commitWakeAt<I>(state: CommitState<I>): Instant | undefined {
  if (state.state === 'pending') return state.resendAt;
  return state.state === 'lost' ? state.retryAt : undefined;
}

function built<I>(
  state: CommitState<I>,
  { messageId, epoch, commitHash }: CommitEvent<I> & { readonly kind: 'built' },
  now: Instant,
): CommitStep<I> {
  if (state.state !== 'building') throw new RangeError('nothing is being built');
  const { intent, attempt } = state;
  const pending: CommitPending<I> = {
    ...{ state: 'pending', intent, attempt, messageId, epoch, commitHash },
    resendAt: resendAfter(now),
  };
  return next(pending, { do: 'send', messageId });
}

function resendAfter(now: Instant): Instant {
  return instant(now + LIMITS.requestMillisecondsMax);
}

type Ordered = Extract<CommitEvent<never>, { readonly kind: 'commit_ordered' }>;

/** [C-40] Ours is adopted only when the log shows our bytes; any other commit of this epoch has won. */
function ordered<I>(state: CommitPending<I>, event: Ordered, now: Instant, random: Random): CommitStep<I> {
  if (event.epoch < state.epoch) return next(state);
  const { messageId } = state;
  if (event.messageId === messageId && sameBytes(event.commitHash, state.commitHash)) {
    return next(COMMIT_IDLE, { do: 'adopt', messageId }, { do: 'done' });
  }
  return lost(state, now, random);
}

/**
 * [C-41] What was refused for good is given up. A refusal that may pass does not say that
 * the commit is in no log: one whose answer was lost may have been ordered, and whoever
 * erased its state could never follow it. Only the log shows that another one has won.
 */
function refused<I>(
  state: CommitState<I>,
  { messageId, code }: Extract<CommitEvent<I>, { readonly kind: 'refused' }>,
  now: Instant,
  random: Random,
): CommitStep<I> {
  if (state.state !== 'pending' || state.messageId !== messageId) return next(state);
  if (!isRetryable(code)) {
    return next(COMMIT_IDLE, { do: 'abort', messageId }, { do: 'failed', intent: state.intent, code });
  }
  const refusals = state.refusals ?? 0;
  const waiting = { ...state, refusals: refusals + 1, resendAt: nextRetry(now, refusals, random) };
  return isRace(code) ? next(waiting, { do: 'read' }) : next(waiting);
}

/** Said of another commit that ended the epoch: the log has it, or soon. */
function isRace(code: ErrorName): boolean {
  return code === 'epoch_conflict' || code === 'epoch_stale';
}

/** [C-43] Not a race that was lost: the next one is for the same epoch, and takes the proposals in. */
function superseded<I>(state: CommitState<I>, epoch: number, now: Instant): CommitStep<I> {
  if (state.state !== 'pending' || state.epoch !== epoch) return next(state);
  const { intent, messageId, attempt } = state;
  return next({ state: 'lost', intent, attempt, retryAt: now, passEpoch: epoch - 1 }, { do: 'abort', messageId });
}

function lost<I>(state: CommitPending<I>, now: Instant, random: Random): CommitStep<I> {
  const { intent, messageId, epoch: passEpoch } = state;
  const attempt = state.attempt + 1;
  const abort = { do: 'abort', messageId } as const;
  if (attempt >= LIMITS.commitAttemptsMax) {
    return next(COMMIT_IDLE, abort, { do: 'failed', intent, code: 'epoch_conflict' });
  }
  const retryAt = nextRetry(now, state.attempt, random);
  return next({ state: 'lost', intent, attempt, retryAt, passEpoch }, abort);
}

function ticked<I>(state: CommitState<I>, epoch: number, now: Instant): CommitStep<I> {
  if (state.state === 'lost') return rebuild(state, epoch, now);
  if (state.state !== 'pending' || now < state.resendAt) return next(state);
  return next({ ...state, resendAt: resendAfter(now) }, { do: 'send', messageId: state.messageId });
}

function rebuild<I>(state: CommitLost<I>, epoch: number, now: Instant): CommitStep<I> {
  if (now < state.retryAt || epoch <= state.passEpoch) return next(state);
  const { intent, attempt } = state;
  return next({ state: 'building', intent, attempt }, { do: 'build', intent });
}

/** After a crash or a new connection nothing is known to have been carried out: what can be repeated is. */
function resumed<I>(state: CommitState<I>, epoch: number, now: Instant, random: Random): CommitStep<I> {
  if (state.state === 'building') return next(state, { do: 'build', intent: state.intent });
  if (state.state === 'lost') return rebuild(state, epoch, now);
  if (state.state !== 'pending') return next(state);
  // Built for an epoch that had ended already, and the refusal that said so was lost.
  if (epoch > state.epoch) return lost(state, now, random);
  // It was refused for now: reading the log in vain is no reason to ask sooner.
  if (state.refusals !== undefined && now < state.resendAt) return next(state);
  return next({ ...state, resendAt: resendAfter(now) }, { do: 'send', messageId: state.messageId });
}

function removed<I>(state: CommitState<I>): CommitStep<I> {
  if (state.state === 'idle') return next(state);
  const failed = { do: 'failed', intent: state.intent, code: 'forbidden' } as const;
  if (state.state !== 'pending') return next(COMMIT_IDLE, failed);
  return next(COMMIT_IDLE, { do: 'abort', messageId: state.messageId }, failed);
}

function next<I>(state: CommitState<I>, ...effects: readonly CommitEffect<I>[]): CommitStep<I> {
  return { state, effects };
}
