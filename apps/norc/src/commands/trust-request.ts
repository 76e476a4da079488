import { nodeClock } from '@norc/crypto/node';
import { type AdminClient, AdminRefusal } from '../admin-client.ts';
import { type Command, CommandError, type CommandInput, countOption, EXIT } from '../command.ts';
import { openRequest } from '../officer/grant.ts';
import { requestFacts } from '../officer/grant-words.ts';
import { OFFICER_OPTIONS, type OfficerKeySource, officerSource } from '../officer/key.ts';
import { signApproval } from '../officer/sign-approval.ts';
import { factLines, hint, note } from '../output.ts';
import { askingOnTerminal, askYes } from '../terminal/prompt.ts';
import { adminClientOf, organisationFolder, SERVER_OPTIONS } from './shared.ts';
import { follow, type NegotiationView, printNegotiation, QUIET_MS } from './trust-follow.ts';
import { domainArgument, LEVELS } from './trust-partner.ts';
import { parsedDomain } from './trust-terms.ts';

export const trustRequest: Command = {
  words: ['trust', 'request'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Ask another organisation for trust.',
  help: `Your server proves that it controls your domain and its key, and checks the same of the other side.
Their officer then approves with: norc trust approve YOUR-DOMAIN.
Compare the root fingerprints of both sides over another channel, such as a call.

Levels that need officers are asked for by an officer, with --officer; others of yours and theirs then approve.`,
  options: [
    ...SERVER_OPTIONS,
    { name: 'level', value: 'LEVEL', text: `One of ${LEVELS.join(', ')} (default: basic).` },
    { name: 'days', value: 'N', text: 'For how long (default: as long as the policy allows at the level).' },
    {
      name: 'condition',
      value: 'LIST',
      text: 'What they have to show later, as NAME:KIND:DAYS:ACTION[:LEVEL]; several with commas.',
    },
    { name: 'note', value: 'TEXT', text: "For the other side's officers." },
    { name: 'nato', text: 'Also for nato labels.' },
    ...OFFICER_OPTIONS,
    { name: 'yes', text: 'You read what you sign. Nothing is asked.' },
  ],
  argumentsMax: 1,
  async run(input) {
    const peer = domainArgument(input);
    const level = levelOption(input) ?? 'basic';
    const folder = await organisationFolder(input);
    const client = adminClientOf(folder);
    const fields = requestFields(input, peer, level);
    const source = officerSource(input);
    const signed = source === undefined ? {} : await signRequest(input, { folder, client, source, fields });
    await client.post('/trust/request', { ...fields, ...signed }).catch(explainOfficer(peer, level));
    // Trust that is in force already stays so while more is asked for: the exchange itself is followed.
    const isOver = ({ exchange_id: open, state }: NegotiationView) =>
      open === undefined || state === 'awaiting_approval';
    const partner = await follow(client, peer, isOver, QUIET_MS);
    printNegotiation(partner, nodeClock.now());
    if (partner.exchange_id !== undefined && partner.state !== 'awaiting_approval')
      hint('norc trust list shows when the other side has approved');
    if (partner.state === 'awaiting_approval') hint(`officers here approve it with: norc trust approve ${peer}`);
    return partner.exchange_id === undefined && partner.refusal !== undefined ? EXIT.failure : EXIT.ok;
  },
};

export function levelOption({ options }: CommandInput): string | undefined {
  const level = options.get('level');
  if (level === undefined || LEVELS.includes(level)) return level;
  throw new CommandError(EXIT.usage, `'${level}' is not a trust level.`, `Choose one of: ${LEVELS.join(', ')}.`);
}

type Fields = Readonly<Record<string, string | number>>;

function requestFields(input: CommandInput, peer: string, level: string): Fields {
  const days = countOption(input, 'days', 0, 1);
  const [conditions, note] = [input.options.get('condition'), input.options.get('note')];
  return {
    ...{ peer, level },
    ...(days === 0 ? {} : { days }),
    ...(conditions === undefined ? {} : { conditions }),
    ...(note === undefined ? {} : { note }),
    ...(input.flags.has('nato') ? { nato_capable: 'true' } : {}),
  };
}

interface Signing {
  readonly folder: string;
  readonly client: AdminClient;
  readonly source: OfficerKeySource;
  readonly fields: Fields;
}

/** Shows the request as the server drafted it, and signs exactly what was shown. */
async function signRequest(input: CommandInput, { folder, client, source, fields }: Signing): Promise<Fields> {
  const peer = parsedDomain(String(fields['peer']));
  const draft = await client.post<{ description: string; subject: string }>('/trust/request/draft', fields);
  const { description, subject } = openRequest(draft.description, peer, String(fields['level']));
  note(`You are about to sign: ask ${peer} for trust.`);
  for (const line of factLines(requestFacts(description))) note(line);
  if (!input.flags.has('yes') && !(await askYes(askingOnTerminal, 'Sign this?', '--yes')))
    throw new CommandError(EXIT.interrupted, 'Stopped. Nothing was signed.');
  const approval = await signApproval(source, { folder, client, action: 'trust_request', subject, peer });
  return { subject: Buffer.from(subject).toString('base64url'), ...approval.fields };
}

function explainOfficer(peer: string, level: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof AdminRefusal) || cause.code !== 'approval_required') throw cause;
    throw new CommandError(
      EXIT.failure,
      `Trust at level ${level} is asked for by an officer, with their own key; two others approve it, here and there.`,
      `norc trust request ${peer} --level ${level} --officer KEY (norc officer init makes a key)`,
      { cause },
    );
  };
}
