import { type Command, CommandError, EXIT, positional } from '../command.ts';
import { hint, printJson, printTable } from '../terminal/output.ts';
import { adminClient, DATA_OPTION, JSON_OPTION, localTime } from './shared.ts';

export interface PartnerView {
  readonly peer: string;
  readonly state: string;
  readonly level: string;
  readonly not_after?: number;
  readonly root_fingerprint?: string;
  readonly explanation: string;
}

const LEVELS = ['basic', 'verified', 'classified', 'nato'];

export const trustRequest: Command = {
  words: ['trust', 'request'],
  arguments: 'DOMAIN',
  summary: 'Ask another organisation for trust.',
  help: `Your server proves that it controls your domain and its key, and checks the same of the other side.
Their officer then approves with: norc trust approve YOUR-DOMAIN. Compare the root fingerprints by another channel.`,
  options: [DATA_OPTION, { name: 'level', value: 'LEVEL', text: `One of ${LEVELS.join(', ')} (default: basic).` }],
  async run(input) {
    const peer = positional(input, 0, 'DOMAIN');
    const level = input.options.get('level') ?? 'basic';
    if (!LEVELS.includes(level)) {
      throw new CommandError(EXIT.usage, `'${level}' is not a trust level.`, `Choose one of: ${LEVELS.join(', ')}.`);
    }
    const partner = await adminClient(input).post<PartnerView>('/trust/request', { peer, level });
    printPartner(partner);
    if (partner.state === 'requested') hint(`the other side runs: norc trust approve, then see: norc trust list`);
    return EXIT.ok;
  },
};

export const trustList: Command = {
  words: ['trust', 'list'],
  arguments: '',
  summary: 'List partners: level, state, until when.',
  options: [DATA_OPTION, JSON_OPTION],
  async run(input) {
    const { partners } = await adminClient(input).get<{ partners: readonly PartnerView[] }>('/trust');
    if (input.flags.has('json')) printJson(partners);
    else if (partners.length === 0) hint('norc trust request DOMAIN');
    else
      printTable(
        ['PARTNER', 'STATE', 'LEVEL', 'UNTIL (UTC)', 'WHY'],
        partners.map((one) => [
          one.peer,
          one.state.replaceAll('_', ' '),
          one.level,
          one.not_after === undefined ? '-' : localTime(one.not_after),
          one.explanation,
        ]),
      );
    const waiting = partners.find((one) => one.state === 'awaiting_approval');
    if (waiting !== undefined && !input.flags.has('json')) hint(`norc trust approve ${waiting.peer}`);
    return EXIT.ok;
  },
};

export const trustApprove: Command = {
  words: ['trust', 'approve'],
  arguments: 'DOMAIN',
  summary: "Approve another organisation's request.",
  options: [DATA_OPTION],
  async run(input) {
    const peer = positional(input, 0, 'DOMAIN');
    printPartner(await adminClient(input).post<PartnerView>('/trust/approve', { peer }));
    return EXIT.ok;
  },
};

export const trustDecline: Command = {
  words: ['trust', 'decline'],
  arguments: 'DOMAIN',
  summary: "Decline another organisation's request.",
  options: [DATA_OPTION, { name: 'reason', value: 'TEXT', text: 'Told to the other side.' }],
  async run(input) {
    const peer = positional(input, 0, 'DOMAIN');
    const reason = input.options.get('reason') ?? 'declined';
    printPartner(await adminClient(input).post<PartnerView>('/trust/decline', { peer, reason }));
    return EXIT.ok;
  },
};

export const trustRevoke: Command = {
  words: ['trust', 'revoke'],
  arguments: 'DOMAIN',
  summary: 'End trust with another organisation at once.',
  help: 'Links close, nothing more is sent or accepted in either direction, shared conversations freeze.',
  options: [
    DATA_OPTION,
    { name: 'reason', value: 'TEXT', text: 'Why; recorded in the audit log and told to the other side.' },
    { name: 'yes', text: 'Do not ask for confirmation.' },
  ],
  async run(input) {
    const peer = positional(input, 0, 'DOMAIN');
    const reason = input.options.get('reason');
    if (reason === undefined) throw new CommandError(EXIT.usage, 'A revocation needs a reason.', `norc trust revoke ${peer} --reason TEXT --yes`);
    if (!input.flags.has('yes')) {
      throw new CommandError(
        EXIT.usage,
        `This ends all communication with ${peer} at once.`,
        `If you mean it: norc trust revoke ${peer} --reason '${reason}' --yes`,
      );
    }
    const { sequence } = await adminClient(input).post<{ sequence: number }>('/trust/revoke', { peer, reason });
    process.stdout.write(`Trust with ${peer} is ended: revocation ${sequence}, in force here now.\n`);
    return EXIT.ok;
  },
};

function printPartner(partner: PartnerView): void {
  process.stdout.write(`${partner.peer}: ${partner.state.replaceAll('_', ' ')}, ${partner.level}. ${partner.explanation}\n`);
  if (partner.root_fingerprint !== undefined) process.stdout.write(`root fingerprint  ${partner.root_fingerprint}\n`);
}
