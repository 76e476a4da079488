import {
  decodeUtf8,
  fromHex,
  InvariantError,
  idFromBytes,
  parseDomain,
  parseUserAddress,
  utf8,
} from '@norc/protocol/base';
import { REMOVAL_CAUSES } from './authenticated-data.ts';
import { decodeGroupExtensions } from './conversation-extension.ts';
import type { MemberIdentity } from './engine.ts';
import {
  decodeGroupContext,
  decodeProposal,
  encodeGroupContext,
  encodeProposal,
  type GroupContext,
} from './library.ts';
import { isGroupProposal, type ProposalSender, type WaitingProposal } from './proposals.ts';
import type { PublicGroup } from './public-group.ts';
import type { MlsSuite } from './suite.ts';
import type { TlsReader, TlsWriter } from './tls.ts';
import { decodeTree, encodeTree } from './tree-codec.ts';
import { hashTree, rootHash } from './tree-hash.ts';

/**
 * Our own storage form of what we verified once: not a wire format. It is believed
 * when it is read, so whoever stores it keeps it from being changed. Anything that
 * does not fit throws RangeError.
 */
export function writePublicGroup(writer: TlsWriter, group: PublicGroup): void {
  writer
    .vector(encodeGroupContext(group.context))
    .vector(encodeTree(group.hashed.tree))
    .vector(group.confirmationTag)
    .vector(group.interimHash)
    .uint32(group.roster.size);
  for (const [leafIndex, identity] of group.roster) {
    writer.uint32(leafIndex);
    writeIdentity(writer, identity);
  }
  writer.uint32(group.waiting.length);
  for (const waiting of group.waiting) writeWaiting(writer, waiting);
}

/** The reader must be over bytes that nobody else changes or erases. */
export function readPublicGroup(suite: MlsSuite, reader: TlsReader): PublicGroup {
  const context = readContext(reader);
  const extensions = decodeGroupExtensions(context.extensions);
  const tree = decodeTree(reader.vector());
  if (!extensions.ok || !tree.ok) throw new RangeError('stored group');
  const confirmationTag = reader.vector();
  const interimHash = reader.vector();
  const roster = new Map<number, MemberIdentity>();
  for (let left = reader.uint32(); left > 0; left -= 1) roster.set(reader.uint32(), readIdentity(reader));
  const waiting: WaitingProposal[] = [];
  for (let left = reader.uint32(); left > 0; left -= 1) waiting.push(readWaiting(reader));
  const hashed = hashTree(suite, tree.value);
  if (!suite.equal(rootHash(hashed), context.treeHash)) throw new RangeError('stored group: tree hash');
  return { context, extensions: extensions.value, hashed, confirmationTag, interimHash, roster, waiting };
}

export function readContext(reader: TlsReader): GroupContext {
  const decoded = decodeGroupContext(reader.vector(), 0);
  if (decoded === undefined) throw new RangeError('stored group: context');
  return decoded[0];
}

export function writeIdentity(writer: TlsWriter, identity: MemberIdentity): void {
  const device = fromHex(identity.deviceId);
  if (device?.length !== 16) throw new InvariantError('device id');
  writer.fixed(device).vector(utf8(identity.user)).vector(utf8(identity.org));
}

export function readIdentity(reader: TlsReader): MemberIdentity {
  const deviceId = idFromBytes<MemberIdentity['deviceId']>(reader.fixed(16));
  const user = parseUserAddress(decodeUtf8(reader.vector()) ?? '');
  const org = parseDomain(decodeUtf8(reader.vector()) ?? '');
  if (!user.ok || !org.ok) throw new RangeError('stored group: identity');
  return { deviceId, user: user.value, org: org.value };
}

function writeWaiting(writer: TlsWriter, { ref, proposal, sender, identity, cause }: WaitingProposal): void {
  writer.vector(ref).vector(encodeProposal(proposal));
  writer.optional(sender !== 'hub');
  if (sender !== 'hub') writer.uint32(sender.leafIndex);
  writer.optional(identity !== undefined);
  if (identity !== undefined) writeIdentity(writer, identity);
  writer.vector(utf8(cause ?? ''));
}

function readWaiting(reader: TlsReader): WaitingProposal {
  const ref = reader.vector();
  const proposal = decodeProposal(reader.vector(), 0)?.[0];
  if (proposal === undefined || !isGroupProposal(proposal)) throw new RangeError('stored group: proposal');
  const sender: ProposalSender = reader.optional() ? { leafIndex: reader.uint32() } : 'hub';
  const identity = reader.optional() ? { identity: readIdentity(reader) } : {};
  const text = decodeUtf8(reader.vector());
  const cause = REMOVAL_CAUSES.find((one) => one === text);
  return { ref, proposal, sender, ...identity, ...(cause === undefined ? {} : { cause }) };
}
