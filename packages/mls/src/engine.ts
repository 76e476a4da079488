import type { Clock, ConversationId, DeviceId, Domain, Instant, Result, UserAddress } from '@norc/protocol/base';
import type { MessageContent } from '@norc/protocol/norc-c';
import type { AuthenticatedData, ProposalData, RemovalCause } from './authenticated-data.ts';
import type { GroupLevel, RetentionPolicy } from './profile.ts';
import type { MlsProvider } from './provider/provider.ts';

/**
 * The one interface between NORC and MLS. No type of the MLS library appears in it,
 * so that the library, or a core of our own, can be exchanged behind it.
 *
 * A peer's fault is a returned reject; the group is then exactly as it was before.
 * All calls on one group run one after the other, in the order in which they were made.
 */

/** Whose device a leaf is: what a verified certificate says, nothing that a peer merely claims. */
export interface MemberIdentity {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly org: Domain;
}

export interface Member {
  readonly leafIndex: number;
  readonly identity: MemberIdentity;
  readonly signaturePublicKey: Uint8Array;
}

/**
 * Checks a device certificate chain against the pinned organisation root, the dates,
 * the revocations and the transparency log, and that it certifies this very key.
 * Called for each member on a join, and for each credential that a commit brings.
 */
export type VerifyCredential = (
  certificates: readonly Uint8Array[],
  signaturePublicKey: Uint8Array,
  now: Instant,
) => Promise<Result<MemberIdentity>>;

/** Checks that the key is one of the hub's server keys; the hub's domain is the answer. */
export type VerifyHub = (
  certificates: readonly Uint8Array[],
  signaturePublicKey: Uint8Array,
  now: Instant,
) => Promise<Result<Domain>>;

export interface MlsOptions {
  readonly provider: MlsProvider;
  readonly clock: Clock;
  readonly verifyCredential: VerifyCredential;
  /** Without it, groups that let their hub propose removals are refused. */
  readonly verifyHub?: VerifyHub;
  /** By default the registry's, per level. */
  readonly retention?: RetentionPolicy;
  /** How long after its end a KeyPackage's lifetime is still accepted in a commit that is received late. */
  readonly catchUpMs?: number;
}

/** A device's own identity. The engine never stores the private key: it is asked for at each start. */
export interface OwnIdentity {
  /** Device certificate, then its issuer's; the signed documents' exact bytes. */
  readonly certificates: readonly Uint8Array[];
  /** Ed25519 seed. */
  readonly signPrivateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface KeyPackageLifetime {
  readonly notBefore: Instant;
  readonly notAfter: Instant;
}

export interface OwnKeyPackage {
  /** MLSMessage with the KeyPackage: what is published. */
  readonly keyPackage: Uint8Array;
  /** KeyPackageRef: what a Welcome names. */
  readonly ref: Uint8Array;
  /** Package and private keys, for `join`. Encrypt at rest; delete after the join unless it is the last resort. */
  readonly secret: Uint8Array;
}

export interface KeyPackageInfo {
  readonly ref: Uint8Array;
  readonly identity: MemberIdentity;
  readonly signaturePublicKey: Uint8Array;
  readonly lastResort: boolean;
  readonly notAfter: Instant;
}

/** Who may propose removals from outside: the hub's server key. */
export interface HubSender {
  readonly publicKey: Uint8Array;
  readonly certificates: readonly Uint8Array[];
}

/** The hub's server key, wherever it is kept. */
export interface HubSigner {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** A removal that waits for a commit. */
export interface ProposedRemoval {
  readonly member: Member;
  readonly by: Member | 'hub';
  /** Of the hub's. */
  readonly cause?: RemovalCause;
}

export interface ConversationSettings {
  /** The organisation whose server orders the log. */
  readonly hub: Domain;
  /** Trust floor: decides what is retained. Never changes. */
  readonly level: GroupLevel;
}

export interface NewConversation extends ConversationSettings {
  readonly conversation: ConversationId;
  readonly identity: OwnIdentity;
  readonly hubSenders?: readonly HubSender[];
}

export interface CommitIntent {
  /** KeyPackages (MLSMessage) of devices to add. */
  readonly add?: readonly Uint8Array[];
  /** Leaves to remove. */
  readonly remove?: readonly number[];
  /** Fresh keys for this device also where MLS does not demand them (a commit that only adds). */
  readonly update?: boolean;
  /** A renewed certificate chain for this device's leaf; implies `update`. */
  readonly certificates?: readonly Uint8Array[];
  readonly authenticatedData?: AuthenticatedData;
}

/** A commit that was made but not yet ordered. Nothing of the group has changed. */
export interface PendingCommit {
  /** MLSMessage with a PublicMessage. */
  readonly commit: Uint8Array;
  /** MLSMessage with a Welcome for those that are added; absent when nobody is. */
  readonly welcome?: Uint8Array;
  /** MLSMessage with the GroupInfo after the commit, ratchet tree included. */
  readonly groupInfo: Uint8Array;
  /** The epoch that it would begin. */
  readonly epoch: number;
  readonly added: readonly Member[];
  readonly removed: readonly Member[];
}

export type Received =
  | {
      readonly kind: 'application';
      readonly sender: Member;
      readonly epoch: number;
      readonly authenticatedData: AuthenticatedData;
      readonly content: MessageContent;
    }
  | {
      readonly kind: 'commit';
      readonly sender: Member;
      /** The epoch that it began. */
      readonly epoch: number;
      readonly added: readonly Member[];
      readonly removed: readonly Member[];
      /** This device is out: its secrets are gone and the group only answers questions. */
      readonly selfRemoved: boolean;
    }
  | {
      readonly kind: 'proposal';
      readonly sender: Member | 'hub';
      readonly proposal:
        | { readonly type: 'add'; readonly identity: MemberIdentity }
        | { readonly type: 'remove'; readonly member: Member };
    };

export interface MlsGroup {
  readonly conversation: ConversationId;
  readonly settings: ConversationSettings;
  readonly epoch: number;
  readonly ownLeafIndex: number;
  /** False once this device was removed. */
  readonly active: boolean;
  readonly members: readonly Member[];
  readonly treeHash: Uint8Array;
  /** Equal on all members that agree; safe to compare in the open. */
  readonly epochAuthenticator: Uint8Array;
  /** Proposals wait: no message can be sent until a commit includes them. */
  readonly hasProposals: boolean;
  /** Removals that the next commit has to include. */
  readonly proposedRemovals: readonly ProposedRemoval[];
  readonly pending: PendingCommit | undefined;
  /** Application messages sent and received in this epoch: what rekeying is counted by. */
  readonly messagesInEpoch: number;

  /**
   * Makes a commit; the group stays in its epoch until `confirm`. Store the group before sending
   * the commit: without its pending state, this device cannot enter the epoch that it begins.
   * Throws RangeError while another one is pending. Errors: as for received commits; `forbidden`
   * when this device itself is proposed for removal.
   */
  prepareCommit(intent: CommitIntent): Promise<Result<PendingCommit>>;
  /** The hub ordered it: the group enters the new epoch and what the commit used up is erased. */
  confirm(pending: PendingCommit): Promise<void>;
  /** The hub ordered another one: erases it. The group can process the winner. */
  abort(pending: PendingCommit): Promise<void>;

  /** MLSMessage with a PublicMessage that proposes to remove a member (this device too: it leaves so). */
  proposeRemove(leafIndex: number): Promise<Result<Uint8Array>>;

  /**
   * MLSMessage with a PrivateMessage. With `after`, sealed for the epoch that this pending commit
   * will begin: for the bundle of commit and message that classified levels send.
   * Errors: `rekey_required` while proposals wait, `unexpected_message` once removed.
   */
  encrypt(content: MessageContent, data: AuthenticatedData, after?: PendingCommit): Promise<Result<Uint8Array>>;

  /**
   * Any group message. Errors: malformed and its kin, epoch_stale (its keys are gone), log_gap (an
   * epoch ahead of us), commit_invalid, credential_invalid, signature_invalid, message_rejected (not
   * authentic, or seen before), unexpected_message (our own, or we are removed).
   */
  receive(message: Uint8Array): Promise<Result<Received>>;

  /** RFC 9420 section 8.5. The label must begin with `norc:`. */
  exportSecret(label: string, context: Uint8Array, length: number): Promise<Uint8Array>;

  /** The whole state, a pending commit included. Secret: the caller encrypts it. */
  serialize(): Uint8Array;
  /**
   * The part that changes with each application message, small: store it after each, and
   * `serialize()` after everything else, each pair in one transaction.
   */
  serializeRatchets(): Uint8Array;
}

export interface MlsEngine {
  /** Throws RangeError for a lifetime beyond the limit. */
  createKeyPackage(request: {
    readonly identity: OwnIdentity;
    readonly lastResort: boolean;
    readonly lifetime?: KeyPackageLifetime;
  }): Promise<OwnKeyPackage>;
  verifyKeyPackage(keyPackage: Uint8Array): Promise<Result<KeyPackageInfo>>;
  /** The GroupInfo is that of epoch 0, with the ratchet tree: the hub's view starts with it. */
  createGroup(request: NewConversation): Promise<{ readonly group: MlsGroup; readonly groupInfo: Uint8Array }>;
  /** KeyPackageRefs that a Welcome is for. */
  welcomeRefs(welcome: Uint8Array): Result<readonly Uint8Array[]>;
  /** `secret` is an `OwnKeyPackage.secret`. `ratchetTree` when the Welcome does not hold it. */
  join(request: {
    readonly welcome: Uint8Array;
    readonly secret: Uint8Array;
    readonly identity: OwnIdentity;
    readonly ratchetTree?: Uint8Array;
  }): Promise<Result<MlsGroup>>;
  /** Throws RangeError for bytes that `serialize` did not make. */
  restore(state: Uint8Array, identity: OwnIdentity, ratchets?: Uint8Array): MlsGroup;
}

/** What a server knows of a conversation: all that is public, no secret. Immutable. */
export interface GroupView {
  readonly conversation: ConversationId;
  readonly settings: ConversationSettings;
  /** Keys by which the hub may propose removals. */
  readonly hubKeys: readonly Uint8Array[];
  readonly epoch: number;
  readonly treeHash: Uint8Array;
  readonly members: readonly Member[];
  /** Leaves that waiting proposals would remove. */
  readonly proposedRemovals: readonly number[];
  /** Verifies a commit or proposal completely, but for the two tags that need a group secret. */
  apply(message: Uint8Array): Promise<Result<ViewChange>>;
  /** The hub's own proposal, to be put into the log and applied. Throws RangeError for a key that is none of `hubKeys`. */
  proposeRemove(leafIndex: number, signer: HubSigner, data: ProposalData): Promise<Uint8Array>;
  /** What a joiner needs when its Welcome has no tree. */
  ratchetTree(): Uint8Array;
  serialize(): Uint8Array;
}

export type ViewChange =
  | {
      readonly kind: 'commit';
      readonly view: GroupView;
      readonly epoch: number;
      readonly sender: Member;
      readonly added: readonly Member[];
      readonly removed: readonly Member[];
    }
  | {
      readonly kind: 'proposal';
      readonly view: GroupView;
      readonly epoch: number;
      readonly sender: Member | 'hub';
    };

export interface GroupViews {
  /** Verifies the signature, the whole tree and every member's credential. */
  fromGroupInfo(groupInfo: Uint8Array): Promise<Result<GroupView>>;
  /** Throws RangeError for bytes that `serialize` did not make. */
  restore(view: Uint8Array): GroupView;
  verifyKeyPackage(keyPackage: Uint8Array): Promise<Result<KeyPackageInfo>>;
}
