import * as bare from 'ts-mls';
import type { ClientState } from 'ts-mls/clientState.js';
import { loadGroup } from '../../packages/mls/src/group-storage.ts';
import { decodePublicMessage } from '../../packages/mls/src/messages.ts';
import { must } from './fixtures.ts';
import { suite } from './forge.ts';

/** The MLS library as it comes, for the tests that show its faults or ask it for a second opinion. */

/** A member's state as the library's own functions take it. */
export function bareState(stored: Uint8Array, config: Partial<ClientState['clientConfig']> = {}): ClientState {
  const { state } = loadGroup(suite, stored);
  const { group, ownLeafIndex, privateKeys, secrets, keys } = state;
  const unused = new Uint8Array(32);
  return {
    groupContext: group.context,
    keySchedule: { ...secrets, senderDataSecret: keys.senderDataSecret, externalSecret: unused, resumptionPsk: unused },
    secretTree: keys.secretTree,
    ratchetTree: group.hashed.tree,
    privatePath: { leafIndex: ownLeafIndex, privateKeys: Object.fromEntries(privateKeys) },
    signaturePrivateKey: unused,
    unappliedProposals: Object.fromEntries(
      group.waiting.map(({ ref, proposal, sender }) => [
        bare.bytesToBase64(ref),
        { proposal, senderLeafIndex: sender === 'hub' ? undefined : sender.leafIndex },
      ]),
    ),
    confirmationTag: group.confirmationTag,
    historicalReceiverData: new Map(),
    groupActiveState: { kind: 'active' },
    clientConfig: {
      keyRetentionConfig: bare.defaultKeyRetentionConfig,
      lifetimeConfig: bare.defaultLifetimeConfig,
      keyPackageEqualityConfig: bare.defaultKeyPackageEqualityConfig,
      paddingConfig: bare.defaultPaddingConfig,
      authService: bare.defaultAuthenticationService,
      ...config,
    },
  };
}

export function bareProcess(stored: Uint8Array, commit: Uint8Array) {
  return bare.processPublicMessage(
    bareState(stored),
    must(decodePublicMessage(commit)),
    bare.emptyPskIndex,
    suite.impl,
  );
}
