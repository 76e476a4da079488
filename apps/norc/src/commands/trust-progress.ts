import { utcTime } from './shared.ts';
import type { ActView } from './trust-show.ts';

/** How far a statement of ours got, as the admin interface tells it. */
export interface ProgressView {
  readonly act: ActView;
  readonly sequence: number;
  readonly state: 'held' | 'spreading' | 'enforced' | 'overdue';
  readonly now: number;
  readonly deadline_at: number;
  readonly refused_at?: number;
  readonly links_cut_at?: number;
  readonly enforced_at?: number;
  readonly told_at?: number;
  readonly sessions_told?: number;
  readonly conversations: {
    readonly total: number;
    readonly frozen: number;
    readonly removed: number;
    readonly each: readonly {
      readonly conversation: string;
      readonly state: string;
      readonly removed_at?: number;
      readonly epoch_before?: number;
      readonly epoch_after?: number;
    }[];
  };
  readonly servers: readonly {
    readonly peer: string;
    readonly role: 'partner' | 'subject';
    readonly state: 'waiting' | 'held' | 'confirmed';
    readonly confirmed_at?: number;
    readonly milliseconds?: number;
    readonly attempts: number;
    readonly fault?: string;
  }[];
  readonly finished_at?: number;
  readonly in_time?: boolean;
  readonly completed_at?: number;
  readonly figures?: Figures;
}

export interface Figures {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

/** One effect, once it is confirmed. `at`: milliseconds after the statement was to count. */
export interface Effect {
  readonly key: string;
  readonly at: number;
  readonly text: string;
}

/** What is confirmed by now, in the order in which it came. */
export function effectsOf(progress: ProgressView): readonly Effect[] {
  const { act, conversations, servers } = progress;
  const since = (at: number): number => Math.max(0, at - act.effective_at);
  const effects: Effect[] = [];
  const add = (key: string, at: number | undefined, text: string) => {
    if (at !== undefined) effects.push({ key, at: since(at), text });
  };
  const ends = act.action === 'revoke' || act.action === 'suspend';
  add('refused', progress.refused_at, ends ? 'refused here: nothing more is sent or accepted' : 'in force here');
  if (ends) add('links', progress.links_cut_at, `links with ${act.subject} closed`);
  if (ends)
    add(
      'frozen',
      progress.enforced_at,
      `${conversations.frozen} of ${conversations.total} shared conversations frozen`,
    );
  add('told', progress.told_at, `${progress.sessions_told ?? 0} sessions of our people told`);
  for (const one of conversations.each) {
    const epochs = `epoch ${one.epoch_before ?? '?'} to ${one.epoch_after ?? '?'}`;
    const text = one.state === 'closed' ? 'closed' : `members of ${act.subject} removed, ${epochs}`;
    add(`conversation ${one.conversation}`, one.removed_at, `conversation ${one.conversation.slice(0, 8)}: ${text}`);
  }
  for (const { peer, role, confirmed_at: at } of servers) {
    add(`server ${peer}`, at, `${peer} confirmed with its signature${role === 'subject' ? ' (the subject)' : ''}`);
  }
  return effects.sort((a, b) => a.at - b.at);
}

/** What is not confirmed. The subject is not among it: nobody waits for it. */
export function missingOf({ act, conversations, servers, enforced_at, state }: ProgressView): readonly string[] {
  if (state === 'held') return [];
  return [
    ...(enforced_at === undefined ? ['the effects on this server'] : []),
    ...servers
      .filter((one) => one.role === 'partner' && one.state !== 'confirmed')
      .map(({ peer, fault, attempts }) => `${peer}: no confirmation${faultText(fault, attempts)}`),
    ...conversations.each
      .filter((one) => one.removed_at === undefined)
      .map(
        ({ conversation }) =>
          `conversation ${conversation.slice(0, 8)}: frozen; members of ${act.subject} wait for a commit`,
      ),
    ...(conversations.each.length === 0 && conversations.removed < conversations.total
      ? [
          `${conversations.total - conversations.removed} conversations: frozen; members of ${act.subject} wait for a commit`,
        ]
      : []),
  ];
}

function faultText(fault: string | undefined, attempts: number): string {
  if (fault === undefined) return attempts === 0 ? '' : ', it was told';
  const why = fault === 'no_route' ? 'it cannot be reached' : fault;
  return `, ${why} (${attempts} ${attempts === 1 ? 'attempt' : 'attempts'})`;
}

export function progressLines(progress: ProgressView): readonly string[] {
  const { act, state, deadline_at: deadline, servers } = progress;
  if (state === 'held') {
    const holding = servers.filter((one) => one.state === 'held').map(({ peer }) => peer);
    const who = holding.length === 0 ? 'nobody else knows of it yet' : `held by ${holding.join(', ')}`;
    return [`held until ${utcTime(act.effective_at)} UTC; ${who}`];
  }
  const words = {
    spreading: `under way; due ${utcTime(deadline)} UTC`,
    enforced: progress.in_time === false ? 'all is in force, later than it had to be' : 'all is in force, in time',
    overdue: `overdue since ${utcTime(deadline)} UTC`,
  };
  const subject = servers.find(({ role }) => role === 'subject');
  return [
    words[state],
    ...effectsOf(progress).map(effectLine),
    ...missingOf(progress).map((text) => `missing: ${text}`),
    ...(subject === undefined || subject.state === 'confirmed'
      ? []
      : [`${subject.peer} itself has not confirmed${faultText(subject.fault, subject.attempts)}; nobody waits for it`]),
  ];
}

export function effectLine({ at, text }: Effect): string {
  return `+${secondsText(at).padStart(9)}  ${text}`;
}

export function figuresText({ count, p50, p95, max }: Figures): string {
  return `p50 ${secondsText(p50)}, p95 ${secondsText(p95)}, max ${secondsText(max)} (of ${count})`;
}

/** `0.123 s` */
function secondsText(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(3)} s`;
}
