import { InvariantError, type Result, reject, zeroBytes } from '@norc/protocol/base';
import type { KeyPair } from '@norc/protocol/crypto';
import {
  decryptWithLabel,
  deriveSecret,
  encodeAuthenticatedContentTBM,
  encodeGroupContext,
  type GroupContext,
  initializeEpoch,
  type PublicMessage,
  toTbs,
  verifyConfirmationTag,
} from './library.ts';
import { createMemberState, livePrivateKeys, type MemberState } from './member-state.ts';
import { attemptAsync } from './messages.ts';
import { enterEpoch } from './public-change.ts';
import type { StagedCommit, StagedPath } from './public-group.ts';
import type { MlsSuite } from './suite.ts';
import { covers, recipients } from './tree-path.ts';

/** A member's proof that a handshake message comes from inside the group (RFC 9420 section 6.2). */
export async function membershipTagValid(
  suite: MlsSuite,
  state: MemberState,
  message: PublicMessage,
): Promise<boolean> {
  if (message.senderType !== 'member') return false;
  const tbm = encodeAuthenticatedContentTBM({
    contentTbs: toTbs(message.content, 'mls_public_message', state.group.context),
    auth: message.auth,
  });
  return suite.impl.hash.verifyMac(state.secrets.membershipKey, message.membershipTag, tbm);
}

/**
 * The secret half of a staged commit by another member: opens the path secret that is
 * for us, checks the keys that follow from it, enters the epoch, and compares the
 * confirmation tag. `state` is not changed.
 */
export async function openCommit(
  suite: MlsSuite,
  state: MemberState,
  staged: StagedCommit,
  confirmationTag: Uint8Array,
): Promise<Result<MemberState>> {
  const opened = await openStagedPath(suite, state, staged);
  if (!opened.ok) return opened;
  const { commitSecret, privateKeys } = opened.value;
  const { initSecret } = state.secrets;
  const noPsk = new Uint8Array(suite.impl.kdf.size);
  const epoch = await initializeEpoch(initSecret, commitSecret, staged.context, noPsk, suite.impl.kdf);
  zeroBytes(commitSecret, epoch.joinerSecret, epoch.welcomeSecret);
  const confirmed = await verifyConfirmationTag(
    epoch.keySchedule.confirmationKey,
    confirmationTag,
    staged.context.confirmedTranscriptHash,
    suite.impl.hash,
  );
  if (!confirmed) return reject('commit_invalid', 'confirmation tag');
  const group = await enterEpoch(suite, state.group, staged, confirmationTag);
  const { keySchedule, encryptionSecret } = epoch;
  const next = await createMemberState(suite, group, state.ownLeafIndex, privateKeys, keySchedule, encryptionSecret);
  return { ok: true, value: next };
}

interface OpenedPath {
  readonly commitSecret: Uint8Array;
  readonly privateKeys: ReadonlyMap<number, Uint8Array>;
}

async function openStagedPath(suite: MlsSuite, state: MemberState, staged: StagedCommit): Promise<Result<OpenedPath>> {
  const privateKeys = livePrivateKeys(state.privateKeys, staged);
  if (staged.path === undefined) {
    return { ok: true, value: { commitSecret: new Uint8Array(suite.impl.kdf.size), privateKeys } };
  }
  const { path, steps } = staged.path;
  const first = steps.findIndex((step) => covers(step.node, state.ownLeafIndex));
  const secret = await decryptPathSecret(suite, state, staged.path, first, staged.context);
  if (secret?.length !== suite.impl.kdf.size) return reject('commit_invalid', 'path: secret does not open');
  let pathSecret = secret;
  for (const [i, step] of steps.entries()) {
    if (i < first) continue;
    const pair = await deriveNodeKeys(suite, pathSecret);
    const announced = path.nodes[i]?.hpkePublicKey;
    // RFC 9420 section 7.5: otherwise members would hold different keys for the same node.
    if (announced === undefined || !suite.equal(announced, pair.publicKey))
      return reject('commit_invalid', 'path: key differs');
    privateKeys.set(step.node, pair.privateKey);
    pathSecret = await nextPathSecret(suite, pathSecret);
  }
  return { ok: true, value: { commitSecret: pathSecret, privateKeys } };
}

async function decryptPathSecret(
  suite: MlsSuite,
  state: MemberState,
  { path, steps, newNodes }: StagedPath,
  first: number,
  next: GroupContext,
): Promise<Uint8Array | undefined> {
  const step = steps[first];
  const ciphertexts = path.nodes[first]?.encryptedPathSecret;
  if (step === undefined || ciphertexts === undefined)
    throw new InvariantError('no common ancestor with the committer');
  for (const [i, node] of recipients(step, newNodes).entries()) {
    const privateKey = state.privateKeys.get(node);
    const ciphertext = ciphertexts[i];
    if (privateKey === undefined || ciphertext === undefined) continue;
    const key = await suite.impl.hpke.importPrivateKey(privateKey);
    const context = encodeGroupContext(provisionalContext(state.group.context, next));
    const { kemOutput, ciphertext: sealed } = ciphertext;
    const { hpke } = suite.impl;
    return attemptAsync(() => decryptWithLabel(key, 'UpdatePathNode', context, kemOutput, sealed, hpke));
  }
  throw new InvariantError('no private key for any node of the resolution');
}

/** RFC 9420 section 7.6: the new epoch and tree, still with the old transcript. */
export function provisionalContext(old: GroupContext, next: GroupContext): GroupContext {
  return { ...next, confirmedTranscriptHash: old.confirmedTranscriptHash };
}

export async function deriveNodeKeys(suite: MlsSuite, pathSecret: Uint8Array): Promise<KeyPair> {
  const nodeSecret = await deriveSecret(pathSecret, 'node', suite.impl.kdf);
  const pair = suite.kem.derive(nodeSecret);
  zeroBytes(nodeSecret);
  return pair;
}

/** The secret one step up; after the last step it is the commit secret. Consumes the former. */
export async function nextPathSecret(suite: MlsSuite, pathSecret: Uint8Array): Promise<Uint8Array> {
  const next = await deriveSecret(pathSecret, 'path', suite.impl.kdf);
  zeroBytes(pathSecret);
  return next;
}
