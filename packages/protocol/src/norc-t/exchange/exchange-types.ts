import type { Domain, ErrorName, EvidenceKind, Instant } from '../../base/index.ts';
import type { Crypto, SignedDocument } from '../../crypto/index.ts';
import type { EvidenceQuestion, Finding } from '../evidence/findings.ts';
import type { PartnerRecord, TrustScore } from '../evidence/score.ts';
import type { ExchangeId, OfficerId } from '../identifiers.ts';
import type { GrantedLevel } from '../levels.ts';
import type { SignedApproval } from '../officers/officers.ts';
import type { Party } from '../party.ts';
import type { TrustPolicy } from '../policy/policy.ts';
import type { TrustCertificateBody } from '../trust-certificate.ts';
import type { EvidenceMaterial, TrustMessageName, TrustTerms } from './messages.ts';

/** The world that both machines of the trust exchange see, what goes in, and what comes out. */

export interface ExchangeContext {
  readonly crypto: Crypto;
  readonly now: Instant;
  readonly policy: TrustPolicy;
  /** Kinds of evidence that this server can check, those that the machines check themselves among them. */
  readonly checkable: readonly EvidenceKind[];
  /** What the other side needs to check evidence about this one. */
  readonly material: readonly EvidenceMaterial[];
  /** The peer's root keys when they are known already: others are refused. */
  readonly pinnedRootKey?: Uint8Array;
  readonly pinnedRootPqKey?: Uint8Array;
  /** Officers of either side who are known to have left: what they signed counts for nothing. */
  readonly revokedOfficers?: ReadonlySet<OfficerId>;
  /** Number of this side's last statement that revoked or suspended the peer; absent: there is none. */
  readonly cutOff?: number;
}

export type ExchangeEvent =
  /** The document of a NORC-T frame from the peer. */
  | { readonly kind: 'received'; readonly document: Uint8Array }
  | EvidenceChecked
  | OfficerDecision
  /** The certificates of `sign_certificates`, with this side's signatures added. */
  | { readonly kind: 'signed'; readonly issued: Uint8Array; readonly counterpart: Uint8Array }
  /** This side's officers ended or suspended trust with the peer: the exchange is over. */
  | { readonly kind: 'cut_off' }
  /** Time passed. */
  | { readonly kind: 'clock' };

/** Answer to `check_evidence`. */
export interface EvidenceChecked {
  readonly kind: 'evidence_checked';
  /** Those of kinds that the machines check themselves are not looked at. */
  readonly findings: readonly Finding[];
  readonly record: PartnerRecord;
}

/** Answer to `ask_approval`. */
export interface OfficerDecision {
  readonly kind: 'officer';
  readonly decision: 'approve' | 'reject';
  /** Pseudonym; never a name. Where `signed` is given, the officer id in it counts. */
  readonly by: string;
  readonly at: Instant;
  /** At most the level asked for; a change voids earlier approvals. */
  readonly level?: GrantedLevel;
  /** Of action `trust_grant` (or `trust_decline`) over the question's subject. */
  readonly signed?: SignedApproval;
  /** For the other side. */
  readonly reason?: string;
}

/** In order: what is persisted comes before what is sent. */
export type ExchangeEffect =
  /** Both certificates are complete, the one that this side gave and the one that it received: store them with the state. */
  | { readonly kind: 'keep_certificates'; readonly given: Uint8Array; readonly received: Uint8Array }
  /** The other side took its decision back: these two count no longer, and are removed with the state. */
  | { readonly kind: 'drop_certificates'; readonly given: Uint8Array; readonly received: Uint8Array }
  /** Sign with the server keys and send to the peer. */
  | { readonly kind: 'send'; readonly message: TrustMessageName; readonly draft: SignedDocument<unknown> }
  /** Answer with an `evidence_checked` event. */
  | { readonly kind: 'check_evidence'; readonly question: EvidenceQuestion }
  /** Answer with `officer` events. */
  | { readonly kind: 'ask_approval'; readonly question: ApprovalQuestion }
  /** What officers approved counts no longer: for the audit log. */
  | { readonly kind: 'approvals_void'; readonly count: number; readonly why: 'evidence' | 'level' }
  /** An officer's approval or decline does not count; the exchange goes on as it was. */
  | { readonly kind: 'refuse_approval'; readonly code: ErrorName; readonly detail: string }
  /** Answer with a `signed` event. */
  | {
      readonly kind: 'sign_certificates';
      readonly issued: SignedDocument<TrustCertificateBody>;
      readonly counterpart: SignedDocument<TrustCertificateBody>;
    }
  /** Answer to the peer's frame; the exchange goes on as it was. */
  | { readonly kind: 'refuse'; readonly code: ErrorName; readonly detail: string }
  /** The exchange is over without trust. */
  | { readonly kind: 'ended'; readonly code: ErrorName; readonly detail: string }
  /** An event that nothing waits for any more. */
  | { readonly kind: 'ignored'; readonly detail: string };

/** What an officer decides about. */
export interface ApprovalQuestion {
  readonly peer: Domain;
  readonly rootKey: Uint8Array;
  readonly level: GrantedLevel;
  /** What the own certificate would let the peer do, and what the peer's would let this side do. */
  readonly grants: TrustTerms;
  readonly receives: TrustTerms;
  readonly notBefore: Instant;
  readonly notAfter: Instant;
  readonly natoCapable: boolean;
  readonly findings: readonly Finding[];
  readonly score: TrustScore;
  /** `documentHash` of the pair (`grantSubject`), and the pair itself: what approvals are signed over. */
  readonly subject: Uint8Array;
  readonly issued: Uint8Array;
  readonly counterpart: Uint8Array;
  /** Whether officers sign with their own keys. */
  readonly signed: boolean;
  /** Those that are still missing. */
  readonly approvalsNeeded: number;
  readonly approvedBy: readonly string[];
  /** The officer who asked, where one signed the request. */
  readonly requestedBy?: OfficerId;
  readonly note?: string;
}

export interface ExchangeStep<S> {
  readonly state: S;
  readonly effects: readonly ExchangeEffect[];
}

/** What names one exchange and one place in it. */
export interface ExchangePlace {
  readonly exchange_id: ExchangeId;
  readonly self: Party;
  readonly peer: Domain;
  readonly transcript: Uint8Array;
  readonly expires_at: number;
  /** `cutOff` when the exchange began; absent: there was none. */
  readonly cut_off?: number;
}
