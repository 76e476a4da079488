import { type Domain, type Instant, instant, MESSAGE_TYPES } from '@norc/protocol/base';
import {
  type ConversationState,
  conversationAnnounce,
  entryToWire,
  type LinkedEntry,
  originRoute,
} from '@norc/protocol/norc-f';
import { encodeBody } from '@norc/protocol/wire';
import type { OutboxRow } from '../storage/port.ts';

/** A partner that does not come back for this long has to be added again. */
const ANNOUNCE_LIFE_MS = 30 * 86_400_000;

/** The outbox item that tells `peer` of a conversation which just got its first device there. */
export function announceItem(
  before: Pick<ConversationState, 'headHash'>,
  after: ConversationState,
  entry: LinkedEntry,
  groupInfo: Uint8Array,
  peer: Domain,
  now: Instant,
): OutboxRow {
  const body = encodeBody(
    conversationAnnounce,
    {
      conversation: after.conversation,
      label: after.label,
      floor: after.floor,
      route: originRoute(after.self),
      previous_hash: before.headHash,
      entry: entryToWire(entry, true),
      group_info: groupInfo,
    },
    'cbor',
  );
  return {
    id: entry.messageId,
    peer,
    priority: 'control', // read before submissions: other things of the conversation wait for it
    type: MESSAGE_TYPES.conversation_announce,
    body,
    createdAt: now,
    expiresAt: instant(now + ANNOUNCE_LIFE_MS),
  };
}
