import { InvariantError, type Result, reject, zeroBytes } from '@norc/protocol/base';
import { bucketLength } from '@norc/protocol/wire';
import type { Member } from './engine.ts';
import {
  createSecretTree,
  decryptSenderData,
  type GroupContext,
  type LeafNode,
  leafWidth,
  type PrivateMessage,
  protectApplicationData,
  type RatchetTree,
  type SecretTree,
  unprotectPrivateMessage,
} from './library.ts';
import { attemptAsync } from './messages.ts';
import { MLS_VERSION, type PeekedPrivate, WIRE_PRIVATE } from './peek.ts';
import { type Retention, SKIPPED_KEYS_MAX } from './profile.ts';
import type { MlsSuite } from './suite.ts';
import { TlsWriter } from './tls.ts';

/** What opens and seals application messages of one epoch: the current one, or a past one for late messages. */
export interface EpochKeys {
  readonly context: GroupContext;
  readonly senderDataSecret: Uint8Array;
  readonly members: ReadonlyMap<number, Member>;
  /** Ratchets by node index. Replaced, never changed in place, with each message. */
  secretTree: SecretTree;
  /** Messages sealed and opened. */
  messages: number;
}

const SIGNATURE_BYTES = 64;
const TAG_BYTES = 16;

/** Consumes `encryptionSecret`. */
export async function createEpochKeys(
  suite: MlsSuite,
  context: GroupContext,
  senderDataSecret: Uint8Array,
  encryptionSecret: Uint8Array,
  members: readonly Member[],
  treeWidth: number,
): Promise<EpochKeys> {
  const byLeaf = new Map(members.map((member) => [member.leafIndex, member]));
  const secretTree = await createSecretTree(leafWidth(treeWidth), encryptionSecret, suite.impl.kdf);
  zeroBytes(encryptionSecret);
  return { context, senderDataSecret, members: byLeaf, secretTree: pruned(secretTree, byLeaf), messages: 0 };
}

type SecretTreeNode = SecretTree[number];
const NO_RATCHET = { secret: new Uint8Array(0), generation: 0, unusedGenerations: {} };
export const NO_SENDER: SecretTreeNode = { handshake: NO_RATCHET, application: NO_RATCHET };

/** The library derives ratchets for parents and blank leaves too: nobody sends there, so they go. */
function pruned(tree: SecretTree, members: ReadonlyMap<number, Member>): SecretTree {
  return tree.map((node, index) => {
    if (index % 2 === 0 && members.has(index / 2)) return node;
    zeroBytes(node.handshake.secret, node.application.secret);
    return NO_SENDER;
  });
}

/** Erases an epoch: nothing sealed in it can be opened any more (the library only forgets, fault F4). */
export function eraseEpochKeys(keys: EpochKeys): void {
  zeroBytes(keys.senderDataSecret);
  for (const node of keys.secretTree) {
    for (const ratchet of [node.handshake, node.application]) {
      zeroBytes(ratchet.secret, ...Object.values(ratchet.unusedGenerations));
    }
  }
  keys.secretTree = [];
}

export interface SealRequest {
  readonly content: Uint8Array;
  readonly authenticatedData: Uint8Array;
  readonly leafIndex: number;
  readonly signPrivateKey: Uint8Array;
}

/** An MLSMessage with a PrivateMessage, padded to the buckets of spec/mls-profile section 7. */
export async function sealMessage(suite: MlsSuite, keys: EpochKeys, request: SealRequest): Promise<Uint8Array> {
  const { context } = keys;
  const { newSecretTree, privateMessage, consumed } = await protectApplicationData(
    request.signPrivateKey,
    keys.senderDataSecret,
    request.content,
    request.authenticatedData,
    context,
    keys.secretTree,
    request.leafIndex,
    { kind: 'padUntilLength', padUntilLength: paddedLength(request.content.length) },
    suite.impl,
  );
  keys.secretTree = newSecretTree;
  keys.messages += 1;
  zeroBytes(...consumed);
  return encodePrivate(privateMessage);
}

/** Length of a PrivateMessageContent with its padding. */
function paddedLength(contentLength: number): number {
  const content = lengthBytes(contentLength) + contentLength;
  return bucketLength(content + lengthBytes(SIGNATURE_BYTES) + SIGNATURE_BYTES);
}

function lengthBytes(length: number): number {
  if (length < 64) return 1;
  return length < 16384 ? 2 : 4;
}

const APPLICATION = 1;

function encodePrivate(message: PrivateMessage): Uint8Array {
  return new TlsWriter(message.ciphertext.length + 256)
    .uint16(MLS_VERSION)
    .uint16(WIRE_PRIVATE)
    .vector(message.groupId)
    .uint64(Number(message.epoch))
    .uint8(APPLICATION)
    .vector(message.authenticatedData)
    .vector(message.encryptedSenderData)
    .vector(message.ciphertext)
    .finish();
}

export interface OpenedMessage {
  readonly sender: Member;
  readonly content: Uint8Array;
}

/**
 * Opens a message of this epoch and says who sent it: the library's own entry point
 * does not (fault F5). The caller has compared group id, epoch and content type.
 * Errors: message_rejected; unexpected_message for this device's own.
 */
export async function openMessage(
  suite: MlsSuite,
  keys: EpochKeys,
  peeked: PeekedPrivate,
  ownLeafIndex: number,
  retention: Retention,
): Promise<Result<OpenedMessage>> {
  const message: PrivateMessage = {
    groupId: keys.context.groupId,
    epoch: keys.context.epoch,
    contentType: 'application',
    authenticatedData: peeked.authenticatedData,
    encryptedSenderData: peeked.encryptedSenderData,
    ciphertext: peeked.ciphertext,
  };
  const opened = await tryOpen(suite, keys, message, retention);
  if (opened === undefined) {
    const own = (await senderOf(suite, keys, message)) === ownLeafIndex;
    return own
      ? reject('unexpected_message', 'sent by this device')
      : reject('message_rejected', 'not authentic or seen before');
  }
  const { content } = opened.content;
  if (content.contentType !== 'application' || content.sender.senderType !== 'member') {
    throw new InvariantError('an application message opened as something else');
  }
  const sender = keys.members.get(content.sender.leafIndex);
  if (sender === undefined) return reject('message_rejected', 'sender is not a member');
  if (peeked.ciphertext.length !== paddedLength(content.applicationData.length) + TAG_BYTES) {
    return reject('not_canonical', 'message padding');
  }
  keys.secretTree = opened.tree;
  keys.messages += 1;
  zeroBytes(...opened.consumed);
  return { ok: true, value: { sender, content: content.applicationData } };
}

async function tryOpen(suite: MlsSuite, keys: EpochKeys, message: PrivateMessage, retention: Retention) {
  const limits = {
    retainKeysForGenerations: SKIPPED_KEYS_MAX,
    retainKeysForEpochs: retention.epochsRetained,
    maximumForwardRatchetSteps: retention.forwardRatchetMax,
  };
  return attemptAsync(() =>
    unprotectPrivateMessage(
      keys.senderDataSecret,
      message,
      keys.secretTree,
      signatureKeysOf(keys),
      keys.context,
      limits,
      suite.impl,
    ),
  );
}

async function senderOf(suite: MlsSuite, keys: EpochKeys, message: PrivateMessage): Promise<number | undefined> {
  const data = await attemptAsync(() => decryptSenderData(message, keys.senderDataSecret, suite.impl));
  return data?.leafIndex;
}

const signatureTrees = new WeakMap<ReadonlyMap<number, Member>, RatchetTree>();

/** The library looks a sender's signature key up in a tree: the members are all that is kept of a past one. */
function signatureKeysOf(keys: EpochKeys): RatchetTree {
  const known = signatureTrees.get(keys.members);
  if (known !== undefined) return known;
  const tree: RatchetTree = [];
  for (const [leafIndex, { signaturePublicKey }] of keys.members) {
    const leaf = { signaturePublicKey } as LeafNode; // only the signature key is read here
    tree[2 * leafIndex] = { nodeType: 'leaf', leaf };
  }
  signatureTrees.set(keys.members, tree);
  return tree;
}
