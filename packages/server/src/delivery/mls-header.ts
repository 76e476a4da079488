import { parseAuthenticatedData, parseProposalData, peekMessage } from '@norc/mls';
import { ok, type Result, reject } from '@norc/protocol/base';
import type { MlsHeader } from '@norc/protocol/norc-f';

/** What an MLS message says of itself in the clear: one walk over it, nothing decrypted or verified. */
export function readHeader(message: Uint8Array): Result<MlsHeader> {
  const peeked = peekMessage(message);
  if (!peeked.ok) return peeked;
  const { conversation, epoch, wire, contentType, authenticatedData } = peeked.value;
  const external = peeked.value.wire === 'public' && peeked.value.senderLeaf === undefined;
  if (external && contentType !== 'proposal') return reject('forbidden', 'external sender');
  // The hub's proposals say why; nothing else has room for that.
  const data = external ? parseProposalData(authenticatedData) : parseAuthenticatedData(authenticatedData);
  if (!data.ok) return data;
  return ok({ conversation, epoch, wire, contentType, authenticatedData: data.value });
}
