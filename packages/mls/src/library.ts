/**
 * The only file that names `ts-mls` (1.6.4, exact). What is used of it: the codecs of
 * RFC 9420's structures, labelled signatures and key derivation, the key schedule,
 * the secret tree and message protection. What is not: its group state machine, whose
 * faults spec/mls-profile section 9 lists; commits, joins and validation are ours.
 * Deep imports keep its default provider, and what that drags along, out of the program.
 */
export { encodeAuthenticatedContentTBM, makeProposalRef } from 'ts-mls/authenticatedContent.js';
export type { Capabilities } from 'ts-mls/capabilities.js';
export type { Commit } from 'ts-mls/commit.js';
export type { Credential } from 'ts-mls/credential.js';
export { encodeCredential } from 'ts-mls/credential.js';
export type { CiphersuiteImpl, CiphersuiteName } from 'ts-mls/crypto/ciphersuite.js';
export type { PrivateKey, PublicKey } from 'ts-mls/crypto/hpke.js';
export { decryptWithLabel, encryptWithLabel } from 'ts-mls/crypto/hpke.js';
export { deriveSecret } from 'ts-mls/crypto/kdf.js';
export type { Extension } from 'ts-mls/extension.js';
export { extensionTypeToNumber } from 'ts-mls/extension.js';
export type { FramedContentCommit } from 'ts-mls/framedContent.js';
export {
  createConfirmationTag,
  createContentCommitSignature,
  toTbs,
  verifyConfirmationTag,
  verifyFramedContentSignature,
} from 'ts-mls/framedContent.js';
export type { GroupContext } from 'ts-mls/groupContext.js';
export { decodeGroupContext, encodeGroupContext } from 'ts-mls/groupContext.js';
export type { GroupInfo } from 'ts-mls/groupInfo.js';
export { signGroupInfo, verifyGroupInfoSignature } from 'ts-mls/groupInfo.js';
export type { KeyPackage } from 'ts-mls/keyPackage.js';
export { generateKeyPackageWithKey, makeKeyPackageRef, verifyKeyPackage } from 'ts-mls/keyPackage.js';
export type { KeySchedule } from 'ts-mls/keySchedule.js';
export { deriveKeySchedule, initializeEpoch, initializeKeySchedule, mlsExporter } from 'ts-mls/keySchedule.js';
export type { LeafNode, LeafNodeCommit } from 'ts-mls/leafNode.js';
export {
  encodeLeafNode,
  signLeafNodeCommit,
  verifyLeafNodeSignature,
  verifyLeafNodeSignatureKeyPackage,
} from 'ts-mls/leafNode.js';
export type { MLSMessage } from 'ts-mls/message.js';
export { decodeMlsMessage, encodeMlsMessage } from 'ts-mls/message.js';
export { protectApplicationData, unprotectPrivateMessage } from 'ts-mls/messageProtection.js';
export {
  protectExternalProposalPublic,
  protectProposalPublic,
  protectPublicMessage,
} from 'ts-mls/messageProtectionPublic.js';
export { MlsError } from 'ts-mls/mlsError.js';
export { encodeParentHashInput } from 'ts-mls/parentHash.js';
export type { ParentNode } from 'ts-mls/parentNode.js';
export type { PrivateMessage } from 'ts-mls/privateMessage.js';
export { decryptSenderData } from 'ts-mls/privateMessage.js';
export type { Proposal } from 'ts-mls/proposal.js';
export { decodeProposal, encodeProposal } from 'ts-mls/proposal.js';
export type { ProposalOrRef } from 'ts-mls/proposalOrRefType.js';
export type { PublicMessage } from 'ts-mls/publicMessage.js';
export type { Node, RatchetTree } from 'ts-mls/ratchetTree.js';
export { addLeafNode, decodeNode, encodeNode, removeLeafNode, resolution } from 'ts-mls/ratchetTree.js';
export type { SecretTree } from 'ts-mls/secretTree.js';
export { createSecretTree } from 'ts-mls/secretTree.js';
export { createConfirmedHash, createInterimHash } from 'ts-mls/transcriptHash.js';
export { encodeLeafNodeHashInput, encodeParentNodeHashInput } from 'ts-mls/treeHash.js';
export {
  isLeaf,
  leafToNodeIndex,
  leafWidth,
  left,
  nodeToLeafIndex,
  parent,
  right,
  root,
  toLeafIndex,
  toNodeIndex,
} from 'ts-mls/treemath.js';
export type { UpdatePath } from 'ts-mls/updatePath.js';
export type { Welcome } from 'ts-mls/welcome.js';
export { decryptGroupInfo, decryptGroupSecrets, encryptGroupInfo, encryptGroupSecrets } from 'ts-mls/welcome.js';
