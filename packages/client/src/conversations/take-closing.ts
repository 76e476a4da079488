import { type ConversationId, instant, type MessageId } from '@norc/protocol/base';
import type { NorcCBody } from '@norc/protocol/norc-c';
import { HUB_DEVICE, hubUser } from '@norc/protocol/norc-f';
import type { MessageKey, MessageRow } from '../store/rows.ts';
import type { Problem } from '../timeline/causes.ts';
import { Batch } from './batch.ts';
import type { Cell } from './cell.ts';
import type { EngineContext } from './context.ts';
import type { Outbox } from './outbox.ts';
import { detailsIn } from './take-message.ts';

/** The line that says it. */
export function closingLine(conversationId: ConversationId): MessageKey {
  return { conversationId, sender: HUB_DEVICE, messageId: LINE };
}

/** In each conversation by itself: no message of the hub has an id. */
const LINE = '0'.repeat(32) as MessageId; // 16 zero bytes

/**
 * Trust with an organisation ended, and with it this conversation here: shown once, and what
 * waits is given back. The own server's word; a commit of the group opens it again.
 */
export async function takeClosing(
  { clock }: EngineContext,
  cell: Cell,
  outbox: Outbox,
  { conversation: conversationId, org, cause }: NorcCBody<'conversation_closed'>,
): Promise<void> {
  const batch = new Batch();
  const details = detailsIn(cell, batch);
  if (details === undefined || details.standing === 'closed' || details.standing === 'left') return;
  batch.writes.push({ op: 'conversation.put', conversation: { ...details, standing: 'closed' } });
  // It has no place in the log: it is the last line as long as it is true.
  const message: MessageRow = {
    ...{ ...closingLine(conversationId), user: hubUser(org), sentAt: instant(clock.now()) },
    body: { type: 'notices', notices: [{ notice: 'closed', org, cause }] },
  };
  batch.writes.push({ op: 'message.add', message });
  const problem: Problem =
    cause === 'trust_expired' ? { cause: 'trust.expired', org } : { cause: 'trust.revoked', org };
  outbox.ended(problem, batch);
  await cell.store(batch);
}
