import { type ConversationId, idFromBytes, type Result, reject, sameBytes } from '@norc/protocol/base';
import type { ProposalData } from './authenticated-data.ts';
import type {
  ConversationSettings,
  GroupView,
  GroupViews,
  HubSigner,
  KeyPackageInfo,
  Member,
  MlsOptions,
  ViewChange,
} from './engine.ts';
import { checkPublicData, committed } from './group.ts';
import { openGroup } from './group-info.ts';
import { verifyKeyPackageMessage } from './key-package.ts';
import type { PublicMessage } from './library.ts';
import { decodeGroupInfoMessage, decodePublicMessage, encodePublicMessage } from './messages.ts';
import { peekMessage } from './peek.ts';
import { createHubProposal } from './proposal-create.ts';
import { enterEpoch, stageProposal, withProposal } from './public-change.ts';
import { readPublicGroup, writePublicGroup } from './public-codec.ts';
import { memberAt, membersOf, type PublicGroup, type RuleContext, stageCommit } from './public-group.ts';
import { readStored } from './state-codec.ts';
import { createNorcSuite } from './suite.ts';
import { TlsFault, TlsWriter } from './tls.ts';
import { encodeTree } from './tree-codec.ts';

const VIEW_VERSION = 1;

/** For servers: hub and followers alike judge commits by the same rules as members (spec/mls-profile section 4). */
export function createGroupViews(options: MlsOptions): GroupViews {
  const suite = createNorcSuite(options.provider);
  const rules: RuleContext = { suite, options, lateMs: options.catchUpMs ?? 0 };
  return {
    async fromGroupInfo(bytes) {
      const info = decodeGroupInfoMessage(bytes);
      if (!info.ok) return info;
      const group = await openGroup(rules, info.value);
      return group.ok ? { ok: true, value: new View(rules, group.value) } : group;
    },
    restore(bytes) {
      const group = readStored(bytes, 'group view', (reader) => {
        if (reader.uint8() !== VIEW_VERSION) throw new TlsFault('malformed', 'version');
        return readPublicGroup(suite, reader);
      });
      return new View(rules, group);
    },
    verifyKeyPackage: (bytes): Promise<Result<KeyPackageInfo>> => verifyKeyPackageMessage(suite, options, bytes),
  };
}

class View implements GroupView {
  readonly conversation: ConversationId;
  readonly settings: ConversationSettings;
  readonly hubKeys: readonly Uint8Array[];
  readonly epoch: number;
  readonly treeHash: Uint8Array;
  readonly #rules: RuleContext;
  readonly #group: PublicGroup;

  constructor(rules: RuleContext, group: PublicGroup) {
    this.#rules = rules;
    this.#group = group;
    this.conversation = idFromBytes(group.context.groupId);
    this.settings = group.extensions.settings;
    this.hubKeys = group.extensions.hubSenders.map(({ publicKey }) => publicKey);
    this.epoch = Number(group.context.epoch);
    this.treeHash = group.context.treeHash;
  }

  get members(): readonly Member[] {
    return membersOf(this.#group);
  }

  get proposedRemovals(): readonly number[] {
    const leaves = new Set<number>();
    for (const { proposal } of this.#group.waiting) {
      if (proposal.proposalType === 'remove') leaves.add(proposal.remove.removed);
    }
    return [...leaves];
  }

  async apply(bytes: Uint8Array): Promise<Result<ViewChange>> {
    const peeked = peekMessage(bytes);
    if (!peeked.ok) return peeked;
    const { wire, conversation, epoch, contentType } = peeked.value;
    if (conversation !== this.conversation) return reject('malformed', 'message of another conversation');
    if (wire !== 'public') return reject('commit_invalid', 'commits and proposals travel in the open');
    if (epoch < this.epoch) return reject('epoch_stale', 'handshake message of a past epoch');
    if (epoch > this.epoch) return reject('log_gap', 'message of a later epoch');
    const data = checkPublicData(peeked.value, this.conversation);
    if (!data.ok) return data;
    const message = decodePublicMessage(bytes);
    if (!message.ok) return message;
    return contentType === 'proposal' ? this.#applyProposal(message.value) : this.#applyCommit(message.value);
  }

  async #applyCommit(message: PublicMessage): Promise<Result<ViewChange>> {
    const { suite } = this.#rules;
    const tags = checkTagLengths(message, suite.impl.kdf.size);
    if (!tags.ok) return tags;
    const staged = await stageCommit(this.#rules, this.#group, message);
    if (!staged.ok) return staged;
    const { sender, epoch, added, removed } = committed(staged.value, false);
    const group = await enterEpoch(suite, this.#group, staged.value, tags.value);
    const view = new View(this.#rules, group);
    return { ok: true, value: { kind: 'commit', view, epoch, sender, added, removed } };
  }

  async #applyProposal(message: PublicMessage): Promise<Result<ViewChange>> {
    const staged = await stageProposal(this.#rules, this.#group, message);
    if (!staged.ok) return staged;
    const view = new View(this.#rules, withProposal(this.#group, staged.value.waiting));
    return { ok: true, value: { kind: 'proposal', view, epoch: this.epoch, sender: staged.value.sender } };
  }

  async proposeRemove(leafIndex: number, signer: HubSigner, data: ProposalData): Promise<Uint8Array> {
    const index = this.hubKeys.findIndex((publicKey) => sameBytes(publicKey, signer.publicKey));
    if (data.conversation !== this.conversation) throw new RangeError('envelope of another conversation');
    if (index < 0) throw new RangeError('this key may not propose in this group');
    if (memberAt(this.#group, leafIndex) === undefined) throw new RangeError('no member at this leaf');
    const { suite } = this.#rules;
    return encodePublicMessage(await createHubProposal(suite, this.#group, leafIndex, index, { signer, data }));
  }

  ratchetTree(): Uint8Array {
    return encodeTree(this.#group.hashed.tree);
  }

  serialize(): Uint8Array {
    const writer = new TlsWriter(65_536).uint8(VIEW_VERSION);
    writePublicGroup(writer, this.#group);
    return writer.finish();
  }
}

/** A server cannot verify the tags; that they are there, it can. */
function checkTagLengths({ auth, ...message }: PublicMessage, bytes: number): Result<Uint8Array> {
  const membership = message.senderType === 'member' ? message.membershipTag.length : 0;
  if (auth.contentType !== 'commit' || auth.confirmationTag.length !== bytes || membership !== bytes) {
    return reject('commit_invalid', 'tags');
  }
  return { ok: true, value: auth.confirmationTag };
}
