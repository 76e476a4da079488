import { setTimeout as delay } from 'node:timers/promises';
import { parseDomain } from '@norc/protocol/base';
import { type AdminClient, AdminRefusal } from '../admin-client.ts';
import { type Command, CommandError, type CommandInput, EXIT, positional } from '../command.ts';
import { fingerprintLines, hint, note, print, printFacts, printJson, printTable } from '../output.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS, utcTime } from './shared.ts';

/** One partner as the admin interface tells it. */
export interface PartnerView {
  readonly peer: string;
  readonly state: 'none' | 'requested' | 'awaiting_approval' | 'in_force' | 'expired' | 'revoked' | 'refused';
  readonly level: string;
  readonly not_after?: number;
  /** Of the partner's root key, in groups. */
  readonly root_fingerprint?: string;
  readonly explanation: string;
}

const LEVELS = ['basic', 'verified', 'classified', 'nato'];

const STATES: Readonly<Record<PartnerView['state'], string>> = {
  none: 'none',
  requested: 'requested',
  awaiting_approval: 'needs approval',
  in_force: 'in force',
  expired: 'expired',
  revoked: 'revoked',
  refused: 'refused',
};

export const trustRequest: Command = {
  words: ['trust', 'request'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Ask another organisation for trust.',
  help: `Your server proves that it controls your domain and its key, and checks the same of the other side.
Their officer then approves with: norc trust approve YOUR-DOMAIN.
Compare the root fingerprints of both sides over another channel, such as a call.`,
  options: [
    ...SERVER_OPTIONS,
    { name: 'level', value: 'LEVEL', text: `One of ${LEVELS.join(', ')} (default: basic).` },
  ],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const level = input.options.get('level') ?? 'basic';
    if (!LEVELS.includes(level)) {
      throw new CommandError(EXIT.usage, `'${level}' is not a trust level.`, `Choose one of: ${LEVELS.join(', ')}.`);
    }
    const client = await adminClient(input);
    await client.post('/trust/request', { peer, level });
    const partner = await follow(client, peer, ({ state }) => state !== 'requested', QUIET_MS);
    printPartner(partner);
    if (partner.state === 'requested') hint('norc trust list shows when the other side has approved');
    return partner.state === 'refused' ? EXIT.failure : EXIT.ok;
  },
};

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

export const trustShow: Command = {
  words: ['trust', 'show'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Show one partner, with the fingerprint to compare.',
  options: [...SERVER_OPTIONS, JSON_OPTION],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const partner = (await partnersOf(input)).find((one) => one.peer === peer);
    if (partner === undefined) {
      throw new CommandError(EXIT.failure, `There was never trust with ${peer}.`, `norc trust request ${peer}`);
    }
    if (input.flags.has('json')) printJson(partner);
    else printPartner(partner);
    if (!input.flags.has('json')) adviseOn([partner]);
    return EXIT.ok;
  },
};

export const trustApprove: Command = {
  words: ['trust', 'approve'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: "Approve another organisation's request.",
  help: `Before you approve: compare the root fingerprint that norc trust show DOMAIN prints with the one that the other
organisation tells you over another channel (they see theirs with: norc org show).`,
  options: SERVER_OPTIONS,
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const client = await adminClient(input);
    await client.post('/trust/approve', { peer }).catch(explainNothingWaits(peer));
    const partner = await follow(client, peer, ({ state }) => state === 'in_force' || state === 'refused', CONFIRM_MS);
    printPartner(partner);
    if (partner.state === 'in_force') return EXIT.ok;
    if (partner.state === 'refused') return EXIT.failure;
    hint(`your approval stands; norc trust show ${peer} says when the other side has countersigned`);
    return EXIT.timeout;
  },
};

export const trustDecline: Command = {
  words: ['trust', 'decline'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: "Decline another organisation's request.",
  options: [...SERVER_OPTIONS, { name: 'reason', value: 'TEXT', text: 'Told to the other side.' }],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const reason = input.options.get('reason') ?? 'declined';
    const client = await adminClient(input);
    printPartner(await client.post<PartnerView>('/trust/decline', { peer, reason }).catch(explainNothingWaits(peer)));
    return EXIT.ok;
  },
};

export const trustRevoke: Command = {
  words: ['trust', 'revoke'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'End trust with another organisation at once.',
  help: 'Links close, nothing more is sent or accepted in either direction, shared conversations freeze.',
  options: [
    ...SERVER_OPTIONS,
    { name: 'reason', value: 'TEXT', text: 'Why; recorded in the audit log and told to the other side.' },
    { name: 'yes', text: 'You mean it. Nothing happens without it.' },
  ],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const reason = input.options.get('reason');
    if (reason === undefined) {
      throw new CommandError(
        EXIT.usage,
        'A revocation needs a reason.',
        `norc trust revoke ${peer} --reason TEXT --yes`,
      );
    }
    if (!input.flags.has('yes')) {
      throw new CommandError(
        EXIT.usage,
        `This ends all communication with ${peer} at once.`,
        `If you mean it: norc trust revoke ${peer} --reason '${reason}' --yes`,
      );
    }
    const client = await adminClient(input);
    const { sequence } = await client.post<{ sequence: number }>('/trust/revoke', { peer, reason });
    print(`Trust with ${peer} is ended: revocation ${sequence}, in force here now.`);
    return EXIT.ok;
  },
};

const POLL_MS = 50;
/** How long a request may stand still before the person is not kept any longer. */
const QUIET_MS = 1_000;
/** The other side's answer to an approval. */
const CONFIRM_MS = 10_000;

/** Tells each change of what is waited for, until `isOver`, or until nothing has changed for `quietMs`. */
async function follow(
  client: AdminClient,
  peer: string,
  isOver: (one: PartnerView) => boolean,
  quietMs: number,
): Promise<PartnerView> {
  let told = '';
  let changedAt = performance.now();
  for (;;) {
    const partner = (await partnersAt(client)).find((one) => one.peer === peer);
    if (partner === undefined)
      throw new CommandError(EXIT.failure, `The server knows nothing of ${peer}.`, 'norc trust list');
    if (isOver(partner)) return partner;
    if (partner.explanation !== told) {
      told = partner.explanation;
      changedAt = performance.now();
      note(told);
    }
    if (performance.now() - changedAt >= quietMs) return partner;
    await delay(POLL_MS);
  }
}

function domainArgument(input: CommandInput): string {
  const text = positional(input, 0, 'DOMAIN').toLowerCase();
  if (parseDomain(text).ok) return text;
  throw new CommandError(EXIT.usage, `'${text}' is not a domain.`, 'A domain looks like bravo.example.');
}

async function partnersOf(input: CommandInput): Promise<readonly PartnerView[]> {
  return await partnersAt(await adminClient(input));
}

async function partnersAt(client: AdminClient): Promise<readonly PartnerView[]> {
  return (await client.get<{ partners: readonly PartnerView[] }>('/trust')).partners;
}

function explainNothingWaits(peer: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof AdminRefusal) || cause.code !== 'forbidden') throw cause;
    throw new CommandError(EXIT.failure, `No request of ${peer} waits for approval.`, 'norc trust list', { cause });
  };
}

const levelText = ({ state, level }: PartnerView): string => (state === 'requested' ? `${level} (asked)` : level);

function untilText({ not_after: notAfter }: PartnerView): string {
  return notAfter === undefined ? '-' : utcTime(notAfter);
}

function printPartner(partner: PartnerView): void {
  const { peer, state, root_fingerprint: fingerprint, explanation } = partner;
  print(peer);
  printFacts([
    ['State', STATES[state]],
    ['Level', levelText(partner)],
    ...(partner.not_after === undefined ? [] : [['Until', `${untilText(partner)} UTC`] as const]),
    ...(fingerprint === undefined ? [] : [['Root fingerprint', fingerprintLines(fingerprint)] as const]),
    ['Why', explanation],
  ]);
}

function adviseOn(partners: readonly PartnerView[]): void {
  const waiting = partners.find((one) => one.state === 'awaiting_approval');
  if (waiting !== undefined)
    hint(`compare the fingerprint (norc trust show ${waiting.peer}), then: norc trust approve ${waiting.peer}`);
  else if (partners.length === 0) hint('norc trust request DOMAIN');
}
