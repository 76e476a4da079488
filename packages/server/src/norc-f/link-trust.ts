import type { Domain } from '@norc/protocol/base';
import type { TrustReference } from '@norc/protocol/handshake';

/** What links ask of trust. */
export interface LinkTrust {
  /** TLS keys and root key of a peer with which trust is in force now. */
  pins(peer: Domain): { readonly spkiHashes: readonly Uint8Array[]; readonly rootKey: Uint8Array } | undefined;
  /** The pair of trust certificates in force: the one that we gave, and the one that we received. */
  references(peer: Domain): { readonly given: TrustReference; readonly received: TrustReference } | undefined;
}
