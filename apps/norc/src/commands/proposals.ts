import { writeFile } from 'node:fs/promises';
import { nodeCrypto } from '@norc/crypto/node';
import { fromBase64Url, parseDomain, toHex } from '@norc/protocol/base';
import { APPROVAL_ACTIONS, type ApprovalAction } from '@norc/protocol/norc-t';
import type { JsonValue } from '@norc/protocol/wire';
import type { AdminClient } from '../admin-client.ts';
import { type Command, CommandError, type CommandInput, EXIT, positional } from '../command.ts';
import { OFFICER_OPTIONS, requiredOfficerSource } from '../officer/key.ts';
import { openProposal } from '../officer/open-proposal.ts';
import { pinnedOrganisation, signApproval } from '../officer/sign-approval.ts';
import { actionWords } from '../officer/words.ts';
import { hint, note, print, printFacts, printJson, printTable } from '../output.ts';
import { cleanLine } from '../terminal/clean.ts';
import { askingOnTerminal, askYes } from '../terminal/prompt.ts';
import { adminClient, adminClientOf, JSON_OPTION, organisationFolder, SERVER_OPTIONS, utcTime } from './shared.ts';

/** One proposal as the admin interface tells it. */
export interface ProposalView {
  readonly proposal: string;
  readonly action: string;
  readonly peer?: string;
  /** Hexadecimal of BLAKE3 of the document. */
  readonly subject: string;
  readonly needed: number;
  readonly approved_by: readonly string[];
  readonly requested_by?: string;
  readonly opened_at: number;
  readonly expires_at: number;
  readonly state: 'open' | 'approved' | 'done' | 'withdrawn' | 'expired';
  readonly refused?: string;
}

const ID_SHOWN = 8;
const LINES_MAX = 400;
const LIST = {
  topic: 'trust',
  arguments: '',
  summary: 'List what waits for officers, and who signed.',
  options: [...SERVER_OPTIONS, { name: 'all', text: 'Also what is over.' }, JSON_OPTION],
  run: listProposals,
} as const satisfies Omit<Command, 'words'>;

export const proposals: Command = { words: ['proposals'], ...LIST };
export const officerProposals: Command = { words: ['officer', 'proposals'], ...LIST };

async function listProposals(input: CommandInput) {
  const all = await proposalsAt(await adminClient(input));
  const shown = input.flags.has('all') ? all : all.filter(isWaiting);
  if (input.flags.has('json')) printJson(shown);
  else if (shown.length === 0) note('Nothing waits for officers.');
  else
    printTable(
      ['PROPOSAL', 'WHAT', 'STATE', 'SIGNED', 'ASKED BY', 'UNTIL (UTC)'],
      shown.map((one) => [
        one.proposal.slice(0, ID_SHOWN),
        words(one),
        stateText(one),
        signedText(one),
        short(one.requested_by),
        utcTime(one.expires_at),
      ]),
    );
  if (!input.flags.has('json') && shown.some(isWaiting)) hint('norc officer approve PROPOSAL --officer KEY');
  return EXIT.ok;
}

async function proposalsAt(client: AdminClient): Promise<readonly ProposalView[]> {
  return (await client.get<{ proposals: readonly ProposalView[] }>('/proposals')).proposals;
}

const isWaiting = ({ state }: ProposalView): boolean => state === 'open' || state === 'approved';
const short = (id: string | undefined): string => id?.slice(0, ID_SHOWN) ?? '-';
const words = ({ action, peer }: ProposalView): string => actionWords(actionOf(action), peer);

function stateText({ state, refused }: ProposalView): string {
  return refused === undefined ? state : `${state}; it was refused: ${refused}`;
}

function signedText({ approved_by, needed, state }: ProposalView): string {
  if (state !== 'open' && state !== 'approved') return `needed ${needed}`;
  const who = approved_by.length === 0 ? '' : ` (${approved_by.map(short).join(', ')})`;
  return `${approved_by.length} of ${needed}${who}`;
}

function actionOf(name: string): ApprovalAction {
  const action = APPROVAL_ACTIONS.find((one) => one === name);
  if (action !== undefined) return action;
  throw new CommandError(EXIT.badData, `The server speaks of '${name}', which this version does not know.`);
}

export const officerApprove: Command = {
  words: ['officer', 'approve'],
  topic: 'trust',
  arguments: 'PROPOSAL',
  summary: 'Sign something that waits for officers.',
  help: `Shows exactly what you would sign, asks, and signs it with your own key on this machine. PROPOSAL is the id that
norc proposals shows, or its beginning. Trust requests are approved with: norc trust approve DOMAIN.`,
  options: [
    ...SERVER_OPTIONS,
    ...OFFICER_OPTIONS,
    { name: 'save', value: 'FILE', text: 'Only write what would be signed to this file.' },
    { name: 'show-all', text: `Also what is longer than ${LINES_MAX} lines, which scrolls away: read it whole.` },
    { name: 'yes', text: 'You read it. Nothing is asked.' },
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const folder = await organisationFolder(input);
    const client = adminClientOf(folder);
    const found = await proposalNamed(client, positional(input, 0, 'PROPOSAL').toLowerCase());
    const document = await documentOf(client, found);
    const save = input.options.get('save');
    if (save !== undefined) {
      await writeFile(save, document, { flag: 'wx' }).catch((cause: unknown) => {
        throw new CommandError(EXIT.cannotCreate, `${save} exists already, or cannot be made.`, undefined, { cause });
      });
      print(`${words(found)}: the document is in ${save}.`);
      return EXIT.ok;
    }
    if (found.state !== 'open') throw new CommandError(EXIT.failure, `This is ${found.state}.`, 'norc proposals --all');
    const source = requiredOfficerSource(input, `norc officer approve ${found.proposal.slice(0, ID_SHOWN)}`);
    // What is signed is what is shown: the hash is of these bytes, whatever the server says of them.
    const subject = nodeCrypto.blake3(document);
    const peer = peerOf(found);
    const { org } = await pinnedOrganisation(folder);
    const policy = async () => (await client.get<{ policy: JsonValue }>('/policy')).policy;
    const lines = await openProposal({ action: found.action, peer, document }, { org, policy });
    showProposal(input, { proposal: found, lines, subject });
    await confirm(input);
    const draft = { folder, client, action: actionOf(found.action), subject, ...(peer === undefined ? {} : { peer }) };
    const { fields } = await signApproval(source, draft);
    const after = await client.post<ProposalView>('/proposals/approve', { proposal: found.proposal, ...fields });
    if (input.flags.has('json')) printJson(after);
    else printOutcome(after);
    return EXIT.ok;
  },
};

function peerOf({ peer }: ProposalView) {
  const parsed = peer === undefined ? undefined : parseDomain(peer);
  return parsed?.ok === true ? parsed.value : undefined;
}

async function confirm({ flags }: CommandInput): Promise<void> {
  if (flags.has('yes') || (await askYes(askingOnTerminal, 'Sign this?', '--yes'))) return;
  throw new CommandError(EXIT.interrupted, 'Stopped. Nothing was signed.');
}

interface Shown {
  readonly proposal: ProposalView;
  readonly lines: readonly string[];
  readonly subject: Uint8Array;
}

/** Whole or not at all: nobody signs what was cut, or what has scrolled away unasked. */
function showProposal({ flags }: CommandInput, { proposal, lines, subject }: Shown): void {
  if (lines.length > LINES_MAX && !flags.has('show-all')) {
    const next = `read it with --save FILE, then: norc officer approve ${proposal.proposal.slice(0, ID_SHOWN)} --officer KEY --show-all`;
    throw new CommandError(EXIT.failure, `This is ${lines.length} lines long. Nothing was signed.`, next);
  }
  note(`You are about to sign: ${words(proposal)}.`);
  for (const line of lines) note(`  | ${cleanLine(line)}`);
  note(`Hash of it: ${toHex(subject)}`);
  note(`Signed so far: ${signedText(proposal)}; asked for by ${short(proposal.requested_by)}.`);
}

function printOutcome(proposal: ProposalView): void {
  print(`${words(proposal)}: signed.`);
  if (proposal.state === 'done') print('Enough officers signed: it is in force.');
  else printFacts([['Signed', signedText(proposal)]]);
}

export const officerWithdraw: Command = {
  words: ['officer', 'withdraw'],
  topic: 'trust',
  arguments: 'PROPOSAL',
  summary: 'Take back something that waits for officers.',
  options: [...SERVER_OPTIONS, JSON_OPTION],
  argumentsMax: 1,
  async run(input) {
    const client = await adminClient(input);
    const { proposal } = await proposalNamed(client, positional(input, 0, 'PROPOSAL').toLowerCase());
    const after = await client.post<ProposalView>('/proposals/withdraw', { proposal });
    if (input.flags.has('json')) printJson(after);
    else print(`${words(after)}: withdrawn.`);
    return EXIT.ok;
  },
};

async function proposalNamed(client: AdminClient, text: string): Promise<ProposalView> {
  const found = (await proposalsAt(client)).filter((one) => one.proposal.startsWith(text));
  const [only] = found.length === 1 ? found : found.filter(isWaiting);
  if (only !== undefined && found.filter(isWaiting).length <= 1) return only;
  const what = found.length === 0 ? 'There is no proposal' : 'There is more than one proposal';
  throw new CommandError(EXIT.usage, `${what} ${text}.`, 'norc proposals');
}

async function documentOf(client: AdminClient, { proposal }: ProposalView): Promise<Uint8Array> {
  const { document } = await client.get<{ document: string }>('/proposals/document', { proposal });
  const bytes = fromBase64Url(document);
  if (bytes === undefined) throw new CommandError(EXIT.badData, 'The server gave no document.');
  return bytes;
}
