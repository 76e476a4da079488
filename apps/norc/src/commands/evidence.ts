import { readFile } from 'node:fs/promises';
import { parseDomain, toBase64Url } from '@norc/protocol/base';
import { type Command, CommandError, type CommandInput, EXIT, type OptionHelp, positional } from '../command.ts';
import { fingerprintLines, hint, note, print, printFacts, printJson, printTable } from '../output.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS, utcTime } from './shared.ts';

/** Our own evidence as the admin interface tells it. */
interface OwnEvidenceView {
  readonly file: string;
  readonly kind: string;
  readonly title: string;
  readonly expires_at?: number;
  readonly fault?: string;
}

/** What was added or made. */
export interface KeptView {
  readonly kind: string;
  readonly title: string;
  readonly expires_at: number;
}

interface CheckView {
  readonly peer: string;
  readonly root_fingerprint: string;
  readonly findings: readonly {
    readonly kind: string;
    readonly result: 'held' | 'failed' | 'absent';
    readonly method?: string;
    readonly weight: number;
    readonly detail: string;
    readonly expires_at?: number;
  }[];
}

export const EVIDENCE_LEVELS = ['basic', 'verified', 'classified', 'nato'];
const FILE_BYTES_MAX = 32_768;

export const LEVEL_OPTION: OptionHelp = {
  name: 'level',
  value: 'LEVEL',
  text: `One of ${EVIDENCE_LEVELS.join(', ')} (default: basic).`,
};

export const evidenceList: Command = {
  words: ['evidence', 'list'],
  topic: 'trust',
  arguments: '',
  summary: 'List the evidence that this organisation shows to others.',
  help: `Evidence lies in the folder evidence of the organisation's data folder, and is read anew for each trust exchange.
Documents that identify the organisation are put into evidence/documents by hand.`,
  options: [...SERVER_OPTIONS, JSON_OPTION],
  async run(input) {
    const { evidence } = await (await adminClient(input)).get<{ readonly evidence: readonly OwnEvidenceView[] }>(
      '/evidence',
    );
    if (input.flags.has('json')) printJson(evidence);
    else if (evidence.length === 0) note('No evidence yet.');
    else
      printTable(
        ['FILE', 'UNTIL (UTC)', 'WHAT'],
        evidence.map((one) => [one.file, untilText(one.expires_at), one.fault ?? one.title]),
      );
    const unusable = evidence.filter(({ fault }) => fault !== undefined).length;
    if (unusable > 0) note(`${unusable} of ${evidence.length} cannot be used, and others are not sent them.`);
    return EXIT.ok;
  },
};

export const evidenceAdd: Command = {
  words: ['evidence', 'add'],
  topic: 'trust',
  arguments: 'FILE',
  summary: 'Keep a statement about this organisation that somebody else gave.',
  help: `FILE is what norc evidence vouch or norc evidence state of another organisation wrote. It is kept when it is about this
organisation and its root key, in date, and signed. Whether others believe its author is for them to decide.`,
  options: [...SERVER_OPTIONS, JSON_OPTION],
  argumentsMax: 1,
  async run(input) {
    const material = await readMaterial(positional(input, 0, 'FILE'));
    const kept = await (await adminClient(input)).post<KeptView>('/evidence/add', { material });
    printKept(input, kept);
    return EXIT.ok;
  },
};

export const evidenceCheck: Command = {
  words: ['evidence', 'check'],
  topic: 'trust',
  arguments: 'DOMAIN [FILE…]',
  summary: 'Check now what a domain can show.',
  help: `Looks up the domain and checks it, and any evidence in FILE that its organisation gave you, as a trust exchange would:
by your policy, with revocation lists and OCSP. Nothing is kept. Ends with 1 when something does not hold.`,
  options: [...SERVER_OPTIONS, LEVEL_OPTION, JSON_OPTION],
  argumentsMax: 9,
  async run(input) {
    const peer = evidenceDomain(positional(input, 0, 'DOMAIN'));
    const level = evidenceLevel(input);
    const material: string[] = [];
    for (const file of input.positionals.slice(1)) material.push(await readMaterial(file));
    const fields = { peer, level, ...(material.length === 0 ? {} : { material: material.join(',') }) };
    const checked = await (await adminClient(input)).post<CheckView>('/evidence/check', fields);
    if (input.flags.has('json')) printJson(checked);
    else printChecked(checked);
    return checked.findings.some(({ result }) => result === 'failed') ? EXIT.failure : EXIT.ok;
  },
};

function printChecked({ peer, root_fingerprint, findings }: CheckView): void {
  print(peer);
  printFacts([['Root fingerprint', fingerprintLines(root_fingerprint)]]);
  printTable(
    ['EVIDENCE', 'RESULT', 'HOW', 'UNTIL (UTC)', 'WHAT'],
    findings.map((one) => [
      one.kind,
      one.result === 'held' && one.weight < 1 ? `held, counts ${Math.round(one.weight * 100)} %` : one.result,
      one.method ?? '-',
      untilText(one.expires_at),
      one.detail,
    ]),
  );
  if (findings.every(({ result }) => result !== 'failed')) hint(`norc trust request ${peer}`);
}

export function printKept(input: CommandInput, kept: KeptView): void {
  if (input.flags.has('json')) return printJson(kept);
  print(`Kept: ${kept.title}.`);
  printFacts([['Valid until', `${utcTime(kept.expires_at)} UTC`]]);
}

const untilText = (at: number | undefined): string => (at === undefined ? '-' : utcTime(at));

/** A file of evidence material, as base64url. */
export async function readMaterial(file: string): Promise<string> {
  const bytes = await readEvidenceFile(file);
  if (bytes.length <= FILE_BYTES_MAX) return toBase64Url(bytes);
  throw new CommandError(EXIT.badData, `${file} is too large for evidence (at most ${FILE_BYTES_MAX} bytes).`);
}

export async function readEvidenceFile(file: string): Promise<Uint8Array> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new CommandError(EXIT.badData, `${file} cannot be read.`, 'Is the path right?', { cause });
  });
  return Uint8Array.from(bytes);
}

export function evidenceDomain(text: string): string {
  const domain = parseDomain(text.toLowerCase());
  if (domain.ok) return domain.value;
  throw new CommandError(EXIT.usage, `'${text}' is not a domain.`, 'A domain looks like bravo.example.');
}

export function evidenceLevel(input: CommandInput): string {
  const level = input.options.get('level') ?? 'basic';
  if (EVIDENCE_LEVELS.includes(level)) return level;
  throw new CommandError(
    EXIT.usage,
    `'${level}' is not a trust level.`,
    `Choose one of: ${EVIDENCE_LEVELS.join(', ')}.`,
  );
}
