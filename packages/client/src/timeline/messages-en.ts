import { type Instant, LABELS, LEVELS, localPartOf, type TrustLevel, type UserAddress } from '@norc/protocol/base';
import type { CauseDetails, Problem } from './causes.ts';
import { LEVEL_CHIPS, MARKINGS } from './markings.ts';
import type { Notice, TrustEndCause } from './notices.ts';
import type { MessageState } from './states.ts';

/**
 * Every sentence that a person reads about their conversations, in English. Other
 * languages have the same shape (`satisfies Messages`). A sentence says what happened
 * to the reader's own thing, why, and what happens next or the one thing to do.
 */
export interface TextContext {
  /** "You" for the reader, a name for others. Already cleaned for the interface. */
  name(user: UserAddress): string;
  /** Clock time, in the reader's zone. */
  time(at: Instant): string;
}

/** Names without a directory: the part before the @. */
export function plainContext(self: UserAddress, time: (at: Instant) => string): TextContext {
  return { name: (user) => (user === self ? 'You' : localPartOf(user)), time };
}

type CauseTexts = { readonly [C in keyof CauseDetails]: (details: CauseDetails[C], context: TextContext) => string };

const theOrg = (org: string | undefined): string => org ?? 'The other organisation';
const soon = (seconds: number | undefined): string => (seconds === undefined ? '' : ` Next try in ${seconds} s.`);
const count = (n: number, one: string, many: string): string => (n === 1 ? `One ${one}` : `${n} ${many}`);

const causes: CauseTexts = {
  'key.waiting': (d, { name }) =>
    `${count(d.count, 'message', 'messages')} from ${name(d.user)} can't be opened yet. The sending device was asked for the key. Nothing for you to do.`,
  'key.needs_recovery': (d) => `${count(d.count, 'earlier message needs', 'earlier messages need')} your recovery key.`,
  'key.before_join': () => 'Earlier messages are not available on this device.',
  'key.sender_unapproved': (d, { name }) =>
    `A message was held: it came from a device that ${name(d.user)} has not approved.`,
  'key.tampered': () => 'A message was damaged on the way or changed by somebody. It was discarded and reported.',
  'trust.none': (d) => `Your organisation and ${d.org ?? 'theirs'} have no agreement. Ask your administrator.`,
  'trust.too_low': (d) => tooLow(d),
  'trust.below_floor': (d) => belowFloor(d),
  'trust.suspended': (d) =>
    `Trust with ${d.org ?? 'the other organisation'} is suspended. Your message is kept and sent when that is lifted. Your administrators know how long.`,
  'trust.withheld': (d, context) => withheld(d, context),
  'trust.revoked': (d, { time }) =>
    `${theOrg(d.org)} was blocked${d.at === undefined ? '' : ` at ${time(d.at)}`}. Your message was not sent. Ask your administrator.`,
  'trust.expired': (d) => `The agreement with ${d.org ?? 'the other organisation'} has ended. Ask your administrator.`,
  'trust.expiring': (d) =>
    `The agreement with ${d.org} ends in ${d.days === 1 ? 'one day' : `${d.days} days`}. Your administrators know.`,
  'trust.stale': (d) =>
    `Nothing was heard from ${d.org ?? 'the other organisation'} about blocked partners for too long. Your message is kept and sent when that is settled.`,
  'peer.unreachable': (d) =>
    `${theOrg(d.org)} is not answering. Your message is kept and sent when it returns.${soon(d.retrySeconds)}`,
  'version.mismatch': (d) =>
    `${d.org ?? 'The server'} uses a version that is too old to talk to safely. Ask your administrator.`,
  'person.changed': (d, { name }) => `${name(d.user)}'s safety number changed. Compare it again before you send.`,
  'person.unknown': (d) =>
    `${d.user ?? 'This person'} can't be reached. Check the address; the person may have no device yet.`,
  'conversation.paused': () => 'This conversation is paused until a blocked member is removed. That happens by itself.',
  'conversation.left': () => 'You are not in this conversation any more.',
  'message.too_big': (d) =>
    `It is too big${d.bytesMax === undefined ? '' : `: the limit is ${bytesText(d.bytesMax)}`}. Send it in parts.`,
  'message.expired': () => 'It could not be delivered in time. Send it again.',
  'message.too_fast': (d) =>
    `Too many messages at once. It is sent ${d.retrySeconds === undefined ? 'soon' : `in ${d.retrySeconds} s`}.`,
  'device.not_accepted': () =>
    'This device is not accepted by your server: it was removed, or never added. Add it again.',
  'device.storage_lost': () => "This device's data is gone. Your account is fine. Add this device again as a new one.",
  'device.clock': (d) =>
    `This device's clock is wrong${d.seconds === undefined ? '' : ` by ${d.seconds} s`}. Set the time and try again.`,
  'device.passphrase': () => 'The passphrase is wrong.',
  'device.in_use': () => 'NORC is already open with this profile. Close it there first.',
  'enrolment.mistyped': () => 'The code is mistyped: its check digits do not match. Copy it again, all of it.',
  'enrolment.refused': () => 'The code is wrong, used or too old. Ask your administrator for a new one.',
  'server.unreachable': (d) =>
    `Your server${d.address === undefined ? '' : ` ${d.address}`} is not answering. Messages are kept and sent when it returns.`,
  'server.not_genuine': (d) =>
    `Who answers${d.address === undefined ? '' : ` at ${d.address}`} is not your organisation's server. Nothing was sent. Tell your administrator.`,
  'server.busy': (d) => `The server is busy. It is tried again by itself.${soon(d.retrySeconds)}`,
  'server.full': () => 'The server has no room. Your message is kept and sent later.',
  'server.failed': (d) =>
    `The server could not do it${d.reference === undefined ? '' : ` (reference ${d.reference})`}. Try again, or tell your administrator.`,
  'file.too_big': (d) =>
    `The file is too big${d.bytesMax === undefined ? '' : `: the limit is ${bytesText(d.bytesMax)}`}.`,
  'file.type_blocked': () => 'Files of this type are blocked by policy.',
  'call.not_encrypted': () => 'The call was ended because it could not be encrypted.',
};

function tooLow({ label, level, org }: CauseDetails['trust.too_low']): string {
  if (label === undefined || level === undefined)
    return 'The trust between the organisations does not allow this. Ask your administrator.';
  const { banner } = MARKINGS[label];
  if (LABELS[label].nato && LEVELS[level].rank >= LEVELS[LABELS[label].level].rank)
    return `${banner} needs NATO clearance on both sides, which ${org ?? 'this conversation'} lacks. Ask your administrator.`;
  const allows = `allows up to ${highestMarking(level)}`;
  const { word } = LEVEL_CHIPS[level];
  if (org === undefined) return `${banner} can't be sent here: this conversation is ${word} and ${allows}.`;
  return `${banner} can't go to ${org}: its level is ${word} and ${allows}. Use a lower marking, or ask your administrator.`;
}

function belowFloor({ org, level, floor }: CauseDetails['trust.below_floor']): string {
  const who = theOrg(org);
  if (level === undefined || floor === undefined)
    return `${who} is below the level of this conversation. Start a new conversation with it.`;
  const needs = `this conversation needs ${LEVEL_CHIPS[floor].word}`;
  return `${who} can't be in here: its level is ${LEVEL_CHIPS[level].word}, and ${needs}. Start a new conversation with it.`;
}

function withheld({ user, org, label, level }: CauseDetails['trust.withheld'], { name }: TextContext): string {
  const what = `A message from ${name(user)} marked ${MARKINGS[label].banner} is not shown`;
  if (level === undefined) return `${what}: trust with ${org} is over. Ask your administrator.`;
  const allows = `${LEVEL_CHIPS[level].word} with ${org} allows up to ${highestMarking(level)}`;
  return `${what}: ${allows}. Ask your administrator.`;
}

/** The highest label that a level carries. */
export function highestMarking(level: TrustLevel): string {
  const allowed = Object.values(LABELS).filter((label) => LEVELS[label.level].rank <= LEVELS[level].rank);
  const highest = allowed.reduce<(typeof allowed)[number] | undefined>(
    (best, label) => (best === undefined || label.order > best.order ? label : best),
    undefined,
  );
  return highest === undefined ? 'nothing' : MARKINGS[highest.name].banner;
}

function bytesText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}

function problem(what: Problem, context: TextContext): string {
  // The two parts of a Problem belong together; TypeScript cannot follow that through an index.
  const text = causes[what.cause] as (details: Problem, context: TextContext) => string;
  return text(what, context);
}

function stateText(state: MessageState, context: TextContext): string {
  switch (state.state) {
    case 'sending':
      return state.waits === undefined ? 'Sending' : `Waiting: ${problem(state.waits, context)}`;
    case 'sent':
      return 'Sent';
    case 'delivered':
      return state.of === 1 ? 'Delivered' : `Delivered to ${state.delivered} of ${state.of}`;
    case 'read':
      return state.of === 1 ? 'Read' : `Read by ${state.read} of ${state.of}`;
    case 'failed':
      return `Not sent: ${problem(state.problem, context)}`;
  }
}

const list = (users: readonly UserAddress[], { name }: TextContext): string =>
  new Intl.ListFormat('en', { type: 'conjunction' }).format(users.map(name));

/** "You" in the middle of a sentence is "you". */
const inside = (text: string): string => (text === 'You' ? 'you' : text);

function endReason(cause: TrustEndCause): string {
  if (cause === 'trust_revoked') return ' (revoked)';
  return cause === 'trust_expired' ? ' (expired)' : '';
}

function notice(what: Notice, context: TextContext): string {
  const { name } = context;
  switch (what.notice) {
    case 'created':
      return `${name(what.by)} started this conversation.`;
    case 'joined':
      return `${name(what.by)} added ${inside(list(what.users, context))}.`;
    case 'removed':
      return `${name(what.by)} removed ${inside(list(what.users, context))}.`;
    case 'organisation_removed':
      return `${what.org} was removed: trust ended${endReason(what.cause)}.`;
    case 'closed':
      return `This conversation is closed: trust with ${what.org} ended${endReason(what.cause)}.`;
    case 'below_floor':
      return `${name(what.by)} added people of ${what.org}, whose level is too low for this conversation. Nothing more is sent from this device. Tell your administrator.`;
    case 'left':
      return `${name(what.user)} left.`;
    case 'device_added':
      return `${name(what.user)} added ${what.count === 1 ? 'a device' : `${what.count} devices`}.`;
    case 'device_removed':
      return `${name(what.user)} removed ${what.count === 1 ? 'a device' : `${what.count} devices`}.`;
    case 'person_changed':
      return `${name(what.user)}'s safety number changed.`;
    case 'renamed':
      return `${name(what.by)} named this conversation “${what.title}”.`;
    case 'paused':
      return `${what.org} was blocked. The conversation is paused until its members are removed.`;
    case 'resumed':
      return 'The conversation goes on.';
  }
}

const LEVEL_SENTENCES: Readonly<Record<TrustLevel, (org: string) => string>> = {
  untrusted: (org) =>
    `Your organisation and ${org} have no agreement. You cannot message people there. Ask your administrator.`,
  basic: () => "We know this server's key. Nobody has checked who runs it.",
  verified: () => 'Both organisations proved who they are. Keys are protected against quantum computers.',
  classified: () => 'Government or corporate certificates, hardened servers and two approvals on each side.',
  nato: () => 'Meets the NATO profile: cleared organisations, national algorithms, two approvals.',
};

/** One plain sentence for a level, with what it may carry. */
function level(name: TrustLevel, org: string): string {
  const sentence = LEVEL_SENTENCES[name](org);
  return name === 'untrusted' ? sentence : `${sentence} Up to ${highestMarking(name)}.`;
}

export const en = {
  problem,
  notice,
  level,
  bytes: bytesText,
  state: stateText,
  deleted: 'This message was deleted.',
  unknownKind: 'This message needs a newer version of NORC.',
  call: 'A call',
  edited: 'edited',
  you: 'You',
  newMessages: 'New',
  encryptedTo: (devices: number) => `Encrypted to ${devices === 1 ? 'one device' : `${devices} devices`}`,
  noConversations: 'No conversations yet.',
  noMessages: 'No messages yet. What you write is encrypted on this device.',
  olderMessages: 'Older messages: Page Up',
} as const;

/** What a catalogue in another language satisfies. */
export type Messages = typeof en;
