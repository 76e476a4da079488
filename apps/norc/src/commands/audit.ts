import { open } from 'node:fs/promises';
import { nodeCrypto } from '@norc/crypto/node';
import {
  AUDIT_FAULTS,
  type AuditHead,
  type AuditReport,
  decodeAuditLine,
  parseAuditEntry,
  verifyAuditStream,
} from '@norc/protocol/audit';
import { fromBase64Url, fromHex, parseDomain, toHex } from '@norc/protocol/base';
import { rootKeyFingerprint } from '@norc/protocol/crypto';
import type { AdminClient } from '../admin-client.ts';
import {
  type Expectation,
  type ExportHead,
  encodeHead,
  type PinnedRoot,
  recordsOf,
  signersOf,
  verifyExport,
} from '../audit/export-file.ts';
import {
  type Command,
  CommandError,
  type CommandInput,
  countOption,
  EXIT,
  type ExitCode,
  positional,
} from '../command.ts';
import { hint, note, print, printFacts, printJson, printTable } from '../output.ts';
import { readOrganisation } from './org.ts';
import { adminClient, JSON_OPTION, organisationFolder, SERVER_OPTIONS, utcTime } from './shared.ts';

const PAGE = 500;
const LIST_LENGTH = 50;

export const auditList: Command = {
  words: ['audit', 'list'],
  topic: 'look',
  arguments: '',
  summary: 'Show the newest entries of the audit log.',
  help: 'People and devices are pseudonyms: the log has no plain user ids, no content, no keys.',
  options: [
    ...SERVER_OPTIONS,
    { name: 'limit', value: 'N', text: `How many entries (default: ${LIST_LENGTH}).` },
    { name: 'after', value: 'N', text: 'Entries after this number, the oldest first.' },
    JSON_OPTION,
  ],
  async run(input) {
    const client = await adminClient(input);
    const limit = countOption(input, 'limit', LIST_LENGTH, 1);
    const { audit_sequence: last } = await client.get<{ audit_sequence: number }>('/status');
    const after = countOption(input, 'after', Math.max(0, last - limit));
    const entries = [];
    for await (const line of auditLines(client, after, limit)) entries.push(readLine(line));
    if (input.flags.has('json')) printJson(entries);
    else
      printTable(
        ['NO', 'TIME (UTC)', 'TYPE', 'OUTCOME', 'ACTOR', 'SUBJECT', 'DETAIL'],
        entries.map(({ sequence, time, type, outcome, actor, subject, detail }) => [
          ...[String(sequence), utcTime(time), type, outcome, shortParty(actor), shortParty(subject)],
          Object.entries(detail ?? {})
            .map(([name, value]) => `${name}=${value}`)
            .join(' '),
        ]),
      );
    const end = after + entries.length;
    if (!input.flags.has('json') && entries.length > 0)
      note(`Entries ${after + 1} to ${end} of ${Math.max(last, end)}.`);
    return EXIT.ok;
  },
};

export const auditExport: Command = {
  words: ['audit', 'export'],
  topic: 'look',
  arguments: 'FILE',
  summary: 'Write the whole audit log to a file, for an auditor.',
  help: 'The file has what norc audit verify needs, apart from the root fingerprint: give that to the auditor another way.',
  options: SERVER_OPTIONS,
  argumentsMax: 1,
  async run(input) {
    const path = positional(input, 0, 'FILE');
    const client = await adminClient(input);
    const head = await exportHead(client);
    const file = await open(path, 'wx', 0o600).catch((cause: unknown) => {
      const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
      const words = exists ? `${path} exists already. It was left as it is.` : `${path} cannot be written.`;
      throw new CommandError(EXIT.cannotCreate, words, 'Name another file.', { cause });
    });
    let count = 0;
    try {
      await file.write(`${encodeHead(head)}\n`);
      for await (const line of auditLines(client, 0)) {
        await file.write(`${line}\n`);
        count += 1;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    print(`${count} entries of ${head.org} are in ${path}.`);
    hint(`norc audit verify ${path} --root FINGERPRINT`);
    return EXIT.ok;
  },
};

export const auditVerify: Command = {
  words: ['audit', 'verify'],
  topic: 'look',
  arguments: '[FILE]',
  summary: 'Check the audit log, and name the first broken entry.',
  help: `With FILE, an exported log is checked without any server. Say whose it must be with --root, the fingerprint of the
organisation's root key; without --root the organisation in the data folder is meant.
A chain cannot show that its end was cut off: --contains names an entry that an earlier run printed as the last one.
Exit code 0: every entry follows the one before and is signed. 1: the first broken entry is named.`,
  options: [
    ...SERVER_OPTIONS,
    { name: 'root', value: 'FINGERPRINT', text: 'The root fingerprint, 64 hexadecimal digits; spaces do not matter.' },
    { name: 'contains', value: 'N:HASH', text: 'An entry that the log must have, as an earlier run printed it.' },
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const file = input.positionals[0];
    const { head, report } =
      file === undefined ? await verifyLive(input) : await verifyExport(file, await expectationOf(input));
    if (input.flags.has('json')) printJson({ org: head.org, ...jsonReport(report) });
    else printReport(head.org, report);
    return exitOf(report);
  },
};

const exitOf = ({ kind }: AuditReport): ExitCode => (kind === 'sound' ? EXIT.ok : EXIT.failure);

async function verifyLive(input: CommandInput): Promise<{ head: ExportHead; report: AuditReport }> {
  const client = await adminClient(input);
  const head = await exportHead(client);
  const expectation = await expectationOf(input);
  const signers = signersOf(head, expectation);
  const { contains } = expectation;
  const expected = { org: head.org, signers, ...(contains === undefined ? {} : { contains }) };
  const report = await verifyAuditStream(nodeCrypto, recordsOf(auditLines(client, 0)), expected);
  return { head, report };
}

async function expectationOf(input: CommandInput): Promise<Expectation> {
  const contains = knownHead(input.options.get('contains'));
  return { ...(await pinnedRoot(input)), ...(contains === undefined ? {} : { contains }) };
}

/** `15:6f3a…`, as the verification prints it. */
function knownHead(text: string | undefined): AuditHead | undefined {
  if (text === undefined) return undefined;
  const [, sequence = '', hex = ''] = /^(\d{1,15}):([0-9a-f]{64})$/i.exec(text) ?? [];
  const hash = fromHex(hex.toLowerCase());
  if (hash?.length === 32) return { sequence: Number(sequence), hash };
  throw new CommandError(EXIT.usage, '--contains is not N:HASH.', 'An earlier norc audit verify printed it.');
}

/** What the person says, or the key file in the data folder: never what the log says about itself. */
async function pinnedRoot(input: CommandInput): Promise<PinnedRoot> {
  const typed = input.options.get('root');
  if (typed === undefined) {
    const { root_key: text } = await readOrganisation(await organisationFolder(input));
    return { fingerprint: rootKeyFingerprint(nodeCrypto, fromBase64Url(text) ?? new Uint8Array()) };
  }
  const fingerprint = fromHex(typed.replace(/[\s:-]/g, '').toLowerCase());
  if (fingerprint?.length === 32) return { fingerprint };
  throw new CommandError(
    EXIT.usage,
    '--root is not a root fingerprint: 64 hexadecimal digits.',
    'norc org show prints it.',
  );
}

async function exportHead(client: AdminClient): Promise<ExportHead> {
  const { domain, root_key, server_certificate } = await client.get<Record<string, string>>('/audit/certificates');
  const org = parseDomain(domain ?? '');
  const rootKey = fromBase64Url(root_key ?? '');
  const certificate = fromBase64Url(server_certificate ?? '');
  if (!org.ok || rootKey === undefined || certificate === undefined)
    throw new TypeError('answer of /audit/certificates');
  return { org: org.value, rootKey, serverCertificates: [certificate] };
}

async function* auditLines(
  client: AdminClient,
  after: number,
  limit = Number.POSITIVE_INFINITY,
): AsyncIterable<string> {
  let last = after;
  const end = after + limit;
  while (last < end) {
    const { lines } = await client.get<{ lines: readonly string[] }>('/audit', {
      after: last,
      limit: Math.min(PAGE, end - last),
    });
    yield* lines;
    last += lines.length;
    if (lines.length === 0) return;
  }
}

function readLine(line: string) {
  const record = decodeAuditLine(line);
  const entry = record.ok ? parseAuditEntry(record.value.entry) : record;
  if (!entry.ok)
    throw new CommandError(EXIT.badData, `The log has a damaged entry (${entry.error.detail}).`, 'norc audit verify');
  const { sequence, time, type, outcome, actor, subject, detail } = entry.value;
  return { sequence, time, type, outcome, actor, subject, detail };
}

const PSEUDONYM_SHOWN = 8;

/** `user:1f2e3d4c…`: a whole pseudonym says no more to a person. */
function shortParty(party: string): string {
  return party.replace(/:([0-9a-f]{32})$/, (_, id: string) => `:${id.slice(0, PSEUDONYM_SHOWN)}…`);
}

function printReport(org: string, report: AuditReport): void {
  const { head, entries, notes } = report;
  if (report.kind === 'sound')
    print(`The audit log of ${org} is sound: ${entries} entries, each follows the one before and is signed.`);
  else
    print(
      `The audit log of ${org} is broken at entry ${report.sequence}: ${report.detail} (${AUDIT_FAULTS[report.fault]}).`,
    );
  printFacts([[report.kind === 'sound' ? 'Last entry' : 'Last sound entry', `${head.sequence}:${toHex(head.hash)}`]]);
  for (const { sequence, kind } of notes) {
    print(
      `Entry ${sequence}: ${kind === 'time_backwards' ? 'its time is before that of the entry before' : 'its type is not known here'}.`,
    );
  }
}

function jsonReport(report: AuditReport): object {
  const { kind, head, entries, notes } = report;
  const broken =
    report.kind === 'broken' ? { sequence: report.sequence, fault: report.fault, detail: report.detail } : {};
  return { result: kind, ...broken, entries, last_sequence: head.sequence, last_hash: toHex(head.hash), notes };
}
