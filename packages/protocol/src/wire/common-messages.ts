import { ERRORS, type ErrorName } from '../base/index.ts';
import { defineMessage, type MessageOf } from './messages.ts';
import { bool, optional, struct, text, uint } from './schema.ts';

const ERROR_NAME_BYTES_MAX = 64;
const REFERENCE_BYTES_MAX = 64;

/** The answer to a request that failed, or the reason why a session ends (spec/conventions section 5). */
export const errorMessage = defineMessage(
  'error',
  struct({
    code: uint(65535),
    name: text(ERROR_NAME_BYTES_MAX),
    retryable: bool(),
    retry_after_ms: optional(uint()),
    /** Finds the full story in the sender's log; tells the receiver nothing. */
    reference: text(REFERENCE_BYTES_MAX),
  }),
);

export const pingMessage = defineMessage('ping', struct({}));
export const pongMessage = defineMessage('pong', struct({}));

/** Part of every layer's table. */
export const commonMessages = [errorMessage, pingMessage, pongMessage] as const;

export type ErrorMessage = MessageOf<typeof errorMessage>;
export type ErrorBody = ErrorMessage['body'];

/** An error as it is told to a peer: from the registry, and nothing besides. */
export function errorBody(name: ErrorName, reference: string, retryAfterMs?: number): ErrorBody {
  const { code, retryable } = ERRORS[name];
  const body = { code, name, retryable, reference };
  return retryAfterMs === undefined ? body : { ...body, retry_after_ms: retryAfterMs };
}
