import type { Member, PendingCommit } from './engine.ts';
import type { EpochKeys } from './epoch-keys.ts';
import type { MemberState } from './member-state.ts';
import { readIdentity, writeIdentity } from './public-codec.ts';
import {
  readMemberState,
  readPastEpoch,
  readRatchets,
  readStored,
  writeMemberState,
  writePastEpoch,
  writeRatchets,
} from './state-codec.ts';
import type { MlsSuite } from './suite.ts';
import { TlsFault, type TlsReader, TlsWriter } from './tls.ts';

/** A commit of ours that waits for the hub, and the epoch that it would begin. */
export interface Pending {
  readonly commit: PendingCommit;
  readonly next: MemberState;
}

/** Everything that a group object holds. */
export interface GroupParts {
  /** Rises with each change: tells which of two stored parts is the newer. */
  revision: number;
  active: boolean;
  state: MemberState;
  /** Oldest first. */
  past: EpochKeys[];
  pending: Pending | undefined;
}

const STATE_VERSION = 1;
const RATCHETS_VERSION = 1;
const CAPACITY_BYTES = 65_536;

export function storeGroup(parts: GroupParts): Uint8Array {
  const writer = new TlsWriter(CAPACITY_BYTES).uint8(STATE_VERSION).uint64(parts.revision).optional(parts.active);
  writeMemberState(writer, parts.state);
  writer.uint16(parts.past.length);
  for (const keys of parts.past) writePastEpoch(writer, keys);
  writer.optional(parts.pending !== undefined);
  if (parts.pending !== undefined) writePending(writer, parts.pending);
  return writer.finish();
}

/** Throws RangeError. */
export function loadGroup(suite: MlsSuite, bytes: Uint8Array): GroupParts {
  return readStored(bytes, 'group state', (reader) => {
    if (reader.uint8() !== STATE_VERSION) throw new TlsFault('malformed', 'version');
    const revision = reader.uint64();
    const active = reader.optional();
    const state = readMemberState(suite, reader);
    const past: EpochKeys[] = [];
    for (let left = reader.uint16(); left > 0; left -= 1) past.push(readPastEpoch(reader));
    const pending = reader.optional() ? readPending(suite, reader) : undefined;
    return { revision, active, state, past, pending };
  });
}

/** The ratchets of the current and the past epochs, and of a pending one. */
export function storeRatchets(parts: GroupParts): Uint8Array {
  const epochs = epochsOf(parts);
  const writer = new TlsWriter().uint8(RATCHETS_VERSION).uint64(parts.revision).uint16(epochs.length);
  for (const keys of epochs) {
    writer.uint64(Number(keys.context.epoch));
    writeRatchets(writer, keys);
  }
  return writer.finish();
}

/**
 * Puts newer ratchets into a loaded group; older ones are ignored. Throws RangeError
 * for newer ones of another epoch: the state is then older than what was sent with
 * those ratchets, and sealing from it would use keys twice.
 */
export function loadRatchets(parts: GroupParts, bytes: Uint8Array): void {
  readStored(bytes, 'group ratchets', (reader) => {
    if (reader.uint8() !== RATCHETS_VERSION) throw new TlsFault('malformed', 'version');
    const revision = reader.uint64();
    if (revision <= parts.revision) return reader.skipRest();
    const epochs = epochsOf(parts);
    if (reader.uint16() !== epochs.length) throw new TlsFault('malformed', 'number of epochs');
    for (const keys of epochs) {
      if (reader.uint64() !== Number(keys.context.epoch)) throw new TlsFault('malformed', 'epoch');
      readRatchets(reader, keys);
    }
    parts.revision = revision;
  });
}

function epochsOf({ state, past, pending }: GroupParts): EpochKeys[] {
  return pending === undefined ? [...past, state.keys] : [...past, state.keys, pending.next.keys];
}

function writePending(writer: TlsWriter, { commit, next }: Pending): void {
  writer
    .vector(commit.commit)
    .vector(commit.groupInfo)
    .optional(commit.welcome !== undefined);
  if (commit.welcome !== undefined) writer.vector(commit.welcome);
  writer.uint64(commit.epoch);
  writeMembers(writer, commit.added);
  writeMembers(writer, commit.removed);
  writeMemberState(writer, next);
}

function readPending(suite: MlsSuite, reader: TlsReader): Pending {
  const commit = reader.vector();
  const groupInfo = reader.vector();
  const welcome = reader.optional() ? reader.vector() : undefined;
  const epoch = reader.uint64();
  const added = readMembers(reader);
  const removed = readMembers(reader);
  const next = readMemberState(suite, reader);
  const made = { commit, groupInfo, epoch, added, removed };
  return { commit: welcome === undefined ? made : { ...made, welcome }, next };
}

function writeMembers(writer: TlsWriter, members: readonly Member[]): void {
  writer.uint16(members.length);
  for (const { leafIndex, signaturePublicKey, identity } of members) {
    writer.uint32(leafIndex).vector(signaturePublicKey);
    writeIdentity(writer, identity);
  }
}

function readMembers(reader: TlsReader): Member[] {
  const members: Member[] = [];
  for (let left = reader.uint16(); left > 0; left -= 1) {
    const leafIndex = reader.uint32();
    const signaturePublicKey = reader.vector();
    members.push({ leafIndex, signaturePublicKey, identity: readIdentity(reader) });
  }
  return members;
}
