import { parseAuthenticatedData, peekMessage } from '@norc/mls';
import { ok, type Result, reject } from '@norc/protocol/base';
import type { MlsHeader } from '@norc/protocol/norc-f';

/** What an MLS message says of itself in the clear: one walk over it, nothing decrypted or verified. */
export function readHeader(message: Uint8Array): Result<MlsHeader> {
  const peeked = peekMessage(message);
  if (!peeked.ok) return peeked;
  const { conversation, epoch, wire, contentType, authenticatedData } = peeked.value;
  if (peeked.value.wire === 'public' && peeked.value.senderLeaf === undefined)
    return reject('forbidden', 'external sender');
  const data = parseAuthenticatedData(authenticatedData);
  if (!data.ok) return data;
  return ok({ conversation, epoch, wire, contentType, authenticatedData: data.value });
}
