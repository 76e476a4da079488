import type { MlsProvider } from '@norc/mls';
import type { ConversationId, DeviceId, Label, MessageId, Reject, UserAddress } from '@norc/protocol/base';
import type { VersionList } from '@norc/protocol/handshake';
import type { EnginePolicy, EngineWarning, TrustTold } from './conversations/context.ts';
import type { LinkWorld } from './session/session-link.ts';
import type { SessionStatus } from './session/status.ts';
import type { ClientStore } from './store/port.ts';
import type { MessageRow } from './store/rows.ts';
import type { Problem } from './timeline/causes.ts';
import type { TimelineEntry } from './timeline/entries.ts';
import type { Notice } from './timeline/notices.ts';

/** The world that a client runs in. Platforms fill it in: `openNodeClient` does for Node. */
export interface NorcClientOptions extends LinkWorld {
  /** Of an enrolled device. Stays open after `close`, unless told otherwise. */
  readonly store: ClientStore;
  readonly mlsProvider: MlsProvider;
  readonly closeStore?: boolean;
  /** What this program may speak; by default all it can. */
  readonly versions?: VersionList;
  /** A person decided that the server may be older than it was, after a restore for instance. */
  readonly allowOlderServer?: boolean;
  /** Dial plain WebSocket beyond this machine. Everybody on the way then sees who talks when. */
  readonly allowPlain?: boolean;
  /** Whether others learn what this user has read. On unless told otherwise. */
  readonly readReceipts?: boolean;
  readonly policy?: Partial<EnginePolicy>;
}

/** A refusal with the words for it: `problem` goes through the message texts (timeline/messages-*.ts). */
export interface ClientReject extends Reject {
  readonly problem: Problem;
  /** Whom it is about, where that is known. */
  readonly users?: readonly UserAddress[];
}

export interface ClientEvents {
  /** The connection to the home server. */
  readonly state: SessionStatus;
  /** A new row of a timeline: received, own, or one that says why it could not be opened. */
  readonly message: {
    readonly conversationId: ConversationId;
    readonly entry: TimelineEntry;
    readonly row: MessageRow;
  };
  /** A conversation is new, or its title, people, standing or read marker changed. */
  readonly conversation: { readonly conversationId: ConversationId };
  /** An own message moved on, or somebody received or read. `messageId` where it is about one message. */
  readonly delivery: { readonly conversationId: ConversationId; readonly messageId?: MessageId };
  /** Who came and went. */
  readonly notice: {
    readonly conversationId: ConversationId;
    readonly notices: readonly Notice[];
    readonly row: MessageRow;
  };
  /** Trust with another organisation came, went or changed. */
  readonly trust: TrustTold;
  /** What an honest server and network do not do, or a clock that is wrong. */
  readonly warning: Omit<EngineWarning, 'type'>;
  /** A dependency or this program failed: a disk that is full, a bug. For logs. */
  readonly fault: unknown;
}

export interface CreateOptions {
  /** Everybody else. */
  readonly users: readonly UserAddress[];
  readonly title?: string;
  /** `unclassified` unless told otherwise. Never lowered afterwards. */
  readonly label?: Label;
}

export interface MemberView {
  readonly user: UserAddress;
  readonly devices: readonly { readonly deviceId: DeviceId; readonly own: boolean }[];
}
