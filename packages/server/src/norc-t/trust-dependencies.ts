import type { Clock, Domain, Instant, Random, Result, TrustLevel } from '@norc/protocol/base';
import type { Crypto, Signer } from '@norc/protocol/crypto';
import type {
  EvidenceMaterial,
  EvidenceQuestion,
  Finding,
  Party,
  RevocationAct,
  RootLineage,
  TrustDecision,
  TrustPolicy,
  TrustQuestion,
} from '@norc/protocol/norc-t';
import type { Audit, Officers, Proposals } from '../services.ts';
import type { Store } from '../storage/port.ts';
import type { ChainRecheck } from './evidence/x509.ts';

/** What trust needs of the rest of the server. */
export interface TrustDependencies {
  readonly party: Party;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly signer: Signer;
  readonly policy: TrustPolicy;
  /** Told every decision, to count it: on the way of every message. */
  readonly onDecided?: (question: TrustQuestion, decision: TrustDecision, now: Instant) => void;
  /** Those that sign trust documents, Ed25519 first; `signer` alone when absent. */
  readonly signers?: readonly Signer[];
  /** Everything that can be found out about a partner now; undefined: ask again later. */
  readonly checkEvidence: (question: EvidenceQuestion) => Promise<readonly Finding[] | undefined>;
  /** Whether the X.509 chains of a partner in force still hold; asked daily. */
  readonly recheckChains?: (peer: Domain) => Promise<ChainRecheck>;
  /** What others need to check evidence about this organisation. */
  readonly material?: () => readonly EvidenceMaterial[];
  /** One way, over the link to the peer, dialed if needed. */
  readonly send: (peer: Domain, type: number, document: Uint8Array) => void;
  /** Request and answer, over the link to the peer. */
  readonly ask: (peer: Domain, type: number, document: Uint8Array) => Promise<Result<Uint8Array>>;
  /** Something stored cannot be verified any more: it is left out, which only narrows what is allowed. */
  readonly onUnusable: (what: string, code: string) => void;
  readonly onFault: (error: unknown) => void;
  /** Runs once after a delay; never keeps the process alive. Without it, what is due waits for the next minute. */
  readonly after?: (delayMilliseconds: number, run: () => void) => void;
  /** Makes an act that is in force now count in conversations; resolves when it does (frozen, thawed). */
  readonly enforce?: (act: RevocationAct) => Promise<unknown>;
  /** How far the removal of the subject's members got. */
  readonly removals?: (act: RevocationAct) => Promise<ConversationEffects>;
  /** Tells the devices in conversations with a partner what changed; how many were told. */
  readonly tellDevices?: (peer: Domain, notice: DeviceNotice) => Promise<number>;
  /** Where several officers are needed. */
  readonly proposals?: () => Proposals | undefined;
  readonly officers?: () => Officers | undefined;
  /** Our own root keys, where one was replaced: the lineage, and its rotations in canonical JSON. */
  readonly ownRoots?: { readonly lineage: RootLineage; readonly rotations: readonly Uint8Array[] };
}

/** What became of the conversations that an act is about. */
export interface ConversationEffects {
  readonly total: number;
  readonly frozen: number;
  /** The subject's members are out by a commit, or the conversation is closed. */
  readonly removed: number;
  readonly conversations: readonly ConversationEffect[];
}

export interface ConversationEffect {
  readonly conversation: string;
  readonly state: 'waiting' | 'frozen' | 'removed' | 'closed';
  readonly frozenAt?: Instant;
  readonly removedAt?: Instant;
  readonly epochBefore?: number;
  readonly epochAfter?: number;
  /** Signed, for an auditor. */
  readonly receipt?: Uint8Array;
}

/** For the people of this organisation. */
export interface DeviceNotice {
  readonly level: TrustLevel;
  readonly state: 'in_force' | 'ended' | 'changed' | 'stale';
  readonly text: string;
  readonly at: Instant;
}

/** Clocks of two servers may differ by this much (spec/norc-t). */
export const CLOCK_SKEW_MS = 300_000;
