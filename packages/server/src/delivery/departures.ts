import { type ConversationId, type Domain, decodeUtf8, utf8 } from '@norc/protocol/base';
import type { Store, StoreWrite } from '../storage/port.ts';

/**
 * Up to which entry an organisation that left gets the log: the commit that removed it,
 * so that it learns that it is out. Kept with that commit; a later departure replaces it.
 */
export function departureWrite(conversation: ConversationId, peer: Domain, seq: number): StoreWrite {
  return { op: 'meta.put', key: keyOf(conversation, peer), value: utf8(String(seq)) };
}

export async function departedAt(
  store: Store,
  conversation: ConversationId,
  peer: Domain,
): Promise<number | undefined> {
  const value = await store.read.meta(keyOf(conversation, peer));
  const text = value === undefined ? undefined : decodeUtf8(value, 0, value.length);
  return text === undefined ? undefined : Number(text);
}

function keyOf(conversation: ConversationId, peer: Domain): string {
  return `follower.left.${conversation}.${peer}`;
}
