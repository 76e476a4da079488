import { zeroBytes } from '@norc/protocol/base';
import type { Member } from './engine.ts';
import { type EpochKeys, NO_SENDER } from './epoch-keys.ts';
import { encodeGroupContext, type SecretTree } from './library.ts';
import type { EpochSecrets, MemberState } from './member-state.ts';
import { TREE_NODES_MAX } from './profile.ts';
import { readContext, readIdentity, readPublicGroup, writeIdentity, writePublicGroup } from './public-codec.ts';
import { membersOf } from './public-group.ts';
import type { MlsSuite } from './suite.ts';
import { TlsFault, TlsReader, type TlsWriter } from './tls.ts';

/** Storage form of a member's secrets, with the same promise as public-codec.ts. */
export function writeMemberState(writer: TlsWriter, state: MemberState): void {
  writePublicGroup(writer, state.group);
  writer.uint32(state.ownLeafIndex).uint32(state.privateKeys.size);
  for (const [node, key] of state.privateKeys) writer.uint32(node).vector(key);
  const { exporterSecret, confirmationKey, membershipKey, initSecret, epochAuthenticator } = state.secrets;
  for (const secret of [exporterSecret, confirmationKey, membershipKey, initSecret, epochAuthenticator]) {
    writer.vector(secret);
  }
  writer.vector(state.keys.senderDataSecret);
  writeRatchets(writer, state.keys);
}

export function readMemberState(suite: MlsSuite, reader: TlsReader): MemberState {
  const group = readPublicGroup(suite, reader);
  const ownLeafIndex = reader.uint32();
  const privateKeys = new Map<number, Uint8Array>();
  for (let left = reader.uint32(); left > 0; left -= 1) privateKeys.set(reader.uint32(), reader.vector().slice());
  const secrets: EpochSecrets = {
    exporterSecret: reader.vector().slice(),
    confirmationKey: reader.vector().slice(),
    membershipKey: reader.vector().slice(),
    initSecret: reader.vector().slice(),
    epochAuthenticator: reader.vector().slice(),
  };
  const senderDataSecret = reader.vector().slice();
  const members = new Map(membersOf(group).map((member) => [member.leafIndex, member]));
  const keys: EpochKeys = { context: group.context, senderDataSecret, members, secretTree: [], messages: 0 };
  readRatchets(reader, keys);
  return { group, ownLeafIndex, privateKeys, secrets, keys };
}

/** A past epoch: its message keys and who was in it, without its tree. */
export function writePastEpoch(writer: TlsWriter, keys: EpochKeys): void {
  writer.vector(encodeGroupContext(keys.context)).vector(keys.senderDataSecret).uint32(keys.members.size);
  for (const { leafIndex, signaturePublicKey, identity } of keys.members.values()) {
    writer.uint32(leafIndex).vector(signaturePublicKey);
    writeIdentity(writer, identity);
  }
  writeRatchets(writer, keys);
}

export function readPastEpoch(reader: TlsReader): EpochKeys {
  const context = readContext(reader);
  const senderDataSecret = reader.vector().slice();
  const members = new Map<number, Member>();
  for (let left = reader.uint32(); left > 0; left -= 1) {
    const leafIndex = reader.uint32();
    const signaturePublicKey = reader.vector();
    members.set(leafIndex, { leafIndex, signaturePublicKey, identity: readIdentity(reader) });
  }
  const keys: EpochKeys = { context, senderDataSecret, members, secretTree: [], messages: 0 };
  readRatchets(reader, keys);
  return keys;
}

type Ratchet = SecretTree[number]['application'];

/** The part that changes with each message. */
export function writeRatchets(writer: TlsWriter, keys: EpochKeys): void {
  const senders = [...keys.members.keys()].filter((leafIndex) => keys.secretTree[2 * leafIndex] !== undefined);
  writer.uint32(keys.messages).uint32(keys.secretTree.length).uint32(senders.length);
  for (const leafIndex of senders) {
    const node = keys.secretTree[2 * leafIndex] ?? NO_SENDER;
    writer.uint32(leafIndex);
    writeRatchet(writer, node.handshake);
    writeRatchet(writer, node.application);
  }
}

export function readRatchets(reader: TlsReader, keys: EpochKeys): void {
  const messages = reader.uint32();
  const width = reader.uint32();
  if (width > TREE_NODES_MAX) throw new TlsFault('limit_exceeded', 'ratchets');
  const tree: SecretTree = new Array(width).fill(NO_SENDER);
  for (let left = reader.uint32(); left > 0; left -= 1) {
    const leafIndex = reader.uint32();
    if (!keys.members.has(leafIndex) || 2 * leafIndex >= width) throw new TlsFault('malformed', 'ratchet');
    tree[2 * leafIndex] = { handshake: readRatchet(reader), application: readRatchet(reader) };
  }
  for (const node of keys.secretTree) eraseNode(node);
  keys.secretTree = tree;
  keys.messages = messages;
}

function eraseNode({ handshake, application }: SecretTree[number]): void {
  zeroBytes(handshake.secret, ...Object.values(handshake.unusedGenerations));
  zeroBytes(application.secret, ...Object.values(application.unusedGenerations));
}

function writeRatchet(writer: TlsWriter, { secret, generation, unusedGenerations }: Ratchet): void {
  const unused = Object.entries(unusedGenerations);
  writer.vector(secret).uint32(generation).uint16(unused.length);
  for (const [skipped, key] of unused) writer.uint32(Number(skipped)).vector(key);
}

function readRatchet(reader: TlsReader): Ratchet {
  const secret = reader.vector().slice();
  const generation = reader.uint32();
  const unusedGenerations: Record<number, Uint8Array> = {};
  for (let left = reader.uint16(); left > 0; left -= 1) unusedGenerations[reader.uint32()] = reader.vector().slice();
  return { secret, generation, unusedGenerations };
}

/** Runs a storage reader over a private copy: what it keeps is not the caller's to change. */
export function readStored<T>(bytes: Uint8Array, what: string, read: (reader: TlsReader) => T): T {
  const own = bytes.slice();
  const reader = new TlsReader(own);
  try {
    const value = read(reader);
    reader.end();
    return value;
  } catch (fault) {
    throw new RangeError(`${what} is not what this version stores`, { cause: fault });
  }
}
