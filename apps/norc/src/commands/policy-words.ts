import { print, printTable } from '../output.ts';
import { utcTime } from './shared.ts';

/** What the admin interface says of policies, and how a person reads it. */

export interface ChangeView {
  readonly effect: 'loosens' | 'tightens' | 'neutral';
  readonly path: string;
  readonly sentence: string;
}

interface ReplayRow {
  readonly peer: string;
  readonly direction: 'outgoing' | 'incoming';
  readonly permission: string;
  readonly label?: string;
  readonly count: number;
  readonly effect: 'refused' | 'allowed';
  readonly reason: string;
  readonly number: number;
}

export interface PlanView {
  /** Of the policy in force. */
  readonly number: number;
  /** Hashes of the two policies, hexadecimal. */
  readonly before: string;
  readonly after: string;
  /** Names what it would open, base64url. */
  readonly plan: string;
  /** The document that officers sign, base64url. */
  readonly change: string;
  readonly changes: readonly ChangeView[];
  readonly partners: readonly {
    readonly peer: string;
    readonly effect: string;
    readonly before: string;
    readonly after: string;
    readonly label_before?: string;
    readonly label_after?: string;
    readonly reason?: string;
  }[];
  readonly conversations: readonly {
    readonly conversation: string;
    readonly label: string;
    readonly effect: 'frozen' | 'held' | 'allowed';
    readonly organisations: readonly string[];
    readonly reason?: string;
  }[];
  readonly own_labels: { readonly opened: readonly string[]; readonly closed: readonly string[] };
  readonly exchanges: readonly { readonly peer: string; readonly level: string; readonly why: string }[];
  readonly renewals: readonly {
    readonly peer: string;
    readonly level: string;
    readonly not_after: number;
    readonly why: string;
  }[];
  readonly replay: {
    readonly recorded: number;
    readonly days: number;
    readonly unexplained: number;
    readonly stale: number;
    readonly rows: readonly ReplayRow[];
  };
  readonly people: number;
  readonly opens: boolean;
}

const SHOWN_MAX = 20;
const HASH_SHOWN = 16;
const ID_SHOWN = 8;

export const shortHash = (hash: string): string => hash.slice(0, HASH_SHOWN);
export const loosens = (changes: readonly ChangeView[]): boolean => changes.some(({ effect }) => effect === 'loosens');

export function printChanges(changes: readonly ChangeView[]): void {
  if (changes.length === 0) return;
  printTable(
    ['EFFECT', 'SETTING', 'WHAT CHANGES'],
    changes.map(({ effect, path, sentence }) => [effect, path, sentence]),
  );
}

/** The whole plan: what is written differently, then what would happen to whom. */
export function printPlan(plan: PlanView): void {
  printChanges(plan.changes);
  printPartners(plan);
  printConversations(plan);
  printLists(plan);
  printReplay(plan);
}

function printPartners({ partners }: PlanView): void {
  section('Partners', partners, (one) => {
    const label = (name: string | undefined) => (name === undefined ? 'nothing' : `up to ${name}`);
    const why = one.reason === undefined ? '' : `; reason: ${one.reason}`;
    const levels = one.before === one.after ? `stays ${one.after}` : `${one.before} -> ${one.after}`;
    return `${one.peer} ${one.effect}: ${levels} (${label(one.label_before)} -> ${label(one.label_after)}${why})`;
  });
}

const EFFECTS = {
  frozen: 'frozen: trust with a partner in it ends; whoever is blocked is put out of it for good',
  held: 'held: its messages wait',
  allowed: 'allowed: its messages pass',
} as const;

function printConversations({ conversations }: PlanView): void {
  const groups = (['frozen', 'held', 'allowed'] as const).map((effect) => ({
    effect,
    found: conversations.filter((one) => one.effect === effect),
  }));
  if (conversations.length === 0) return;
  print('', 'Conversations');
  for (const { effect, found } of groups.filter((group) => group.found.length > 0)) {
    print(`  ${found.length} ${EFFECTS[effect]}`);
    for (const { conversation, label, organisations, reason } of found.slice(0, SHOWN_MAX)) {
      const why = reason === undefined ? '' : `, reason: ${reason}`;
      print(`    ${conversation.slice(0, ID_SHOWN)}  ${label}, with ${organisations.join(', ')}${why}`);
    }
    if (found.length > SHOWN_MAX) print(`    and ${found.length - SHOWN_MAX} more (--json has all)`);
  }
}

function printLists({ own_labels: own, exchanges, renewals }: PlanView): void {
  section('Labels inside the organisation', [
    ...own.opened.map((label) => `${label} may be used`),
    ...own.closed.map((label) => `${label} may not be used any more`),
  ]);
  section('Requests under way that would be refused', exchanges, ({ peer, level, why }) => `${peer}, ${level}: ${why}`);
  section(
    'Certificates that could not be renewed',
    renewals,
    ({ peer, level, not_after: end, why }) => `${peer}, ${level} until ${utcTime(end)} UTC: ${why}`,
  );
}

function section(title: string, lines: readonly string[]): void;
function section<T>(title: string, items: readonly T[], lineOf: (item: T) => string): void;
function section<T>(title: string, items: readonly T[], lineOf: (item: T) => string = String): void {
  if (items.length === 0) return;
  print('', title, ...items.slice(0, SHOWN_MAX).map((item) => `  ${lineOf(item)}`));
  if (items.length > SHOWN_MAX) print(`  and ${items.length - SHOWN_MAX} more (--json has all)`);
}

const WORDS: Readonly<Record<string, string>> = {
  message_relay: 'messages',
  user_discovery: 'look-ups',
  presence: 'presence updates',
  file_transfer: 'files',
  voice_calls: 'calls',
  media_relay: 'media relays',
  archive_sync: 'archive requests',
};

function printReplay({ replay }: PlanView): void {
  const { recorded, days, unexplained, stale, rows } = replay;
  const number = (count: number) => count.toLocaleString('en');
  if (recorded === 0) return print('', 'No decisions are recorded yet, so none can be replayed.');
  print('', `Of ${number(recorded)} decisions recorded on ${days} of the last 30 days:`);
  for (const row of rows.slice(0, SHOWN_MAX)) print(`  ${number(row.count)} ${replayText(row)}`);
  if (rows.length > SHOWN_MAX) print(`  and ${rows.length - SHOWN_MAX} kinds more (--json has all)`);
  if (rows.length === 0) print('  none would have been decided otherwise');
  if (stale > 0)
    print(
      `  ${number(stale)} were refused for stale data; how old it was is not recorded, so the new limit may let some pass`,
    );
  if (unexplained > 0) print(`  ${number(unexplained)} are left out: trust itself has changed since`);
}

function replayText({ direction, permission, peer, label, effect, reason, number }: ReplayRow): string {
  const what = `${direction} ${WORDS[permission] ?? permission} ${direction === 'outgoing' ? 'to' : 'from'} ${peer}`;
  const marked = label === undefined ? '' : ` labelled ${label}`;
  if (effect === 'refused') return `${what}${marked} would have been refused (reason ${number} ${reason})`;
  return `${what}${marked} would have been allowed (they were refused: reason ${number} ${reason})`;
}
