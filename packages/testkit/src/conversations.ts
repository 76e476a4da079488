import { nodeCrypto } from '@norc/crypto/node';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  domainOf,
  idFromBytes,
  type Label,
  type MessageId,
  parseUserAddress,
  type UserAddress,
  utf8,
} from '@norc/protocol/base';
import {
  type CommitEvidence,
  type ConversationState,
  commitEvidence,
  type EntryFacts,
  type GroupMember,
  type MlsHeader,
  type ProposalEvidence,
  proposalEvidence,
  restoreConversation,
  type TrustPaths,
} from '@norc/protocol/norc-f';
import type { TrustAllowed, TrustDecision } from '@norc/protocol/norc-t';
import type { EntryKind } from '@norc/protocol/wire';

/**
 * Conversations for tests of the log machines: their MLS messages are JSON, and their
 * group view believes every one of them. What is tested is what the machines make of it.
 */

export function testId<T extends DeviceId | ConversationId | MessageId>(name: string): T {
  return idFromBytes<T>(nodeCrypto.blake3(utf8(`test id ${name}`)).slice(0, 16));
}

export interface MemberDevice {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly domain: Domain;
}

/** `memberDevice('anna@alpha.example', 'phone')`. */
export function memberDevice(address: string, name: string): MemberDevice {
  const user = parseUserAddress(address);
  if (!user.ok) throw new Error(`no user address: ${address}`);
  return { deviceId: testId(`${address} ${name}`), user: user.value, domain: domainOf(user.value) };
}

/** What an opaque MLS message holds in these tests. */
export interface PretendMessage {
  readonly conversation: ConversationId;
  readonly epoch: number;
  readonly kind: EntryKind;
  readonly messageId: MessageId;
  readonly label: Label;
  readonly sender: DeviceId;
  readonly added?: readonly GroupMember[];
  readonly removed?: readonly DeviceId[];
  readonly proposedRemovals?: readonly DeviceId[];
  readonly text?: string;
}

export function pretendMessage(message: PretendMessage): Uint8Array {
  return utf8(JSON.stringify(message));
}

export function readPretend(body: Uint8Array): PretendMessage {
  return JSON.parse(Buffer.from(body).toString('utf8'));
}

export function pretendHeader(body: Uint8Array): MlsHeader {
  const { conversation, epoch, kind, messageId, label } = readPretend(body);
  const wire = kind === 'application' ? 'private' : 'public';
  return { conversation, epoch, wire, contentType: kind, authenticatedData: { conversation, messageId, label } };
}

/** What the group view would say of it, for its epoch. */
export function pretendEvidence(body: Uint8Array): {
  readonly commit?: CommitEvidence;
  readonly proposal?: ProposalEvidence;
} {
  const { kind, sender, epoch, added = [], removed = [], proposedRemovals = [] } = readPretend(body);
  if (kind === 'commit')
    return { commit: commitEvidence({ committer: sender, epoch: epoch + 1, added, removed, proposedRemovals }) };
  return kind === 'proposal' ? { proposal: proposalEvidence(sender) } : {};
}

export function pretendFacts(body: Uint8Array, paths: TrustPaths): EntryFacts {
  return { header: pretendHeader(body), ...pretendEvidence(body), paths };
}

/** The path is open, at the lowest level. */
export const ALLOWED: TrustAllowed = { kind: 'allow', level: 'basic', natoCapable: false };

/** The same decision about each of these organisations. */
export function pathsTo(domains: Iterable<Domain>, decision: TrustDecision = ALLOWED): TrustPaths {
  return new Map(Array.from(domains, (domain) => [domain, decision]));
}

export function groupMembers(devices: readonly MemberDevice[], firstLeaf = 0): readonly GroupMember[] {
  return devices.map(({ deviceId, user }, i) => ({ deviceId, user, leafIndex: firstLeaf + i }));
}

/** A running conversation for tests: its founder's organisation is the hub. */
export function runningConversation(
  devices: readonly [MemberDevice, ...MemberDevice[]],
  changes: Partial<Omit<ConversationState, 'members' | 'organisations'>> = {},
): ConversationState {
  const [{ domain: hub }] = devices;
  const conversation = changes.conversation ?? testId<ConversationId>('conversation');
  const members = groupMembers(devices).map((member) => ({ ...member, joinedSeq: 1 }));
  const stored = {
    ...({ self: hub, hub, conversation, label: 'unclassified', floor: 'basic', frozen: false } as const),
    ...{ epoch: 5, epochSeq: 10, headSeq: 12, headHash: nodeCrypto.blake3(utf8('head')) },
  };
  return { ...restoreConversation(stored, members), ...changes };
}
