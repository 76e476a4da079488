import { InvariantError, type Result, reject } from '@norc/protocol/base';
import { parseProposalData } from './authenticated-data.ts';
import type { Member, ProposedRemoval, Received } from './engine.ts';
import { createInterimHash, makeProposalRef, type PublicMessage, verifyFramedContentSignature } from './library.ts';
import { PROPOSALS_MAX } from './profile.ts';
import { isGroupProposal, type ProposalSender, type WaitingProposal } from './proposals.ts';
import {
  findWaiting,
  memberAt,
  type PublicGroup,
  type RuleContext,
  type StagedCommit,
  verifyAdd,
} from './public-group.ts';
import type { MlsSuite } from './suite.ts';

/** The group after a staged commit. The tag is the commit's; members have verified it, a server cannot. */
export async function enterEpoch(
  suite: MlsSuite,
  group: PublicGroup,
  staged: Pick<StagedCommit, 'context' | 'hashed' | 'roster'>,
  confirmationTag: Uint8Array,
): Promise<PublicGroup> {
  const { context, hashed, roster } = staged;
  const interimHash = await createInterimHash(context.confirmedTranscriptHash, confirmationTag, suite.impl.hash);
  return { context, extensions: group.extensions, hashed, confirmationTag, interimHash, roster, waiting: [] };
}

export interface StagedProposal {
  readonly sender: Member | 'hub';
  readonly waiting: WaitingProposal;
}

/** A proposal that came as a message of its own: from a member, or a removal from the hub. */
export async function stageProposal(
  rules: RuleContext,
  group: PublicGroup,
  message: PublicMessage,
): Promise<Result<StagedProposal>> {
  const { content, auth } = message;
  if (content.contentType !== 'proposal') return reject('malformed', 'not a proposal');
  const author = authorOf(group, message);
  if (author === undefined) return reject('commit_invalid', 'sender may not propose');
  const signed = await verifyFramedContentSignature(
    author.key,
    'mls_public_message',
    content,
    auth,
    group.context,
    rules.suite.impl.signature,
  );
  if (!signed) return reject('signature_invalid', 'proposal');
  const { proposal } = content;
  if (!isGroupProposal(proposal)) return reject('commit_invalid', 'proposal type is not part of the profile');
  if (group.waiting.length >= PROPOSALS_MAX) return reject('limit_exceeded', 'waiting proposals');
  const ref = await makeProposalRef({ wireformat: 'mls_public_message', content, auth }, rules.suite.impl.hash);
  if (findWaiting(group, ref) !== undefined) return reject('commit_invalid', 'proposal was seen before');
  const sender: ProposalSender = author.member === undefined ? 'hub' : { leafIndex: author.member.leafIndex };
  if (proposal.proposalType === 'remove') {
    const target = memberAt(group, proposal.remove.removed);
    if (target === undefined) return reject('commit_invalid', 'remove: no such member');
    if (author.member !== undefined)
      return { ok: true, value: { sender: author.member, waiting: { ref, proposal, sender } } };
    const data = parseProposalData(content.authenticatedData);
    if (!data.ok) return data;
    const { cause } = data.value;
    return { ok: true, value: { sender: 'hub', waiting: { ref, proposal, sender, cause } } };
  }
  if (author.member === undefined) return reject('commit_invalid', 'the hub may only propose removals');
  const identity = await verifyAdd(rules, proposal.add.keyPackage);
  if (!identity.ok) return identity;
  return { ok: true, value: { sender: author.member, waiting: { ref, proposal, sender, identity: identity.value } } };
}

function authorOf(
  group: PublicGroup,
  { content }: PublicMessage,
): { readonly key: Uint8Array; readonly member?: Member } | undefined {
  if (content.sender.senderType === 'member') {
    const member = memberAt(group, content.sender.leafIndex);
    return member === undefined ? undefined : { key: member.signaturePublicKey, member };
  }
  if (content.sender.senderType !== 'external') return undefined;
  const hub = group.extensions.hubSenders[content.sender.senderIndex];
  return hub === undefined ? undefined : { key: hub.publicKey };
}

export function withProposal(group: PublicGroup, waiting: WaitingProposal): PublicGroup {
  return { ...group, waiting: [...group.waiting, waiting] };
}

/** Each leaf once; where member and hub want the same, the hub's word counts. */
export function proposedRemovals(group: PublicGroup): readonly ProposedRemoval[] {
  const byLeaf = new Map<number, ProposedRemoval>();
  for (const { proposal, sender, cause } of group.waiting) {
    if (proposal.proposalType !== 'remove') continue;
    const member = memberAt(group, proposal.remove.removed);
    const by = sender === 'hub' ? sender : memberAt(group, sender.leafIndex);
    if (member === undefined || by === undefined) throw new InvariantError('a waiting Remove names members');
    if (byLeaf.get(member.leafIndex)?.by === 'hub') continue;
    byLeaf.set(member.leafIndex, cause === undefined ? { member, by } : { member, by, cause });
  }
  return [...byLeaf.values()];
}

export type DescribedProposal = Extract<Received, { kind: 'proposal' }>['proposal'];

export function describeProposal(group: PublicGroup, { proposal, identity }: WaitingProposal): DescribedProposal {
  if (proposal.proposalType === 'add') {
    if (identity === undefined) throw new InvariantError('a waiting Add has a verified identity');
    return { type: 'add', identity };
  }
  const member = memberAt(group, proposal.remove.removed);
  if (member === undefined) throw new InvariantError('a waiting Remove names a member');
  return { type: 'remove', member };
}
