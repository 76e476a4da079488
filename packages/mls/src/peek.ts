import { type ConversationId, idFromBytes, LIMITS, type Result, reject } from '@norc/protocol/base';
import { readAll, TlsFault, type TlsReader } from './tls.ts';

/**
 * The head of a group message, read without a group and without trusting it: enough
 * to route it, refuse it by epoch, or enforce its label. The whole structure is
 * walked, so that bytes after its end are noticed; nothing inside is verified.
 */
export type PeekedMessage = PeekedPrivate | PeekedPublic;

export type MlsContentType = 'application' | 'proposal' | 'commit';

interface PeekedHead {
  readonly conversation: ConversationId;
  readonly epoch: number;
  readonly contentType: MlsContentType;
  /** A view of the message; `parseAuthenticatedData` reads it. */
  readonly authenticatedData: Uint8Array;
}

export interface PeekedPrivate extends PeekedHead {
  readonly wire: 'private';
  readonly encryptedSenderData: Uint8Array;
  readonly ciphertext: Uint8Array;
}

export interface PeekedPublic extends PeekedHead {
  readonly wire: 'public';
  /** Absent for an external sender. */
  readonly senderLeaf?: number;
}

export const MLS_VERSION = 1;
export const WIRE_PUBLIC = 1;
export const WIRE_PRIVATE = 2;
export const CONTENT_TYPES: readonly MlsContentType[] = ['application', 'proposal', 'commit'];
const SENDER_MEMBER = 1;
const SENDER_EXTERNAL = 2;
const GROUP_ID_BYTES = 16;

/**
 * An MLSMessage that holds a PrivateMessage or a PublicMessage of the profile.
 * Errors: truncated, trailing_bytes, not_canonical, limit_exceeded, malformed.
 */
export function peekMessage(bytes: Uint8Array): Result<PeekedMessage> {
  if (bytes.length > LIMITS.mlsMessageBytesMax) return reject('limit_exceeded', 'MLS message: size');
  return readAll(bytes, 'MLS message', readMessage);
}

function readMessage(reader: TlsReader): PeekedMessage {
  if (reader.uint16() !== MLS_VERSION) throw new TlsFault('malformed', 'version');
  const wire = reader.uint16();
  if (wire === WIRE_PRIVATE) return readPrivate(reader);
  if (wire === WIRE_PUBLIC) return readPublic(reader);
  throw new TlsFault('malformed', 'wire format');
}

function readPrivate(reader: TlsReader): PeekedPrivate {
  const conversation = readGroupId(reader);
  const epoch = reader.uint64();
  const contentType = readContentType(reader);
  const authenticatedData = reader.vector();
  const encryptedSenderData = reader.vector();
  const ciphertext = reader.vector();
  return { wire: 'private', conversation, epoch, contentType, authenticatedData, encryptedSenderData, ciphertext };
}

function readPublic(reader: TlsReader): PeekedPublic {
  const conversation = readGroupId(reader);
  const epoch = reader.uint64();
  const senderType = reader.uint8();
  if (senderType !== SENDER_MEMBER && senderType !== SENDER_EXTERNAL) throw new TlsFault('malformed', 'sender type');
  const sender = reader.uint32();
  const authenticatedData = reader.vector();
  const contentType = readContentType(reader);
  if (contentType === 'application') throw new TlsFault('malformed', 'application data in a public message');
  if (contentType === 'commit') skipCommit(reader);
  else skipProposal(reader);
  reader.skipVector(); // signature
  if (contentType === 'commit') reader.skipVector(); // confirmation_tag
  if (senderType === SENDER_MEMBER) reader.skipVector(); // membership_tag
  const head = { wire: 'public', conversation, epoch, contentType, authenticatedData } as const;
  return senderType === SENDER_MEMBER ? { ...head, senderLeaf: sender } : head;
}

function readGroupId(reader: TlsReader): ConversationId {
  const groupId = reader.vector();
  if (groupId.length !== GROUP_ID_BYTES) throw new TlsFault('malformed', 'group id');
  return idFromBytes(groupId);
}

function readContentType(reader: TlsReader): MlsContentType {
  const contentType = CONTENT_TYPES[reader.uint8() - 1];
  if (contentType === undefined) throw new TlsFault('malformed', 'content type');
  return contentType;
}

/** RFC 9420 section 12.4: `ProposalOrRef proposals<V>; optional<UpdatePath> path`. */
function skipCommit(reader: TlsReader): void {
  reader.skipVector();
  if (!reader.optional()) return;
  skipLeafNode(reader);
  reader.skipVector(); // UpdatePathNode nodes<V>
}

const PROPOSAL_ADD = 1;
const PROPOSAL_REMOVE = 3;

/** Only the proposals that the profile has: a foreign one has no end that we could find. */
function skipProposal(reader: TlsReader): void {
  const type = reader.uint16();
  if (type === PROPOSAL_ADD) skipKeyPackage(reader);
  else if (type === PROPOSAL_REMOVE) reader.skip(4);
  else throw new TlsFault('malformed', 'proposal type');
}

function skipKeyPackage(reader: TlsReader): void {
  reader.skip(4); // version, cipher_suite
  reader.skipVector(); // init_key
  skipLeafNode(reader);
  reader.skipVector(); // extensions
  reader.skipVector(); // signature
}

const CREDENTIAL_X509 = 2;
const LEAF_KEY_PACKAGE = 1;
const LEAF_COMMIT = 3;

/** RFC 9420 section 7.2. */
function skipLeafNode(reader: TlsReader): void {
  reader.skipVector(); // encryption_key
  reader.skipVector(); // signature_key
  if (reader.uint16() !== CREDENTIAL_X509) throw new TlsFault('malformed', 'credential type');
  reader.skipVector(); // certificates
  for (let i = 0; i < 5; i += 1) reader.skipVector(); // capabilities
  const source = reader.uint8();
  if (source === LEAF_KEY_PACKAGE)
    reader.skip(16); // lifetime
  else if (source === LEAF_COMMIT)
    reader.skipVector(); // parent_hash
  else throw new TlsFault('malformed', 'leaf node source');
  reader.skipVector(); // extensions
  reader.skipVector(); // signature
}
