import {
  type ConversationId,
  domainOf,
  type Instant,
  type Label,
  localPartOf,
  type TrustLevel,
  type UserAddress,
} from '@norc/protocol/base';
import type { ConversationRow, Mark } from '../store/rows.ts';
import type { TimelineEntry } from './entries.ts';
import { foldTimeline } from './fold.ts';
import type { TimelineItem } from './items.ts';
import { type Unread, unreadOf } from './unread.ts';

/** One open conversation, as every interface draws it. */
export interface ConversationView {
  readonly conversationId: ConversationId;
  readonly kind: ConversationRow['kind'];
  readonly title: string;
  /** Everybody but this user; of this user's organisation first. */
  readonly people: readonly PersonView[];
  readonly label: Label;
  readonly level: TrustLevel;
  readonly standing: ConversationRow['standing'];
  readonly items: readonly TimelineItem[];
  readonly unread: Unread;
  /** Whether older messages can be loaded. */
  readonly more: boolean;
}

/** One row of the conversation list. */
export interface ConversationSummary {
  readonly conversationId: ConversationId;
  readonly kind: ConversationRow['kind'];
  readonly title: string;
  readonly level: TrustLevel;
  readonly standing: ConversationRow['standing'];
  readonly unread: Unread;
  /** Own messages that could not be sent. */
  readonly failed: number;
  readonly lastTime: Instant;
}

export interface PersonView {
  readonly user: UserAddress;
  readonly name: string;
  /** Domain, when it is another organisation than this user's. */
  readonly org?: string;
}

export interface ViewInput {
  readonly conversation: ConversationRow;
  readonly self: UserAddress;
  readonly marks: readonly Mark[];
  readonly entries: readonly TimelineEntry[];
  readonly more: boolean;
  readonly now: Instant;
}

export function conversationView(input: ViewInput): ConversationView {
  const { conversation, self } = input;
  const items = itemsOf(input);
  return {
    conversationId: conversation.conversationId,
    kind: conversation.kind,
    title: titleOf(conversation, self),
    people: peopleOf(conversation.participants, self),
    label: conversation.label,
    level: conversation.level,
    standing: conversation.standing,
    items,
    unread: unreadOf(items, conversation.readSeq),
    more: input.more,
  };
}

/** `entries`: at least everything after the read marker. */
export function conversationSummary(input: ViewInput): ConversationSummary {
  const { conversation, self } = input;
  const items = itemsOf(input);
  return {
    conversationId: conversation.conversationId,
    kind: conversation.kind,
    title: titleOf(conversation, self),
    level: conversation.level,
    standing: conversation.standing,
    unread: unreadOf(items, conversation.readSeq),
    failed: items.filter((item) => item.type === 'message' && item.state?.state === 'failed').length,
    lastTime: items.findLast((item) => item.type === 'message')?.time ?? conversation.createdAt,
  };
}

function itemsOf({ conversation, self, marks, entries, now }: ViewInput): readonly TimelineItem[] {
  return foldTimeline(entries, { self, participants: conversation.participants, marks, now });
}

export function personView(user: UserAddress, self: UserAddress): PersonView {
  const org = domainOf(user);
  const name = localPartOf(user);
  return org === domainOf(self) ? { user, name } : { user, name, org };
}

function peopleOf(participants: readonly UserAddress[], self: UserAddress): readonly PersonView[] {
  const people = participants.filter((user) => user !== self).map((user) => personView(user, self));
  return people.sort((a, b) => Number(a.org !== undefined) - Number(b.org !== undefined) || (a.user < b.user ? -1 : 1));
}

const NAMES_IN_TITLE_MAX = 3;

/** The members' own title, or the other people's names. */
export function titleOf(conversation: Pick<ConversationRow, 'title' | 'participants'>, self: UserAddress): string {
  if (conversation.title !== undefined && conversation.title !== '') return conversation.title;
  const names = peopleOf(conversation.participants, self).map((person) => person.name);
  if (names.length === 0) return 'Notes to yourself';
  const more = names.length - NAMES_IN_TITLE_MAX;
  return names.slice(0, NAMES_IN_TITLE_MAX).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
