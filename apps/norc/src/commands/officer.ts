import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createSealedSigner, nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type Domain, parseDomain, toBase64Url } from '@norc/protocol/base';
import { fingerprintText, type SignedDocument, signDocument } from '@norc/protocol/crypto';
import {
  decodeOfficerRequest,
  draftOfficerCertificate,
  draftOfficerRevocation,
  encodeOfficerRequest,
  OFFICER_LIFE_DAYS_MAX,
  OFFICER_ROLES,
  type OfficerRole,
  officerIdOf,
  parseOfficerId,
} from '@norc/protocol/norc-t';
import { CERTIFICATE_BACKDATE_MS, organisationPaths } from '@norc/server';
import {
  type Command,
  CommandError,
  type CommandInput,
  countOption,
  EXIT,
  type OptionHelp,
  positional,
} from '../command.ts';
import { explainKeyFile, newPassphrase, openRootKey, PASSPHRASE_OPTION } from '../officer/key.ts';
import { type OfficerView, pinnedOrganisation } from '../officer/sign-approval.ts';
import { fingerprintLines, hint, note, print, printFacts, printJson, printTable } from '../output.ts';
import { askingOnTerminal, askYes } from '../terminal/prompt.ts';
import { adminClient, adminClientOf, JSON_OPTION, organisationFolder, SERVER_OPTIONS, utcTime } from './shared.ts';

const DAY_MS = 86_400_000;
const OFFICER_DAYS = 365;
const FILE_MODE = 0o644;

const ROOT_KEY_OPTION: OptionHelp = {
  name: 'root-key',
  value: 'FILE',
  text: "The organisation's root key (default: keys/root.key in the data folder).",
};

export const officerInit: Command = {
  words: ['officer', 'init'],
  topic: 'trust',
  arguments: '',
  summary: 'Make your own officer key.',
  help: `On your own machine: makes a key that opens with a passphrase only, and prints the request to hand to whoever holds the
organisation's root key. Tell them the fingerprint over another channel, such as a call.`,
  options: [{ name: 'out', value: 'FILE', text: 'Where to keep the key. Required.' }, PASSPHRASE_OPTION, JSON_OPTION],
  async run(input) {
    const out = input.options.get('out');
    if (out === undefined)
      throw new CommandError(EXIT.usage, 'A file for the key is missing.', 'norc officer init --out anna.key');
    const file = resolve(out);
    if (existsSync(file))
      throw new CommandError(EXIT.cannotCreate, `${out} exists already; a key is never overwritten.`);
    const signer = await createSealedSigner(file, await newPassphrase(input), { random: nodeRandom }).catch(
      explainKeyFile,
    );
    const { publicKey } = signer;
    signer.close();
    const facts = keyFacts(publicKey);
    const request = encodeOfficerRequest(nodeCrypto, publicKey);
    if (input.flags.has('json')) {
      printJson({ ...facts, file, request, public_key: toBase64Url(publicKey) });
      return EXIT.ok;
    }
    print(`Your officer key is in ${out}. It opens with its passphrase only; keep a copy in a safe place.`);
    printFacts([
      ['Officer', facts.officer_id],
      ['Fingerprint', fingerprintLines(facts.fingerprint)],
      ['Request', request],
    ]);
    hint(`hand the request to whoever holds the root key: norc officer add ${request}`);
    return EXIT.ok;
  },
};

/** What people compare about an officer's key. */
function keyFacts(publicKey: Uint8Array) {
  const officer_id = officerIdOf(nodeCrypto, publicKey);
  return { officer_id, fingerprint: fingerprintText(nodeCrypto.blake3(publicKey)) };
}

export const officerAdd: Command = {
  words: ['officer', 'add'],
  topic: 'trust',
  arguments: '[REQUEST]',
  summary: 'Certify an officer with the root key.',
  help: `REQUEST is what norc officer init printed, or the public key alone. Compare the fingerprint with the one that the
officer tells you over another channel. The root key may be on a machine without a server: there, --out writes the
certificate to a file, which the server's machine takes with --certificate.`,
  options: [
    ...SERVER_OPTIONS,
    {
      name: 'roles',
      value: 'ROLES',
      text: `Of ${OFFICER_ROLES.join(' and ')}, with a comma between (default: trust).`,
    },
    { name: 'days', value: 'N', text: `How long the officer is in office (default: ${OFFICER_DAYS}).` },
    ROOT_KEY_OPTION,
    { name: 'out', value: 'FILE', text: 'Write the certificate to this file and ask no server.' },
    { name: 'certificate', value: 'FILE', text: 'Hand over a certificate that was signed elsewhere.' },
    { name: 'yes', text: 'You compared the fingerprint.' },
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const signed = input.options.get('certificate');
    if (signed !== undefined)
      return printAdded(input, await handOver(input, 'add', await readFile(signed).catch(unreadable(signed))));
    const publicKey = decodeOfficerRequest(nodeCrypto, positional(input, 0, 'REQUEST'));
    if (!publicKey.ok) {
      const next = 'Copy it whole; norc officer init prints it, and its fingerprint.';
      throw new CommandError(EXIT.badData, `This is no officer's request: ${publicKey.error.detail}.`, next);
    }
    const roles = rolesOption(input);
    const days = countOption(input, 'days', OFFICER_DAYS, 1);
    if (days > OFFICER_LIFE_DAYS_MAX)
      throw new CommandError(EXIT.usage, `An officer is in office for at most ${OFFICER_LIFE_DAYS_MAX} days.`);
    const facts = keyFacts(publicKey.value);
    note(`Officer ${facts.officer_id}, ${roles.join(' and ')}, for ${days} days. Fingerprint:`);
    for (const line of fingerprintLines(facts.fingerprint)) note(`  ${line}`);
    await confirm(input, 'Did the officer tell you the same fingerprint over another channel?');
    const notBefore = nodeClock.now() - CERTIFICATE_BACKDATE_MS;
    const dates = { notBefore, notAfter: notBefore + days * DAY_MS };
    const bytes = await rootSigned(input, (org) =>
      draftOfficerCertificate(nodeCrypto, { org, publicKey: publicKey.value, roles, ...dates }),
    );
    const out = input.options.get('out');
    if (out === undefined) return printAdded(input, await handOver(input, 'add', bytes));
    await writeNew(out, bytes);
    print(`The certificate is in ${out}.`);
    hint(`on the server's machine: norc officer add --certificate ${out}`);
    return EXIT.ok;
  },
};

function rolesOption({ options }: CommandInput): readonly OfficerRole[] {
  const roles = (options.get('roles') ?? 'trust').split(',').map((role) => role.trim());
  const known = OFFICER_ROLES.filter((role) => roles.includes(role));
  if (known.length === new Set(roles).size) return known;
  throw new CommandError(
    EXIT.usage,
    '--roles names something that is no role.',
    `Choose of: ${OFFICER_ROLES.join(',')}`,
  );
}

async function confirm({ flags }: CommandInput, question: string): Promise<void> {
  if (flags.has('yes') || (await askYes(askingOnTerminal, question, '--yes'))) return;
  throw new CommandError(EXIT.interrupted, 'Stopped. Nothing was changed.');
}

/** Signs with the root key; without a server's data folder, `--out` and `--org` say all that is needed. */
async function rootSigned<T>(input: CommandInput, draft: (org: Domain) => SignedDocument<T>): Promise<Uint8Array> {
  const { options } = input;
  const elsewhere = options.has('out') && options.has('org') && options.has('root-key');
  const folder = elsewhere ? undefined : await organisationFolder(input);
  const pinned = folder === undefined ? undefined : await pinnedOrganisation(folder);
  const named = parseDomain((options.get('org') ?? '').toLowerCase());
  const org = pinned?.org ?? (named.ok ? named.value : undefined);
  if (org === undefined) throw new CommandError(EXIT.usage, `'${options.get('org')}' is not a domain.`);
  const file = options.get('root-key') ?? organisationPaths(folder ?? '').rootKey;
  const root = await openRootKey(resolve(file), pinned?.rootKey);
  try {
    return (await signDocument(nodeCrypto, draft(org), root)).bytes;
  } finally {
    root.close();
  }
}

async function handOver(input: CommandInput, what: 'add' | 'revoke', document: Uint8Array): Promise<OfficerView> {
  const field = what === 'add' ? 'certificate' : 'revocation';
  const client = await adminClient(input);
  return await client.post<OfficerView>(`/officers/${what}`, { [field]: toBase64Url(document) });
}

function unreadable(file: string): (cause: unknown) => never {
  return (cause) => {
    throw new CommandError(EXIT.badData, `${file} cannot be read.`, undefined, { cause });
  };
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  await writeFile(file, bytes, { flag: 'wx', mode: FILE_MODE }).catch((cause: unknown) => {
    throw new CommandError(EXIT.cannotCreate, `${file} exists already, or cannot be made.`, undefined, { cause });
  });
}

function printAdded(input: CommandInput, officer: OfficerView) {
  if (input.flags.has('json')) printJson(officer);
  else
    print(
      `Officer ${officer.officer_id} is in office until ${utcTime(officer.not_after)} UTC (${officer.roles.join(', ')}).`,
    );
  return EXIT.ok;
}

export const officerList: Command = {
  words: ['officer', 'list'],
  topic: 'trust',
  arguments: '',
  summary: 'List officers, those who left among them.',
  options: [...SERVER_OPTIONS, JSON_OPTION],
  async run(input) {
    const officers = await officersAt(await organisationFolder(input));
    if (input.flags.has('json')) printJson(officers);
    else if (officers.length === 0) {
      note('No officers yet.');
      hint('norc officer init --out FILE, on the machine of whoever is to become one');
    } else
      printTable(
        ['OFFICER', 'ROLES', 'STATE', 'UNTIL (UTC)'],
        officers.map((one) => [
          one.officer_id,
          one.roles.join(', '),
          stateText(one),
          utcTime(one.revoked_at ?? one.not_after),
        ]),
      );
    return EXIT.ok;
  },
};

export async function officersAt(folder: string): Promise<readonly OfficerView[]> {
  return (await adminClientOf(folder).get<{ officers: readonly OfficerView[] }>('/officers')).officers;
}

const STATES: Readonly<Record<OfficerView['state'], string>> = {
  in_office: 'in office',
  not_yet: 'not yet in office',
  expired: 'expired',
  revoked: 'revoked',
};

const stateText = ({ state, reason }: OfficerView): string =>
  reason === undefined ? STATES[state] : `${STATES[state]} (${reason})`;

export const officerRevoke: Command = {
  words: ['officer', 'revoke'],
  topic: 'trust',
  arguments: '[OFFICER]',
  summary: 'Put an officer out of office, with the root key.',
  help: `At once and for good: what waits for officers no longer counts them. With --since, everything that they signed from that
time on is void. OFFICER is the id that norc officer list shows, or its beginning. Where the root key is on another
machine, --out writes the revocation there, and --revocation hands it over here.`,
  options: [
    ...SERVER_OPTIONS,
    { name: 'reason', value: 'TEXT', text: 'Why; kept with the officer.' },
    { name: 'since', value: 'TIME', text: 'From when on, such as 2026-11-23T08:00Z (default: now).' },
    ROOT_KEY_OPTION,
    { name: 'out', value: 'FILE', text: 'Write the revocation to this file and ask no server.' },
    { name: 'revocation', value: 'FILE', text: 'Hand over a revocation that was signed elsewhere.' },
    { name: 'yes', text: 'You mean it.' },
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const signed = input.options.get('revocation');
    if (signed !== undefined)
      return printRevoked(input, await handOver(input, 'revoke', await readFile(signed).catch(unreadable(signed))));
    const given = positional(input, 0, 'OFFICER').toLowerCase();
    const reason = input.options.get('reason');
    if (reason === undefined)
      throw new CommandError(EXIT.usage, 'A revocation needs a reason.', `norc officer revoke ${given} --reason TEXT`);
    const revoked_at = sinceOption(input);
    const out = input.options.get('out');
    const officer_id = out === undefined ? await officerNamed(input, given) : officerIdArgument(given);
    await confirm(input, `This puts officer ${officer_id} out of office for good.`);
    const bytes = await rootSigned(input, (org) => draftOfficerRevocation({ officer_id, org, reason, revoked_at }));
    if (out === undefined) return printRevoked(input, await handOver(input, 'revoke', bytes));
    await writeNew(out, bytes);
    print(`The revocation is in ${out}. Nothing has happened yet.`);
    hint(`on the server's machine: norc officer revoke --revocation ${out}`);
    return EXIT.ok;
  },
};

function sinceOption({ options }: CommandInput): number {
  const text = options.get('since');
  if (text === undefined) return nodeClock.now();
  const time = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?Z$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(time)) return time;
  throw new CommandError(EXIT.usage, `'${text}' is not a time.`, 'A time looks like 2026-11-23T08:00Z.');
}

function officerIdArgument(text: string) {
  const id = parseOfficerId(text);
  if (id.ok) return id.value;
  throw new CommandError(EXIT.usage, `'${text}' is not the id of an officer.`, 'norc officer list');
}

/** By the whole id, or by the beginning of exactly one. */
async function officerNamed(input: CommandInput, text: string) {
  const officers = await officersAt(await organisationFolder(input));
  const found = officers.filter((one) => one.officer_id.startsWith(text));
  const [only] = found;
  if (only !== undefined && found.length === 1) return officerIdArgument(only.officer_id);
  const what = found.length === 0 ? 'There is no officer' : 'There is more than one officer';
  throw new CommandError(EXIT.usage, `${what} ${text}.`, 'norc officer list');
}

function printRevoked(input: CommandInput, officer: OfficerView) {
  if (input.flags.has('json')) printJson(officer);
  else print(`Officer ${officer.officer_id} is out of office since ${utcTime(officer.revoked_at ?? 0)} UTC.`);
  return EXIT.ok;
}
