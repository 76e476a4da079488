import { type Result, zeroBytes } from '@norc/protocol/base';
import { idBytes } from './authenticated-data.ts';
import { encodeGroupExtensions } from './conversation-extension.ts';
import type { MlsEngine, MlsGroup, MlsOptions, NewConversation, OwnIdentity } from './engine.ts';
import { Group } from './group.ts';
import { makeGroupInfo } from './group-info.ts';
import { type GroupParts, loadGroup, loadRatchets } from './group-storage.ts';
import { joinByWelcome } from './join.ts';
import { createKeyPackage, generateKeyPackage, openKeyPackageSecret, verifyKeyPackageMessage } from './key-package.ts';
import { checkLeaf, identify } from './leaf-rules.ts';
import {
  createConfirmationTag,
  createInterimHash,
  deriveSecret,
  type GroupContext,
  initializeKeySchedule,
} from './library.ts';
import { createMemberState, type MemberState } from './member-state.ts';
import { decodeWelcome, encodeGroupInfoMessage } from './messages.ts';
import { checkRetention, DEFAULT_RETENTION } from './profile.ts';
import type { PublicGroup, RuleContext } from './public-group.ts';
import { createNorcSuite } from './suite.ts';
import { hashTree, rootHash } from './tree-hash.ts';

/** How long a device may have been away and still process what it missed. */
const CATCH_UP_MS_DEFAULT = 60 * 86_400_000;

/** The engine over the provider's algorithms. Throws RangeError for options that cannot be. */
export function createMlsEngine(options: MlsOptions): MlsEngine {
  const suite = createNorcSuite(options.provider);
  const retention = checkRetention(options.retention ?? DEFAULT_RETENTION);
  const rules: RuleContext = { suite, options, lateMs: options.catchUpMs ?? CATCH_UP_MS_DEFAULT };
  const groupOf = (identity: OwnIdentity, parts: GroupParts): MlsGroup =>
    new Group(rules, identity, retention[parts.state.group.extensions.settings.level], parts);

  return {
    createKeyPackage: (request) => createKeyPackage(suite, options, request),
    verifyKeyPackage: (bytes) => verifyKeyPackageMessage(suite, options, bytes),

    async createGroup(request) {
      const state = await createFirstEpoch(rules, request);
      const { context, confirmationTag, hashed } = state.group;
      const parts = { context, confirmationTag, tree: hashed.tree, signer: 0 };
      const info = await makeGroupInfo(suite, parts, request.identity.signPrivateKey);
      return { group: groupOf(request.identity, newParts(state)), groupInfo: encodeGroupInfoMessage(info) };
    },

    welcomeRefs(bytes): Result<readonly Uint8Array[]> {
      const welcome = decodeWelcome(bytes);
      return welcome.ok ? { ok: true, value: welcome.value.secrets.map((entry) => entry.newMember) } : welcome;
    },

    async join({ welcome, secret, identity, ratchetTree }) {
      const own = openKeyPackageSecret(secret);
      const decoded = decodeWelcome(welcome);
      if (!decoded.ok) return decoded;
      const state = await joinByWelcome(rules, decoded.value, own, identity, ratchetTree);
      suite.kem.erase(own.initPrivateKey);
      if (state.ok) return { ok: true, value: groupOf(identity, newParts(state.value)) };
      suite.kem.erase(own.leafPrivateKey);
      return state;
    },

    restore(bytes, identity, ratchets) {
      const parts = loadGroup(suite, bytes);
      if (ratchets !== undefined) loadRatchets(parts, ratchets);
      return groupOf(identity, parts);
    },
  };
}

function newParts(state: MemberState): GroupParts {
  return { revision: 0, active: true, state, past: [], pending: undefined };
}

/** A group of one (RFC 9420 section 11). */
async function createFirstEpoch(rules: RuleContext, request: NewConversation): Promise<MemberState> {
  const { suite, options } = rules;
  const own = await generateKeyPackage(suite, options, { identity: request.identity, lastResort: false });
  suite.kem.erase(own.initPrivateKey);
  const { leafNode } = own.keyPackage;
  const shape = checkLeaf(suite, leafNode);
  const identity = shape.ok ? await identify(options, leafNode) : shape;
  if (!identity.ok) throw new RangeError(`own identity: ${identity.error.detail}`);
  const settings = { hub: request.hub, level: request.level };
  const extensions = { settings, hubSenders: request.hubSenders ?? [] };
  const hashed = hashTree(suite, [{ nodeType: 'leaf', leaf: leafNode }]);
  const context: GroupContext = {
    version: 'mls10',
    cipherSuite: suite.name,
    groupId: idBytes(request.conversation),
    epoch: 0n,
    treeHash: rootHash(hashed),
    confirmedTranscriptHash: new Uint8Array(0),
    extensions: encodeGroupExtensions(extensions),
  };
  const epochSecret = suite.random(suite.impl.kdf.size);
  const schedule = await initializeKeySchedule(epochSecret, suite.impl.kdf);
  const encryptionSecret = await deriveSecret(epochSecret, 'encryption', suite.impl.kdf);
  zeroBytes(epochSecret);
  const { confirmedTranscriptHash } = context;
  const confirmationTag = await createConfirmationTag(
    schedule.confirmationKey,
    confirmedTranscriptHash,
    suite.impl.hash,
  );
  const interimHash = await createInterimHash(confirmedTranscriptHash, confirmationTag, suite.impl.hash);
  const roster = new Map([[0, identity.value]]);
  const group: PublicGroup = { context, extensions, hashed, confirmationTag, interimHash, roster, waiting: [] };
  return createMemberState(suite, group, 0, new Map([[0, own.leafPrivateKey]]), schedule, encryptionSecret);
}
