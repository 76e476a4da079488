import { AdminRefusal } from '../admin-client.ts';
import { type Command, CommandError, EXIT } from '../command.ts';
import { type Fact, hint, note, print, printFacts, printJson, printTable } from '../output.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS, utcTime } from './shared.ts';
import { type NegotiationView, printNegotiation } from './trust-follow.ts';
import { adviseOn, domainArgument, levelText, partnersAt, partnersOf, STATES, untilText } from './trust-partner.ts';
import { figuresText, type ProgressView, progressLines } from './trust-progress.ts';

export const trustList: Command = {
  words: ['trust', 'list'],
  topic: 'trust',
  arguments: '',
  summary: 'List partners: level, state, until when.',
  options: [...SERVER_OPTIONS, JSON_OPTION],
  async run(input) {
    const partners = await partnersOf(input);
    if (input.flags.has('json')) printJson(partners);
    else if (partners.length === 0) note('No partners yet.');
    else
      printTable(
        ['PARTNER', 'STATE', 'LEVEL', 'UNTIL (UTC)', 'WHY'],
        partners.map((one) => [one.peer, STATES[one.state], levelText(one), untilText(one), one.explanation]),
      );
    if (!input.flags.has('json')) adviseOn(partners);
    return EXIT.ok;
  },
};

interface CertificateView {
  readonly certificate_id: string;
  readonly issuer: string;
  readonly subject: string;
  readonly level: string;
  readonly level_now?: string;
  readonly nato_capable: boolean;
  readonly standing: string;
  readonly not_before: number;
  readonly not_after: number;
  readonly permissions: readonly string[];
  readonly conditions: readonly {
    readonly name: string;
    readonly kind: string;
    readonly met: boolean;
    readonly deadline: number;
    readonly action: string;
    readonly level?: string;
  }[];
  readonly evidence: readonly {
    readonly kind: string;
    readonly method?: string;
    readonly checked_at: number;
    readonly expires_at?: number;
  }[];
}

export interface ActView {
  readonly issuer: string;
  readonly subject: string;
  readonly action: string;
  readonly reason: string;
  readonly level?: string;
  readonly condition?: string;
  readonly first: number;
  readonly last: number;
  readonly issued_at: number;
  readonly effective_at: number;
  readonly held: boolean;
}

interface Notice {
  readonly at: number;
  readonly about: string;
  readonly text: string;
}

interface Details {
  readonly peer: string;
  readonly self: string;
  readonly now: number;
  readonly not_after?: number;
  readonly renews_at?: number;
  readonly revocations_heard_at?: number;
  readonly given: readonly CertificateView[];
  readonly received: readonly CertificateView[];
  readonly statements: readonly ActView[];
  readonly incidents: readonly Notice[];
  readonly notices: readonly Notice[];
  readonly approvals: readonly { readonly hash: string; readonly at: number }[];
  readonly propagation?: ProgressView;
  readonly figures?: { readonly count: number; readonly p50: number; readonly p95: number; readonly max: number };
}

export const trustShow: Command = {
  words: ['trust', 'show'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Show all that is known of one partner, with the fingerprint to compare.',
  help: `Both certificates with their evidence and conditions, what was revoked and how far that got, incidents, and what is due.`,
  options: [...SERVER_OPTIONS, JSON_OPTION],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const client = await adminClient(input);
    const partner: NegotiationView | undefined = (await partnersAt(client)).find((one) => one.peer === peer);
    if (partner === undefined) {
      throw new CommandError(EXIT.failure, `There was never trust with ${peer}.`, `norc trust request ${peer}`);
    }
    const details = await client.get<Details>('/trust/show', { peer }).catch((cause: unknown) => {
      if (cause instanceof AdminRefusal && cause.code === 'not_trusted') return undefined; // nothing was agreed yet
      throw cause;
    });
    if (input.flags.has('json')) printJson({ ...partner, ...details });
    else {
      printNegotiation(partner, details?.now ?? Date.now());
      if (details !== undefined) printDetails(details, partner.approvals?.signed === true);
      adviseOn([partner]);
      if (details !== undefined) advise(details);
    }
    return EXIT.ok;
  },
};

/** `signed`: officers ask for trust at this level with their own keys. */
function printDetails(details: Details, signed: boolean): void {
  const { now, not_after: notAfter, renews_at: renewsAt, revocations_heard_at: heardAt } = details;
  const from = signed ? 'officers ask for it again from' : 'begins by itself';
  print('');
  printFacts([
    ...(notAfter === undefined ? [] : [['Ends in', spanText(notAfter - now)] as const]),
    ...(renewsAt === undefined
      ? []
      : [['Renewal', renewsAt > now ? `${from} ${utcTime(renewsAt)} UTC` : 'due now'] as const]),
    ...(heardAt === undefined ? [] : [['Last heard', `${spanText(now - heardAt)} ago`] as const]),
    ...(details.approvals.length === 0
      ? []
      : [['Approvals', `${details.approvals.length} signed by officers, kept`] as const]),
  ]);
  for (const one of [...details.given, ...details.received].filter(isWorthShowing)) printCertificate(one, now);
  section(
    'Statements',
    details.statements.map((act) => [time(act.issued_at), actText(act)] as const),
  );
  section(
    'Incidents',
    details.incidents.map(({ at, text }) => [time(at), text] as const),
  );
  section(
    'Notices',
    details.notices.slice(-NOTICES_SHOWN).map(({ at, text }) => [time(at), text] as const),
  );
  if (details.propagation !== undefined) {
    print('', `Statement ${details.propagation.sequence} of ours`);
    print(...progressLines(details.propagation).map((line) => `  ${line}`));
  }
  if (details.figures !== undefined) print('', `Confirmations so far: ${figuresText(details.figures)}`);
}

const NOTICES_SHOWN = 8;
/** Replaced long ago and over: the history and the export have them. */
const isWorthShowing = ({ standing }: CertificateView): boolean => standing !== 'expired';

function printCertificate(one: CertificateView, now: number): void {
  print('', `${one.issuer} gave ${one.subject}`);
  const level =
    one.level_now !== undefined && one.level_now !== one.level
      ? `${one.level}, lowered to ${one.level_now}`
      : one.level;
  printFacts([
    ['Certificate', `${one.certificate_id} (${one.standing.replaceAll('_', ' ')})`],
    ['Level', `${level}${one.nato_capable ? ', nato-capable' : ''}`],
    ['Dates', `${utcTime(one.not_before)} to ${utcTime(one.not_after)} UTC`],
    ['May', one.permissions.join(', ')],
    ['Evidence', one.evidence.length === 0 ? 'none' : one.evidence.map((e) => evidenceText(e, now))],
    ...(one.conditions.length === 0
      ? []
      : [['Conditions', one.conditions.map((c) => conditionText(c, now))] satisfies Fact]),
  ]);
}

function evidenceText(
  { kind, method, checked_at, expires_at }: CertificateView['evidence'][number],
  now: number,
): string {
  const how = method === undefined ? '' : ` by ${method}`;
  const end = expires_at === undefined ? '' : `, ${expires_at > now ? 'until' : 'ended'} ${utcTime(expires_at)} UTC`;
  return `${kind}${how}, checked ${spanText(now - checked_at)} ago${end}`;
}

function conditionText(condition: CertificateView['conditions'][number], now: number): string {
  const { name, kind, deadline, action, level, met } = condition;
  const what = `show ${kind} (${name})`;
  if (met) return `${what}: met`;
  const then = level === undefined ? action : `${action} to ${level}`;
  if (deadline <= now) return `${what}: not met by ${time(deadline)}, so: ${then}`;
  return `${what} within ${spanText(deadline - now)} (${time(deadline)}), else ${then}`;
}

export function actText({ issuer, subject, action, level, condition, reason, held, effective_at }: ActView): string {
  const what = {
    revoke: `ended trust with ${subject}`,
    suspend: `suspended trust with ${subject}`,
    restore: `gave ${subject} back what was taken`,
    downgrade: `lowered ${subject} to ${level ?? 'less'}`,
    condition_met: `says that ${subject} met the condition ${condition ?? ''}`,
  }[action];
  const when = held ? `, from ${utcTime(effective_at)} UTC on` : '';
  return `${issuer} ${what ?? action}${when}: ${reason}`;
}

function section(title: string, rows: readonly (readonly [string, string])[]): void {
  if (rows.length === 0) return;
  print('', title);
  printFacts(rows);
}

function advise({ incidents, statements, self, peer }: Details): void {
  if (incidents.some(({ about }) => about === 'fork')) {
    hint(`look at both documents: norc trust export ${peer} --out FOLDER; talk to ${peer} over another channel`);
  }
  const last = statements.findLast(({ issuer }) => issuer === self);
  if (last?.action === 'suspend')
    hint(`norc trust restore ${peer} --reason TEXT, or norc trust revoke ${peer} --reason TEXT`);
}

const time = (at: number): string => `${utcTime(at)} UTC`;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** `12 days`, `3 hours`, `40 s` */
export function spanText(milliseconds: number): string {
  const of = (size: number, unit: string) => {
    const count = Math.floor(milliseconds / size);
    return `${count} ${unit}${count === 1 ? '' : 's'}`;
  };
  if (milliseconds >= 2 * DAY_MS) return of(DAY_MS, 'day');
  if (milliseconds >= 2 * HOUR_MS) return of(HOUR_MS, 'hour');
  if (milliseconds >= 2 * MINUTE_MS) return of(MINUTE_MS, 'minute');
  return `${Math.max(0, Math.floor(milliseconds / 1000))} s`;
}
