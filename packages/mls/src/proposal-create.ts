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
  signPrivateKey: Uint8Array,
): Promise<PublicMessage> {
  const { publicMessage } = await protectExternalProposalPublic(
    signPrivateKey,
    group.context,
    NOTHING,
    { proposalType: 'remove', remove: { removed } },
    { senderType: 'external', senderIndex },
    suite.impl,
  );
  return publicMessage;
}
