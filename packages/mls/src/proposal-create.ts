import { encodeProposalData, type ProposalData } from './authenticated-data.ts';
import type { HubSigner } from './engine.ts';
import { type PublicMessage, protectExternalProposalPublic, protectProposalPublic } from './library.ts';
import type { MemberState } from './member-state.ts';
import type { PublicGroup } from './public-group.ts';
import type { MlsSuite } from './suite.ts';

const NOTHING = new Uint8Array(0);

/** A member's proposal to remove a member, itself perhaps. Waits like any other until a commit names it. */
export async function createRemoveProposal(
  suite: MlsSuite,
  state: MemberState,
  removed: number,
  signPrivateKey: Uint8Array,
): Promise<PublicMessage> {
  const { publicMessage } = await protectProposalPublic(
    signPrivateKey,
    state.secrets.membershipKey,
    state.group.context,
    NOTHING,
    { proposalType: 'remove', remove: { removed } },
    state.ownLeafIndex,
    suite.impl,
  );
  return publicMessage;
}

/** The hub's, as MLS external sender (RFC 9420 section 12.1.8). */
export async function createHubProposal(
  suite: MlsSuite,
  group: PublicGroup,
  removed: number,
  senderIndex: number,
  { signer, data }: { readonly signer: HubSigner; readonly data: ProposalData },
): Promise<PublicMessage> {
  // The server's key may live where this process cannot read it: the library is given its signatures, not the key.
  const signature = { ...suite.impl.signature, sign: (_key: Uint8Array, bytes: Uint8Array) => signer.sign(bytes) };
  const { publicMessage } = await protectExternalProposalPublic(
    NOTHING,
    group.context,
    encodeProposalData(data),
    { proposalType: 'remove', remove: { removed } },
    { senderType: 'external', senderIndex },
    { ...suite.impl, signature },
  );
  return publicMessage;
}
