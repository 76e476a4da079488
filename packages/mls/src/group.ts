import { type ConversationId, idFromBytes, LIMITS, type Result, reject } from '@norc/protocol/base';
import { decodeContent, encodeContent, type MessageContent } from '@norc/protocol/norc-c';
import {
  type AuthenticatedData,
  encodeAuthenticatedData,
  parseAuthenticatedData,
  parseProposalData,
} from './authenticated-data.ts';
import { createCommit } from './commit-create.ts';
import { membershipTagValid, openCommit } from './commit-open.ts';
import type {
  CommitIntent,
  ConversationSettings,
  Member,
  MlsGroup,
  OwnIdentity,
  PendingCommit,
  ProposedRemoval,
  Received,
} from './engine.ts';
import { type EpochKeys, eraseEpochKeys, openMessage, sealMessage } from './epoch-keys.ts';
import { type GroupParts, storeGroup, storeRatchets } from './group-storage.ts';
import { credentialOf } from './key-package.ts';
import { mlsExporter, type PublicMessage } from './library.ts';
import { eraseDifference, type MemberState } from './member-state.ts';
import {
  decodeKeyPackage,
  decodePublicMessage,
  encodeGroupInfoMessage,
  encodePublicMessage,
  encodeWelcome,
} from './messages.ts';
import { type PeekedMessage, type PeekedPrivate, type PeekedPublic, peekMessage } from './peek.ts';
import type { Retention } from './profile.ts';
import { createRemoveProposal } from './proposal-create.ts';
import type { Added, Removed, VerifiedAdd } from './proposals.ts';
import { describeProposal, proposedRemovals, stageProposal, withProposal } from './public-change.ts';
import { memberAt, type RuleContext, type StagedCommit, stageCommit, verifyAdd } from './public-group.ts';

const NOTHING = new Uint8Array(0);

/** A member's group (see engine.ts for what each call promises). */
export class Group implements MlsGroup {
  readonly conversation: ConversationId;
  readonly settings: ConversationSettings;
  readonly #rules: RuleContext;
  readonly #identity: OwnIdentity;
  readonly #retention: Retention;
  readonly #parts: GroupParts;
  /** Settles when the last call that was made is done. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(rules: RuleContext, identity: OwnIdentity, retention: Retention, parts: GroupParts) {
    this.#rules = rules;
    this.#identity = identity;
    this.#retention = retention;
    this.#parts = parts;
    this.conversation = idFromBytes(parts.state.group.context.groupId);
    this.settings = parts.state.group.extensions.settings;
  }

  get #state(): MemberState {
    return this.#parts.state;
  }

  get epoch(): number {
    return Number(this.#state.group.context.epoch);
  }

  get ownLeafIndex(): number {
    return this.#state.ownLeafIndex;
  }

  get active(): boolean {
    return this.#parts.active;
  }

  get members(): readonly Member[] {
    return [...this.#state.keys.members.values()];
  }

  get treeHash(): Uint8Array {
    return this.#state.group.context.treeHash;
  }

  get epochAuthenticator(): Uint8Array {
    return this.#state.secrets.epochAuthenticator;
  }

  get hasProposals(): boolean {
    return this.#state.group.waiting.length > 0;
  }

  get proposedRemovals(): readonly ProposedRemoval[] {
    return proposedRemovals(this.#state.group);
  }

  get pending(): PendingCommit | undefined {
    return this.#parts.pending?.commit;
  }

  get messagesInEpoch(): number {
    return this.#state.keys.messages;
  }

  prepareCommit(intent: CommitIntent): Promise<Result<PendingCommit>> {
    return this.#exclusive(async () => {
      // Had the hub accepted a former one, dropping it would leave this device outside the group.
      if (this.pending !== undefined) throw new RangeError('a commit is pending: confirm or abort it');
      if (!this.active) return reject('unexpected_message', 'this device is not a member any more');
      const add = await this.#verifyAdds(intent.add ?? []);
      if (!add.ok) return add;
      const { certificates, authenticatedData } = intent;
      const created = await createCommit(this.#rules.suite, this.#state, {
        add: add.value,
        remove: intent.remove ?? [],
        update: intent.update === true || certificates !== undefined,
        credential: certificates === undefined ? undefined : credentialOf(certificates),
        authenticatedData: authenticatedData === undefined ? NOTHING : this.#encodeData(authenticatedData),
        signPrivateKey: this.#identity.signPrivateKey,
      });
      if (!created.ok) return created;
      const { message, welcome, groupInfo, outcome, next } = created.value;
      const commit: PendingCommit = {
        commit: encodePublicMessage(message),
        ...(welcome === undefined ? {} : { welcome: encodeWelcome(welcome) }),
        groupInfo: encodeGroupInfoMessage(groupInfo),
        epoch: Number(next.group.context.epoch),
        added: outcome.added.map(asMember),
        removed: outcome.removed,
      };
      this.#parts.pending = { commit, next };
      this.#parts.revision += 1;
      if ([commit.commit, commit.groupInfo, commit.welcome ?? NOTHING].some(isTooLarge)) {
        this.#dropPending();
        return reject('limit_exceeded', 'commit: size; add fewer at once');
      }
      return { ok: true, value: commit };
    });
  }

  async #verifyAdds(keyPackages: readonly Uint8Array[]): Promise<Result<VerifiedAdd[]>> {
    const adds: VerifiedAdd[] = [];
    const rules = { ...this.#rules, lateMs: 0 };
    for (const bytes of keyPackages) {
      const keyPackage = decodeKeyPackage(bytes);
      if (!keyPackage.ok) return keyPackage;
      const identity = await verifyAdd(rules, keyPackage.value);
      if (!identity.ok) return identity;
      adds.push({ keyPackage: keyPackage.value, identity: identity.value });
    }
    return { ok: true, value: adds };
  }

  confirm(pending: PendingCommit): Promise<void> {
    return this.#exclusive(async () => {
      const own = this.#parts.pending;
      if (own?.commit !== pending) throw new RangeError('this commit is not pending');
      this.#parts.pending = undefined;
      this.#advance(own.next);
    });
  }

  abort(pending: PendingCommit): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#parts.pending?.commit !== pending) return; // a winner that was received has erased it
      this.#dropPending();
      this.#parts.revision += 1;
    });
  }

  #dropPending(): void {
    const { pending } = this.#parts;
    if (pending === undefined) return;
    this.#parts.pending = undefined;
    eraseEpochKeys(pending.next.keys);
    eraseDifference(this.#rules.suite, pending.next, this.#state);
  }

  /** Only here are secrets of the old epoch erased: a commit that lost must leave it whole. */
  #advance(next: MemberState): void {
    const old = this.#state;
    this.#dropPending();
    this.#parts.past.push(old.keys);
    while (this.#parts.past.length > this.#retention.epochsRetained) {
      const oldest = this.#parts.past.shift();
      if (oldest !== undefined) eraseEpochKeys(oldest);
    }
    eraseDifference(this.#rules.suite, old, next);
    this.#parts.state = next;
    this.#parts.revision += 1;
  }

  proposeRemove(leafIndex: number): Promise<Result<Uint8Array>> {
    return this.#exclusive(async () => {
      if (!this.active) return reject('unexpected_message', 'this device is not a member any more');
      if (memberAt(this.#state.group, leafIndex) === undefined)
        return reject('commit_invalid', 'remove: no such member');
      const { suite } = this.#rules;
      const message = await createRemoveProposal(suite, this.#state, leafIndex, this.#identity.signPrivateKey);
      return { ok: true, value: encodePublicMessage(message) };
    });
  }

  encrypt(content: MessageContent, data: AuthenticatedData, after?: PendingCommit): Promise<Result<Uint8Array>> {
    return this.#exclusive(async () => {
      const authenticatedData = this.#encodeData(data);
      if (content.message_id !== data.messageId) throw new RangeError('content and envelope name different messages');
      if (!this.active) return reject('unexpected_message', 'this device is not a member any more');
      const state = after === undefined ? this.#state : this.#stateAfter(after);
      if (state.group.waiting.length > 0) return reject('rekey_required', 'proposals wait for a commit');
      const { ownLeafIndex: leafIndex } = this;
      const { signPrivateKey } = this.#identity;
      const request = { content: encodeContent(content), authenticatedData, leafIndex, signPrivateKey };
      const message = await sealMessage(this.#rules.suite, state.keys, request);
      this.#parts.revision += 1;
      return { ok: true, value: message };
    });
  }

  #stateAfter(pending: PendingCommit): MemberState {
    if (this.#parts.pending?.commit !== pending) throw new RangeError('this commit is not pending');
    return this.#parts.pending.next;
  }

  #encodeData(data: AuthenticatedData): Uint8Array {
    if (data.conversation !== this.conversation) throw new RangeError('envelope of another conversation');
    return encodeAuthenticatedData(data);
  }

  receive(message: Uint8Array): Promise<Result<Received>> {
    return this.#exclusive(async () => {
      const peeked = peekMessage(message);
      if (!peeked.ok) return peeked;
      const place = this.#checkPlace(peeked.value);
      if (!place.ok) return place;
      return peeked.value.wire === 'private'
        ? this.#receivePrivate(peeked.value)
        : this.#receivePublic(message, peeked.value);
    });
  }

  /** Of this group, and not ahead of us. The library compares neither (a member could cross messages over). */
  #checkPlace(peeked: PeekedMessage): Result<void> {
    if (!this.active) return reject('unexpected_message', 'this device is not a member any more');
    if (peeked.conversation !== this.conversation) return reject('malformed', 'message of another conversation');
    if (peeked.epoch > this.epoch) return reject('log_gap', 'message of a later epoch');
    return { ok: true, value: undefined };
  }

  async #receivePrivate(peeked: PeekedPrivate): Promise<Result<Received>> {
    if (peeked.contentType !== 'application')
      return reject('commit_invalid', 'commits and proposals travel in the open');
    const keys = this.#keysOf(peeked.epoch);
    if (keys === undefined) return reject('epoch_stale', 'the keys of this epoch are gone');
    const data = parseAuthenticatedData(peeked.authenticatedData);
    if (!data.ok) return data;
    if (data.value.conversation !== this.conversation) return reject('malformed', 'envelope of another conversation');
    const opened = await openMessage(this.#rules.suite, keys, peeked, this.ownLeafIndex, this.#retention);
    if (!opened.ok) return opened;
    this.#parts.revision += 1;
    const content = decodeContent(opened.value.content);
    if (!content.ok) return content;
    if (content.value.message_id !== data.value.messageId) return reject('malformed', 'content and envelope differ');
    const { sender } = opened.value;
    const { epoch } = peeked;
    return {
      ok: true,
      value: { kind: 'application', sender, epoch, authenticatedData: data.value, content: content.value },
    };
  }

  #keysOf(epoch: number): EpochKeys | undefined {
    if (epoch === this.epoch) return this.#state.keys;
    return this.#parts.past.find((keys) => Number(keys.context.epoch) === epoch);
  }

  async #receivePublic(bytes: Uint8Array, peeked: PeekedPublic): Promise<Result<Received>> {
    if (peeked.epoch < this.epoch) return reject('epoch_stale', 'handshake message of a past epoch');
    const data = checkPublicData(peeked, this.conversation);
    if (!data.ok) return data;
    const decoded = decodePublicMessage(bytes);
    if (!decoded.ok) return decoded;
    const message = decoded.value;
    if (message.senderType === 'member' && !(await membershipTagValid(this.#rules.suite, this.#state, message))) {
      return reject('commit_invalid', 'membership tag');
    }
    return peeked.contentType === 'proposal' ? this.#receiveProposal(message) : this.#receiveCommit(message, peeked);
  }

  async #receiveProposal(message: PublicMessage): Promise<Result<Received>> {
    const { group } = this.#state;
    const staged = await stageProposal(this.#rules, group, message);
    if (!staged.ok) return staged;
    const { sender, waiting } = staged.value;
    const proposal = describeProposal(group, waiting);
    this.#parts.state = { ...this.#state, group: withProposal(group, waiting) };
    this.#parts.revision += 1;
    return { ok: true, value: { kind: 'proposal', sender, proposal } };
  }

  async #receiveCommit(message: PublicMessage, peeked: PeekedPublic): Promise<Result<Received>> {
    if (peeked.senderLeaf === this.ownLeafIndex)
      return reject('unexpected_message', 'a commit of this device: confirm it');
    const staged = await stageCommit(this.#rules, this.#state.group, message);
    if (!staged.ok) return staged;
    if (staged.value.removed.some(({ leafIndex }) => leafIndex === this.ownLeafIndex)) {
      this.#leave();
      return { ok: true, value: committed(staged.value, true) };
    }
    if (message.auth.contentType !== 'commit') return reject('malformed', 'commit without a confirmation tag');
    const next = await openCommit(this.#rules.suite, this.#state, staged.value, message.auth.confirmationTag);
    if (!next.ok) return next;
    this.#advance(next.value);
    return { ok: true, value: committed(staged.value, false) };
  }

  /**
   * Removed: whatever could still be opened is erased. Decided from the commit's
   * proposals: the library looks at the leaf, where somebody else may sit by now (fault F3).
   */
  #leave(): void {
    this.#dropPending();
    for (const keys of [...this.#parts.past, this.#state.keys]) eraseEpochKeys(keys);
    eraseDifference(this.#rules.suite, this.#state, undefined);
    this.#parts.past = [];
    this.#parts.state = { ...this.#state, privateKeys: new Map() };
    this.#parts.active = false;
    this.#parts.revision += 1;
  }

  exportSecret(label: string, context: Uint8Array, length: number): Promise<Uint8Array> {
    return this.#exclusive(async () => {
      if (!label.startsWith('norc:')) throw new RangeError('an exporter label begins with norc:');
      if (!this.active) throw new RangeError('this device is not a member any more');
      return mlsExporter(this.#state.secrets.exporterSecret, label, context, length, this.#rules.suite.impl);
    });
  }

  serialize(): Uint8Array {
    return storeGroup(this.#parts);
  }

  serializeRatchets(): Uint8Array {
    return storeRatchets(this.#parts);
  }

  /** One call after the other: two that interleave would each build on a state that the other replaces. */
  #exclusive<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(task);
    this.#tail = run.catch(() => undefined); // the caller has the failure; the next task goes on
    return run;
  }
}

function isTooLarge(message: Uint8Array): boolean {
  return message.length > LIMITS.mlsMessageBytesMax;
}

function asMember({ leafIndex, keyPackage, identity }: Added): Member {
  return { leafIndex, identity, signaturePublicKey: keyPackage.leafNode.signaturePublicKey };
}

export function committed(staged: StagedCommit, selfRemoved: boolean) {
  const removed: readonly Removed[] = staged.removed;
  return {
    kind: 'commit' as const,
    sender: staged.sender,
    epoch: Number(staged.context.epoch),
    added: staged.added.map(asMember),
    removed,
    selfRemoved,
  };
}

/** Commits and proposals carry nothing, or the same envelope as messages; the hub's proposals always say why. */
export function checkPublicData(message: PeekedPublic, conversation: ConversationId): Result<void> {
  const { authenticatedData: data, contentType, senderLeaf } = message;
  const fromHub = contentType === 'proposal' && senderLeaf === undefined;
  if (data.length === 0 && !fromHub) return { ok: true, value: undefined };
  const parsed = fromHub ? parseProposalData(data) : parseAuthenticatedData(data);
  if (!parsed.ok) return parsed;
  return parsed.value.conversation === conversation
    ? { ok: true, value: undefined }
    : reject('malformed', 'envelope of another conversation');
}
