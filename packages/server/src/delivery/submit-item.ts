import {
  type ConversationId,
  type Domain,
  ERRORS,
  type ErrorName,
  InvariantError,
  MESSAGE_TYPES,
  type MessageId,
  type Result,
} from '@norc/protocol/base';
import { messageSubmit, type NorcFBody, type Submission } from '@norc/protocol/norc-f';
import { decodeBody } from '@norc/protocol/wire';
import type { OutboxRow } from '../storage/port.ts';

type SubmitItem = NorcFBody<'message_submit'>['items'][number];
type SubmitAnswer = NorcFBody<'submit_result'>['items'][number];

/** A local device's submission as it travels to the hub. */
export function submitItem(submission: Submission, route: readonly Domain[]): SubmitItem {
  const { conversation, messageId, kind, sender, senderUser, body, welcome, groupInfo } = submission;
  return {
    ...{ conversation, kind, sender, body, route, message_id: messageId, sender_user: senderUser },
    ...(welcome === undefined ? {} : { welcome }),
    ...(groupInfo === undefined ? {} : { group_info: groupInfo }),
  };
}

/** The submissions of an outbox row; none in a row of another kind. */
export function submittedItems(row: OutboxRow): readonly SubmitItem[] {
  if (row.type !== MESSAGE_TYPES.message_submit) return [];
  const body = decodeBody(messageSubmit, row.body, 'cbor');
  if (!body.ok) throw new InvariantError('an outbox row of ours does not decode');
  return body.value.items;
}

/** The hub's answer. What may succeed later is `retry`, which keeps it in the sender's outbox. */
export function submitAnswer(
  conversation: ConversationId,
  messageId: MessageId,
  outcome: Result<{ readonly seq: number; readonly duplicate: boolean }>,
): SubmitAnswer {
  if (outcome.ok) {
    return {
      conversation,
      message_id: messageId,
      status: outcome.value.duplicate ? 'duplicate' : 'ordered',
      seq: outcome.value.seq,
    };
  }
  const { code } = outcome.error;
  const status = mayWaitInOutbox(code) ? 'retry' : 'refused';
  return { conversation, message_id: messageId, status, code: ERRORS[code].code };
}

/** A stale epoch or a lost race is retryable for the device, which must build anew, but never for the same bytes. */
function mayWaitInOutbox(code: ErrorName): boolean {
  return (
    code === 'internal' ||
    code === 'storage_full' ||
    code === 'shutting_down' ||
    code === 'rate' ||
    code === 'trust_stale'
  );
}

const NAMES = new Map<number, ErrorName>();
for (const [name, { code }] of Object.entries(ERRORS)) NAMES.set(code, name as ErrorName); // the keys of ERRORS are the names

/** A registry name from its number; a number that this side does not know is `internal`. */
export function errorName(code: number | undefined): ErrorName {
  return NAMES.get(code ?? -1) ?? 'internal';
}
