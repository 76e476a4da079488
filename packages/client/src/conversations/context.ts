import type { MlsEngine, OwnIdentity } from '@norc/mls';
import {
  type Clock,
  type ConversationId,
  type DeviceId,
  type Domain,
  LIMITS,
  type MessageId,
  type Random,
  type TrustLevel,
  type UserAddress,
} from '@norc/protocol/base';
import type { Crypto, VerifiedServerCertificate } from '@norc/protocol/crypto';
import type { Asking } from '../session/ask.ts';
import type { Timers } from '../session/timers.ts';
import type { ClientStore } from '../store/port.ts';
import type { MessageRow } from '../store/rows.ts';
import type { Problem } from '../timeline/causes.ts';
import type { Notice } from '../timeline/notices.ts';
import type { TrustAnchors } from '../trust/anchors.ts';

/** This device, as its certificate says. */
export interface Self {
  readonly user: UserAddress;
  readonly deviceId: DeviceId;
  readonly org: Domain;
}

/** What the application is told, after it is stored. */
export type EngineEvent =
  /** A message that was not there before: received, or one that could not be opened, or an own one. */
  | { readonly type: 'message'; readonly conversationId: ConversationId; readonly message: MessageRow }
  | {
      readonly type: 'notice';
      readonly conversationId: ConversationId;
      readonly notices: readonly Notice[];
      readonly message: MessageRow;
    }
  /** It is new, or its title, people, standing or read marker changed. */
  | { readonly type: 'conversation'; readonly conversationId: ConversationId }
  /** An own message moved on, or somebody's devices or eyes did. `messageId` where it is about one message. */
  | { readonly type: 'delivery'; readonly conversationId: ConversationId; readonly messageId?: MessageId }
  /** Trust with another organisation came, went or changed, as the own server says. */
  | ({ readonly type: 'trust' } & TrustTold)
  | EngineWarning;

/** `text`: one sentence, with a reason that may be the other organisation's words. */
export interface TrustTold {
  readonly org: Domain;
  readonly state: 'in_force' | 'ended' | 'changed' | 'stale';
  readonly level: TrustLevel;
  readonly text: string;
}

/** For a security-minded person: something that an honest server and network do not do, or a clock that is wrong. */
export interface EngineWarning {
  readonly type: 'warning';
  readonly warning: WarningName;
  readonly problem: Problem;
  readonly conversationId?: ConversationId;
}

export type WarningName =
  /** Two histories of one conversation were shown. Nothing more is taken from it in this session. */
  | 'log_fork'
  /** Entries that there must be are not given. */
  | 'log_withheld'
  /** A commit or a Welcome brought a device that its organisation did not certify, or could not be opened. */
  | 'group_refused'
  /** A KeyPackage of such a device was offered; it was left out. */
  | 'device_refused'
  /** A trust certificate that does not verify, or that names another root key. */
  | 'trust_forged'
  /** Whoever answers in the home server's place does not prove to be it. */
  | 'server_unproven'
  /** The log has something in this device's name that it did not send. */
  | 'message_forged'
  /** Under a label that the trust with its sender's organisation does not carry: it is not shown. */
  | 'message_withheld'
  | 'clock';

/** What the conversations of one device share. */
export interface EngineContext {
  readonly self: Self;
  readonly identity: OwnIdentity;
  readonly store: ClientStore;
  readonly mls: MlsEngine;
  readonly crypto: Crypto;
  readonly random: Random;
  /** This device's clock, corrected by what the server said: for what is shown, and for waiting. */
  readonly clock: Clock;
  /** As it is: a server that could move it would decide which certificates and keys are valid. */
  readonly deviceClock: Clock;
  readonly timers: Timers;
  readonly session: Asking;
  readonly anchors: TrustAnchors;
  readonly policy: EnginePolicy;
  /** The own server's certificate, as the last hello proved it. */
  readonly server: () => VerifiedServerCertificate | undefined;
  readonly emit: (event: EngineEvent) => void;
  /** A dependency or this program failed: for the operator, never for a person's eyes. */
  readonly fault: (fault: unknown) => void;
}

export interface EnginePolicy {
  /** Own messages of one conversation that wait for their place in the log. */
  readonly messagesInFlightMax: number;
  /** Acknowledgments of the log are collected for this long. */
  readonly cursorBatchMilliseconds: number;
  /** How long each further device waits before it does what a device before it in the order should have done. */
  readonly turnMilliseconds: number;
  /** What the hub proposes is committed after a random moment, up to so long for each device that may do it. */
  readonly rivalMilliseconds: number;
  /** How long a gap in the log may last before the server is asked. */
  readonly gapMilliseconds: number;
  /** One-time KeyPackages that are kept on the server. */
  readonly keyPackages: number;
  /** Whether the hub of a new conversation may propose to remove revoked devices, and members of organisations that are trusted no more. */
  readonly hubMayPropose: boolean;
}

export const DEFAULT_POLICY: EnginePolicy = {
  messagesInFlightMax: 32,
  cursorBatchMilliseconds: 50,
  turnMilliseconds: 3_000,
  rivalMilliseconds: 40,
  gapMilliseconds: 1_000,
  keyPackages: LIMITS.keyPackagesPerDevice,
  hubMayPropose: true,
};
