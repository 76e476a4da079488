import type { MessageId, Reject, Result } from '@norc/protocol/base';
import type { NorcCBody, NorcCMessage } from '@norc/protocol/norc-c';

/** What answers each request (spec/norc-c section 1). */
export interface ReplyTypes {
  readonly message_send: 'message_ack';
  readonly conversation_create: 'message_ack';
  readonly commit_submit: 'message_ack';
  readonly log_request: 'log_entries';
  readonly key_request: 'key_response';
  readonly key_publish: 'key_stock';
  readonly org_request: 'org_response';
  readonly device_list_request: 'device_list';
  readonly device_revoke: 'device_list';
  readonly time_sync: 'time_sync';
}

export type AskType = keyof ReplyTypes;
export type Reply<T extends AskType> = NorcCBody<ReplyTypes[T]>;

/**
 * refused: the server's word. unsent: it never left. lost: it may have been handled
 * or not; what is repeated must be the same bytes.
 */
export interface AskFailure extends Reject {
  readonly fate: 'refused' | 'unsent' | 'lost';
  readonly retryAfterMilliseconds?: number;
}

export type Answer<T extends AskType> = Result<Reply<T>, AskFailure>;
/** Of everything that asks for a place in a log. */
export type Acknowledgment = Result<NorcCBody<'message_ack'>, AskFailure>;

/** The part of a session that the engine talks through. */
export interface Asking {
  readonly isReady: boolean;
  /**
   * Sends a request. `done` is called exactly once, in the order in which answers
   * arrive among pushes: an acknowledgment is handled before what came after it.
   */
  ask<T extends AskType>(type: T, body: NorcCBody<T>, done: (answer: Answer<T>) => void): void;
  /** The same for callers to whom that order is nothing. Never rejects. */
  request<T extends AskType>(type: T, body: NorcCBody<T>): Promise<Answer<T>>;
  /** For what has no answer. Lost when the session is not ready. */
  tell(message: NorcCMessage): void;
}

/** A request as it is kept, its types checked by `ask`. */
export interface OpenAsk {
  readonly id: MessageId;
  readonly message: NorcCMessage;
  readonly done: (answer: Result<unknown, AskFailure>) => void;
}

export function failure(
  fate: AskFailure['fate'],
  { code, detail }: Reject,
  retryAfterMilliseconds?: number,
): { readonly ok: false; readonly error: AskFailure } {
  const error = { fate, code, detail };
  return { ok: false, error: retryAfterMilliseconds === undefined ? error : { ...error, retryAfterMilliseconds } };
}
