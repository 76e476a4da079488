import type {
  AuditType,
  ConversationId,
  DeviceId,
  Domain,
  Instant,
  Label,
  MessageId,
  Reject,
  Result,
  TrustLevel,
  UserAddress,
} from '@norc/protocol/base';
import type { NorcCBody } from '@norc/protocol/norc-c';
import type { MlsHeader, NorcFBody, NorcFMessage, NorcFType } from '@norc/protocol/norc-f';
import type {
  ApprovalAction,
  ApprovalQuestion,
  ConditionRule,
  ExpectedApproval,
  Finding,
  GrantedLevel,
  OfficerId,
  OfficerRole,
  SignedApproval,
  TrustCertificate,
  TrustDecision,
  TrustQuestion,
  TrustScore,
  VerifiedApproval,
} from '@norc/protocol/norc-t';
import type { EntryKind, ReceivedMessage, WireLogEntry } from '@norc/protocol/wire';
import type { DeviceRow, OutboxRow, StoreWrite } from './storage/port.ts';
import type { PriorityClass } from './transport/port.ts';

/**
 * What the services of one organisation ask of each other. A service never reaches
 * into another's inside (ARCHITECTURE.md); node.ts wires them together.
 */

/** A device whose session proved its key. Only the NORC-C service makes one. */
export interface AuthenticatedDevice {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
}

// ---- directory: users, devices, key packages --------------------------------------------

export interface Directory {
  addUser(user: UserAddress, actor: string): Promise<Result<{ readonly added: boolean }>>;
  /** The secret goes into the enrolment code and is kept only as a hash. */
  createEnrolment(
    user: UserAddress,
    actor: string,
  ): Promise<Result<{ readonly secret: Uint8Array; readonly expiresAt: Instant }>>;
  register(request: RegistrationRequest): Promise<Result<RegisteredDevice>>;
  device(deviceId: DeviceId): Promise<DeviceRow | undefined>;
  devicesOf(user: UserAddress): Promise<readonly DeviceRow[]>;
  revokeDevice(deviceId: DeviceId, actor: string): Promise<Result<{ readonly user: UserAddress }>>;
  publishKeyPackages(
    device: AuthenticatedDevice,
    packages: readonly Uint8Array[],
    lastResort: Uint8Array | undefined,
  ): Promise<Result<{ readonly stock: number }>>;
  keyStock(deviceId: DeviceId): Promise<number>;
  /** Local users only. A user without an answer is absent from the result. */
  claimKeyPackages(users: readonly UserAddress[], requester: UserAddress): Promise<readonly ClaimedPackage[]>;
  /** Called after a device of the user was registered or revoked. */
  onDevicesChanged(listener: (user: UserAddress, revoked: DeviceId | undefined) => void): void;
}

export interface RegistrationRequest {
  readonly user: UserAddress;
  readonly secret: Uint8Array;
  readonly deviceId: DeviceId;
  readonly name: string;
  readonly publicKey: Uint8Array;
}

export interface RegisteredDevice {
  readonly status: 'registered' | 'already_registered';
  readonly certificate: Uint8Array;
  readonly issuerCertificate: Uint8Array;
}

export interface ClaimedPackage {
  readonly user: UserAddress;
  readonly deviceId: DeviceId;
  readonly keyPackage: Uint8Array;
}

// ---- delivery: the logs of conversations, as hub and as follower ------------------------

export interface Delivery {
  create(sender: AuthenticatedDevice, request: CreateRequest): Promise<Result<SubmitOutcome>>;
  submit(sender: AuthenticatedDevice, submission: LocalSubmission): Promise<Result<SubmitOutcome>>;
  /** `submit` for an application message: the hot path, so it tells a listener instead of making promises. */
  send(sender: AuthenticatedDevice, message: LocalMessage, listener: SendListener): void;
  /** From a follower's server; the link already proved who it is. */
  submitFrom(
    peer: Domain,
    item: NorcFBody<'message_submit'>['items'][number],
  ): Promise<NorcFBody<'submit_result'>['items'][number]>;
  /** From the hub's server. Resolves when the entries are durable here. */
  acceptRelay(peer: Domain, relay: NorcFBody<'message_relay'>): Promise<Result<{ readonly seq: number }>>;
  acceptAnnounce(peer: Domain, announce: NorcFBody<'conversation_announce'>): Promise<Result<{ readonly seq: number }>>;
  acceptDelivered(peer: Domain, updates: NorcFBody<'delivery_ack'>['updates']): Promise<void>;
  /** A new link to `peer` is up: what it lacks is found out from the store. */
  linkUp(peer: Domain): Promise<void>;
  /** Entries that `peer` lacks, ready to send, after those that earlier calls gave; undefined when nothing may go now. */
  nextRelay(peer: Domain): Promise<OutgoingRelay | undefined>;
  /** `relay`: the one that this answers. */
  relayAcked(peer: Domain, relay: OutgoingRelay, seq: number): Promise<void>;
  /** The follower refused the relay: this conversation waits a while. */
  relayRefused(peer: Domain, relay: OutgoingRelay): void;
  /** The follower took our announcement; it holds the log up to `seq`. */
  announced(peer: Domain, conversation: ConversationId, seq: number): Promise<void>;
  /** Whether trust lets this many bytes of the conversation go to `peer` now; of a frozen one no message goes. */
  mayCarry(peer: Domain, conversation: ConversationId, bytes: number, kind?: EntryKind): Promise<boolean>;
  /** The hub's answer to what the outbox sent. */
  submissionResolved(peer: Domain, results: NorcFBody<'submit_result'>['items']): Promise<void>;
  cursors(
    device: AuthenticatedDevice,
    cursors: readonly { readonly conversation: ConversationId; readonly seq: number }[],
  ): void;
  /** Conversations in which something is, or may come, for the device; `headSeq`: the last entry that is for it. */
  memberships(device: AuthenticatedDevice): Promise<readonly Membership[]>;
  /** Entries for one device after `after`, Welcome only where it is for this device. */
  entriesFor(
    device: AuthenticatedDevice,
    conversation: ConversationId,
    after: number,
    limit: number,
    bytesMax: number,
  ): Promise<Result<ConversationEntries>>;
  /** The same, when memory has them: for devices that are up to date. `undefined`: ask `entriesFor`. */
  recentFor(
    device: AuthenticatedDevice,
    conversation: ConversationId,
    after: number,
    limit: number,
    bytesMax: number,
  ): ConversationEntries | undefined;
  deliveredIn(
    conversation: ConversationId,
  ): Promise<readonly { readonly conversation: ConversationId; readonly user: UserAddress; readonly seq: number }[]>;
  /** A session's ear. Calls come after the fact is durable, in order per conversation. */
  attach(device: AuthenticatedDevice, ear: DeliveryEar): () => void;
  /** Freezes shared conversations while trust in `domain` is suspended: nobody goes. Returns how many. */
  freezeWith(domain: Domain): Promise<number>;
  /** Trust in `domain` is back: thaws what only waited for that. Who was put out stays out. */
  readmit(domain: Domain): Promise<number>;
  /**
   * Trust between two organisations ended: what they share is frozen, and whoever is hub here
   * proposes the removal of those who have to go. Resolves when all is frozen or closed; proposals and
   * commits come later (`expulsions`, `onExpelled`). Again with the same end, it goes on where it was.
   */
  expel(end: TrustEnd): Promise<ExpulsionProgress>;
  /** What became of ended trust, from memory; of these parties where they are named. */
  expulsions(about?: Partial<Pick<TrustEnd, 'issuer' | 'subject' | 'sequence'>>): readonly ExpulsionProgress[];
  /** Every conversation that an end of trust concerned. */
  expelledFrom(end: Omit<TrustEnd, 'cause'>): readonly ConversationExpulsion[];
  /** Called when a conversation is done with, after its receipt is durable. */
  onExpelled(listener: (done: ExpelledConversation) => void): void;
  /** An organisation revoked one of its devices: as its hub we propose its removal. Returns in how many conversations. */
  expelDevice(deviceId: DeviceId): Promise<number>;
  /** Why nothing goes on in a conversation for good, if so. */
  closure(conversation: ConversationId): Closure | undefined;
  /** Writes what waits to be written a little later, for a clean stop. */
  flush(): void;
}

/** Trust in `subject` that `issuer` ended, or that ended by itself. One of the two may be this organisation. */
export interface TrustEnd {
  readonly issuer: Domain;
  readonly subject: Domain;
  /** Of the issuer's statement; 0 without one. */
  readonly sequence: number;
  readonly cause: 'trust_revoked' | 'trust_expired' | 'trust_ended';
}

export interface ExpulsionProgress extends TrustEnd {
  readonly startedAt: Instant;
  /** Conversations concerned: all of them are frozen, or were until they were done with. */
  readonly conversations: number;
  readonly removed: number;
  readonly closed: number;
  /** Frozen, and waiting for a commit. */
  readonly pending: readonly ConversationId[];
  /** When the last one was done with; absent while one is pending. */
  readonly completedAt?: Instant;
}

export interface ExpelledConversation {
  readonly conversation: ConversationId;
  readonly outcome: 'removed' | 'closed';
  /** `revocation_receipt` in canonical JSON (protocol/norc-f/receipt), as kept under trust record kind `receipt`. */
  readonly receipt: Uint8Array;
  readonly end: TrustEnd;
  /** Conversations of this end that still wait. */
  readonly pending: number;
}

export interface ConversationExpulsion {
  /** Its pseudonym in hexadecimal (protocol/norc-f/receipt). */
  readonly conversation: string;
  readonly state: 'frozen' | 'removed' | 'closed';
  readonly frozenAt: Instant;
  readonly removedAt?: Instant;
  readonly epochBefore: number;
  readonly epochAfter: number;
  /** Signed, as it is now. */
  readonly receipt: Uint8Array;
}

/** A conversation that its hub's organisation, or the end of everybody's trust, took away. */
export interface Closure {
  /** The organisation with which trust ended. */
  readonly org: Domain;
  readonly cause: TrustEnd['cause'];
}

/** A relay to send. `run`: which run of sending it belongs to; an answer counts only while that one goes on. */
export interface OutgoingRelay {
  readonly body: NorcFBody<'message_relay'>;
  readonly run: number;
}

export interface Membership {
  readonly conversation: ConversationId;
  readonly cursor: number;
  readonly headSeq: number;
}

export interface CreateRequest {
  readonly conversation: ConversationId;
  readonly label: Label;
  readonly messageId: MessageId;
  readonly commit: Uint8Array;
  readonly welcome: Uint8Array;
  readonly groupInfo: Uint8Array;
}

export interface LocalSubmission {
  readonly conversation: ConversationId;
  readonly messageId: MessageId;
  readonly kind: 'application' | 'commit';
  readonly body: Uint8Array;
  readonly welcome?: Uint8Array;
  readonly groupInfo?: Uint8Array;
}

export interface LocalMessage {
  readonly conversation: ConversationId;
  readonly body: Uint8Array;
  /** What the body says of itself in the clear (delivery/mls-header). */
  readonly header: MlsHeader;
}

/** One of the two is called, once; `settled` after the fact is durable. */
export interface SendListener {
  settled(outcome: Result<SubmitOutcome>): void;
  /** Something of ours broke; the device may send the message again. */
  failed(error: unknown): void;
}

/** `queued`: in our outbox towards the hub. `sent`: ordered. */
export type SubmitOutcome = { readonly state: 'queued' } | ({ readonly state: 'sent' } & OrderedPlace);

/** Where an entry stands in the log. With `proof`, what its sender needs to check the log's hash chain without getting it back. */
export interface OrderedPlace {
  readonly seq: number;
  readonly proof?: { readonly hash: Uint8Array; readonly storedAt: Instant };
}

export interface ConversationEntries {
  readonly conversation: ConversationId;
  readonly hub: Domain;
  readonly label: Label;
  readonly headSeq: number;
  readonly entries: readonly WireLogEntry[];
}

export interface DeliveryEar {
  /** The log of a conversation of this device has grown to `headSeq`; or it has just become a member. */
  grown(conversation: ConversationId, headSeq: number): void;
  /** What became of this device's own queued submission. */
  resolved(
    conversation: ConversationId,
    messageId: MessageId,
    outcome: OrderedPlace | { readonly refused: Reject },
  ): void;
  delivered(conversation: ConversationId, user: UserAddress, seq: number): void;
  /** Nothing goes on in this conversation any more. */
  closed(conversation: ConversationId, closure: Closure): void;
}

// ---- trust ---------------------------------------------------------------------------------

export interface Trust {
  /** The one decision function over the facts held now (protocol/norc-t). */
  decide(question: TrustQuestion): TrustDecision;
  /** The level that counts with `peer` now; `untrusted` when nothing may pass. */
  level(peer: Domain): TrustLevel;
  /** Facts for link pinning: the peer's TLS key hashes and root key; undefined without a certificate in force. */
  pins(peer: Domain): { readonly spkiHashes: readonly Uint8Array[]; readonly rootKey: Uint8Array } | undefined;
  /** The root key to check credentials of `domain` against: our own, or the one that trust pinned. */
  rootKey(domain: Domain): Uint8Array | undefined;
  /** What a device of ours is told of an organisation, our own too, with the documents that prove it. */
  describeToDevice(domain: Domain): Promise<NorcCBody<'org_response'>>;
  peers(): readonly Domain[];
  /** After a certificate came into force, or ended, or its level changed. What a listener does is waited for before it is acknowledged. */
  onChange(listener: (peer: Domain, change: 'granted' | 'ended' | 'changed') => unknown): void;
  /** A trust document from the link's control stream; the reply document, if any. */
  receive(
    peer: Domain,
    type: number,
    document: Uint8Array,
  ): Promise<Result<{ readonly type: number; readonly document: Uint8Array } | undefined>>;
}

/** What an officer sees of one partner. Times in milliseconds since 1970. */
export interface TrustSummary {
  readonly peer: Domain;
  /** `none`: never agreed, or over. */
  readonly state: 'none' | 'requested' | 'awaiting_approval' | 'in_force' | 'expired' | 'revoked' | 'refused';
  /** The lower of the two directions when in force; the requested one while open. */
  readonly level: TrustLevel;
  readonly notAfter?: Instant;
  /** Fingerprint of the partner's root key, for comparison by another channel. */
  readonly rootFingerprint?: Uint8Array;
  readonly exchangeId?: string;
  /** Why it is as it is, for people. */
  readonly explanation: string;
  /** Everything that was found about the partner in the last exchange, with its age now. */
  readonly evidence?: readonly (Finding & { readonly ageMilliseconds: number })[];
  /** As it came out then, and what the policy asks for at that level now. */
  readonly score?: TrustScore;
  readonly scoreMin?: number;
  readonly approvals?: ExchangeApprovals;
  /** The officer of the initiator who signed the request. */
  readonly requestedBy?: OfficerId;
  /** Whose officers an open exchange waits for. */
  readonly waitsFor?: 'ours' | 'theirs';
  /** The pair in force: dates, conditions with their deadlines, limits. `given`: by us. */
  readonly certificates?: { readonly given: TrustCertificate; readonly received: TrustCertificate };
}

/** Officers in the last exchange with a partner. */
export interface ExchangeApprovals {
  /** Whether ours sign with their own keys. */
  readonly signed: boolean;
  /** Of ours, in all. */
  readonly needed: number;
  readonly given: readonly { readonly by: string; readonly at: Instant }[];
  /** Those of the other side whose signatures we hold. */
  readonly theirs: readonly { readonly by: OfficerId; readonly at: Instant }[];
  /** What ours sign now, while it waits for them. */
  readonly subject?: Uint8Array;
  /** When what approvals rest on gets too old: then they are void. */
  readonly goodUntil?: Instant;
}

/** What may be said of a request besides the level. */
export interface TrustRequestOptions {
  /** At most what the policy allows at the level, which is the default. */
  readonly days?: number;
  /** Of the certificate that this side will give, besides those of the policy. */
  readonly conditions?: readonly ConditionRule[];
  readonly natoCapable?: boolean;
  /** For the other side's officers. */
  readonly note?: string;
}

export interface TrustRequestDraft {
  /** Canonical JSON (`encodeRequestDescription`), to be shown. */
  readonly description: Uint8Array;
  /** `requestSubject` of it. */
  readonly subject: Uint8Array;
  /** Whether an officer has to sign it at this level. */
  readonly signed: boolean;
}

export interface SignedRequest {
  /** Which draft. */
  readonly subject: Uint8Array;
  readonly approval: SignedApproval;
}

/** What officers do. Each call is an audit entry in the transaction that it causes. */
export interface TrustOfficer {
  /** `requested`: an officer's signature over a draft that `draftRequest` gave; its terms are then those of the draft. */
  request(
    peer: Domain,
    level: TrustLevel,
    actor: string,
    options?: TrustRequestOptions & { readonly requested?: SignedRequest },
  ): Promise<Result<{ readonly exchangeId: string }>>;
  /** What an officer who asks for trust signs. Kept for a while, so that the request is exactly what was signed. */
  draftRequest(peer: Domain, level: TrustLevel, options?: TrustRequestOptions): Result<TrustRequestDraft>;
  summaries(): readonly TrustSummary[];
  /** What waits for this side's officers about `peer`, with all that was found. */
  question(peer: Domain): Result<ApprovalQuestion>;
  /** `signed`: an officer's own approval of the question's subject, needed where the level asks for officers. */
  approve(
    peer: Domain,
    actor: string,
    options?: { readonly signed?: SignedApproval; readonly level?: GrantedLevel },
  ): Promise<Result<TrustSummary>>;
  decline(peer: Domain, actor: string, reason: string, signed?: SignedApproval): Promise<Result<TrustSummary>>;
  revoke(peer: Domain, actor: string, reason: string): Promise<Result<{ readonly sequence: number }>>;
}

// ---- officers and their approvals ----------------------------------------------------------

/** What officers do with their own keys. The server checks each signature; it has no way to make one. */
export interface Officers {
  /** Officers in office now, and those who left. */
  list(): readonly OfficerView[];
  /** Takes a certificate, or a revocation, that the organisation root key signed. */
  add(certificate: Uint8Array, actor: string): Promise<Result<OfficerView>>;
  revoke(revocation: Uint8Array, actor: string): Promise<Result<OfficerView>>;
  /** Of exactly this, by an officer who was in office when it was signed and is now, and whom the policy lets approve. */
  check(approval: SignedApproval, expected: Omit<ExpectedApproval, 'pinned' | 'now'>): Result<VerifiedApproval>;
  /** After an officer came or left: approvals that wait are to be counted anew. */
  onChange(listener: (officerId: OfficerId) => void): void;
}

export interface OfficerView {
  readonly officerId: OfficerId;
  readonly publicKey: Uint8Array;
  readonly roles: readonly OfficerRole[];
  readonly state: 'in_office' | 'not_yet' | 'expired' | 'revoked';
  readonly notBefore: Instant;
  readonly notAfter: Instant;
  readonly revokedAt?: Instant;
  readonly reason?: string;
  /** Signed by the organisation root key: what an officer's approvals travel with. */
  readonly certificate: Uint8Array;
}

/** What waits until enough officers signed it; used for everything but the exchange, which counts its own. */
export interface Proposals {
  /**
   * Opens one, or finds the open one with the same subject. With `needed` 0 it takes effect at once.
   * `requested`: the approval with which an officer asked: it does not count as one of those needed.
   */
  open(proposal: {
    readonly action: ApprovalAction;
    /** Exactly what is approved; its BLAKE3 is the approvals' subject. */
    readonly document: Uint8Array;
    readonly peer?: Domain;
    readonly needed: number;
    readonly requested?: SignedApproval;
    readonly actor: string;
  }): Promise<Result<ProposalView>>;
  list(): readonly ProposalView[];
  /** The one that completes the number makes it take effect, and gives what came of it. */
  approve(proposalId: string, approval: SignedApproval): Promise<Result<ProposalView>>;
  withdraw(proposalId: string, actor: string): Promise<Result<ProposalView>>;
  /**
   * Who carries out an action; named before the first `tick`. It must not call `Proposals` itself. It commits through `proposal.commit`, so that the effect and the
   * proposal's end are one transaction: then it happens exactly once, also when the server is killed in between. When
   * it refuses, the proposal stays open.
   */
  onApproved(action: ApprovalAction, run: (proposal: ApprovedProposal) => Promise<Result<unknown>>): void;
}

export interface ProposalView {
  readonly proposalId: string;
  readonly action: ApprovalAction;
  readonly peer?: Domain;
  readonly document: Uint8Array;
  /** BLAKE3 of the document. */
  readonly subject: Uint8Array;
  readonly needed: number;
  readonly approvedBy: readonly OfficerId[];
  readonly requestedBy?: OfficerId;
  readonly openedAt: Instant;
  readonly expiresAt: Instant;
  /** `approved`: enough have signed, and the effect is under way; it is taken up again after a crash. */
  readonly state: 'open' | 'approved' | 'done' | 'withdrawn' | 'expired';
  /** Why the effect was refused when enough had signed. */
  readonly refused?: string;
}

export interface ApprovedProposal {
  readonly proposalId: string;
  readonly action: ApprovalAction;
  /** BLAKE3 of the document. */
  readonly subject: Uint8Array;
  readonly peer?: Domain;
  readonly document: Uint8Array;
  /** Those that counted; `requested` is not among them. */
  readonly approvals: readonly SignedApproval[];
  readonly requested?: SignedApproval;
  readonly actor: string;
  /** As `Audit.commit`, with the proposal's end in the same transaction. At most one call may succeed. */
  readonly commit: Audit['commit'];
}

// ---- links -----------------------------------------------------------------------------------

export interface Links {
  /** One request and its reply over the link to `peer`, dialed if needed. Rejects nothing: failures are Result codes (no_route, not_trusted, …). */
  request(
    peer: Domain,
    priority: PriorityClass,
    message: NorcFMessage & { readonly type: NorcFType },
  ): Promise<Result<ReceivedMessage<NorcFMessage>>>;
  /** There is something for `peer`: entries of a log, or what its outbox has just got (`more`: to be read from the store). */
  wake(peer: Domain, outbox?: OutboxRow | 'more'): void;
  /** Trust changed: new links say the new certificates. */
  renew(peer: Domain): void;
  /** Closes links both ways at once; new ones are strangers' until trust is back. */
  cut(peer: Domain): void;
  status(): readonly Omit<LinkStatus, 'queued'>[];
}

export interface LinkStatus {
  readonly peer: Domain;
  readonly state: 'up' | 'connecting' | 'waiting' | 'blocked';
  readonly version?: string;
  readonly cause?: string;
  readonly since: Instant;
  readonly attempts: number;
  readonly nextAttemptAt?: Instant;
  readonly queued: number;
}

// ---- audit -----------------------------------------------------------------------------------

export interface AuditEvent {
  readonly type: AuditType;
  /** `kind:id` as in spec/audit-log section 2, with plain ids: the audit service puts pseudonyms in their place. */
  readonly actor: string;
  readonly subject: string;
  readonly outcome: 'ok' | 'refused' | 'failed';
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
}

export interface Audit {
  /**
   * Commits `writes` and the entries for `events` as one transaction, retrying when
   * another transaction appended first. Users in events are pseudonymised here.
   */
  commit(
    writes: readonly StoreWrite[],
    events: readonly AuditEvent[],
  ): Promise<{ readonly ok: true } | { readonly ok: false; readonly conflict: StoreWrite['op'] }>;
  /** For refusals that write nothing else; repeated ones are aggregated. */
  note(event: AuditEvent): void;
}
