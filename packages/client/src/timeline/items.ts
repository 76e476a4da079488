import type { DeviceId, Instant, MessageId, UserAddress } from '@norc/protocol/base';
import type { Problem } from './causes.ts';
import type { Notice } from './notices.ts';
import type { MessageState } from './states.ts';

/** What an interface draws, top to bottom. `key` names an item for as long as it exists. */
export type TimelineItem = MessageItem | LineItem;

export interface MessageItem {
  readonly type: 'message';
  readonly key: string;
  readonly messageId: MessageId;
  readonly seq?: number;
  readonly user: UserAddress;
  readonly device: DeviceId;
  /** By this user, on any device. */
  readonly own: boolean;
  /** As its sender says. */
  readonly time: Instant;
  readonly content: MessageContentView;
  readonly mentionsMe: boolean;
  readonly replyTo?: QuoteView;
  readonly reactions: readonly ReactionView[];
  /** Of own messages. */
  readonly state?: MessageState;
}

/** Text and names are untrusted: an interface cleans or escapes them. */
export type MessageContentView =
  | { readonly type: 'text'; readonly text: string; readonly edited: boolean }
  | { readonly type: 'file'; readonly name: string; readonly bytes: number }
  | { readonly type: 'call' }
  | { readonly type: 'deleted' }
  | { readonly type: 'unknown' };

/** `key` and `user` are absent when what is answered is not on this page or not on this device. */
export interface QuoteView {
  readonly messageId: MessageId;
  readonly key?: string;
  readonly user?: UserAddress;
}

export interface ReactionView {
  readonly emoji: string;
  readonly users: readonly UserAddress[];
  readonly mine: boolean;
}

/** A line of its own between the messages, never counted as unread. */
export type LineItem = {
  readonly type: 'line';
  readonly key: string;
  readonly seq?: number;
  readonly user: UserAddress;
  readonly time: Instant;
} & (
  | { readonly line: 'notices'; readonly notices: readonly Notice[] }
  | { readonly line: 'problem'; readonly problem: Problem }
);
