import type { ConversationId, DeviceId, Domain, Label, MessageId, UserAddress } from '../base/index.ts';
import type { GrantedLevel, TrustDecision } from '../norc-t/index.ts';

/**
 * What checks outside the log machines found out, as values that the machines
 * require (spec/norc-f section 3). MLS itself stays opaque here.
 */

/** MLS authenticated_data (spec/mls-profile): in the clear for servers, authenticated to every member. */
export interface AuthenticatedData {
  readonly conversation: ConversationId;
  readonly messageId: MessageId;
  readonly label: Label;
}

/** What an MLS message says of itself in the clear. Nobody has verified it yet. */
export interface MlsHeader {
  /** The MLS group id. */
  readonly conversation: ConversationId;
  readonly epoch: number;
  readonly wire: 'public' | 'private';
  readonly contentType: 'application' | 'commit' | 'proposal';
  readonly authenticatedData: AuthenticatedData;
}

export interface GroupMember {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly leafIndex: number;
}

/** What the public group view made of a commit that it verified. */
export interface CommitFacts {
  readonly committer: DeviceId;
  /** The epoch that the commit starts. */
  readonly epoch: number;
  readonly added: readonly GroupMember[];
  readonly removed: readonly DeviceId[];
  /** Devices whose removal the hub had proposed in the epoch that the commit ends. */
  readonly proposedRemovals: readonly DeviceId[];
}

/** What the public group view made of a GroupInfo: signature, tree and every credential verified. */
export interface GroupFacts {
  readonly epoch: number;
  /** From the group itself, so that servers cannot say otherwise (spec/mls-profile section 3). */
  readonly hub: Domain;
  readonly floor: GrantedLevel;
  readonly members: readonly GroupMember[];
}

declare const verifiedByView: unique symbol;

/** Evidence: the view verified the commit's form, epoch, signature, membership and new credentials. */
export type CommitEvidence = CommitFacts & { readonly [verifiedByView]: 'commit' };

/** Evidence: the view verified a proposal's form, epoch, signature and that its proposer may propose. */
export type ProposalEvidence = { readonly proposer: DeviceId | 'hub' } & { readonly [verifiedByView]: 'proposal' };

/** Evidence: a GroupInfo that the view verified. */
export type GroupEvidence = GroupFacts & { readonly [verifiedByView]: 'group' };

/** Only for the adapter of the group view, with what its verification returned. */
export function commitEvidence(facts: CommitFacts): CommitEvidence {
  return facts as CommitEvidence; // the caller is the verifier
}

/** Only for the adapter of the group view, with what its verification returned. */
export function proposalEvidence(proposer: DeviceId | 'hub'): ProposalEvidence {
  return { proposer } as ProposalEvidence; // the caller is the verifier
}

/** Only for the adapter of the group view, with what its verification returned. */
export function groupEvidence(facts: GroupFacts): GroupEvidence {
  return facts as GroupEvidence; // the caller is the verifier
}

/** The trust decision about each organisation that is concerned, as the answer to `pathQuestion`. */
export type TrustPaths = ReadonlyMap<Domain, TrustDecision>;
