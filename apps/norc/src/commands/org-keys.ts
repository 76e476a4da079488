import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type Domain, parseDomain, toBase64Url } from '@norc/protocol/base';
import { fingerprintText, type SignedDocument } from '@norc/protocol/crypto';
import { decodeOfficerRequest, type RotationBody } from '@norc/protocol/norc-t';
import {
  finishRecovery,
  IdentityError,
  nameRecoveryOfficers,
  oldRootKeyFiles,
  organisationPaths,
  prepareRecovery,
  rotateRootKey,
  upgradeOrganisation,
} from '@norc/server';
import {
  type Command,
  CommandError,
  type CommandInput,
  countOption,
  EXIT,
  type OptionHelp,
  positional,
} from '../command.ts';
import { fingerprintLines, hint, print, printFacts, printJson } from '../output.ts';
import { readOrganisation } from './org.ts';
import { shortPath } from './server.ts';
import { adminClient, JSON_OPTION, organisationFolder, SERVER_OPTIONS } from './shared.ts';

const WORLD = { clock: nodeClock, random: nodeRandom };
const OFFICERS_MAX = 16;
const STOLEN_OPTION: OptionHelp = {
  name: 'stolen',
  text: 'The old key is in wrong hands: nothing that it certified counts any more.',
};

export const orgUpgradeKeys: Command = {
  words: ['org', 'upgrade-keys'],
  topic: 'server',
  arguments: '',
  summary: 'Give an older organisation its post-quantum keys.',
  help: `Organisations made by earlier versions have Ed25519 keys alone. This adds ML-DSA-65 keys beside them, with which
the server signs its documents of trust a second time. Needs keys/root.key in its place. Publish the new DNS record,
then restart the server.`,
  options: [...SERVER_OPTIONS, JSON_OPTION],
  async run(input) {
    const { folder, domain } = await organisation(input);
    await upgradeOrganisation(folder, domain, WORLD);
    const { dns_record } = await readOrganisation(folder);
    if (input.flags.has('json')) printJson({ domain, dns_record });
    else {
      print(`${domain} has post-quantum keys.`);
      printFacts([
        ['Root key', `${shortPath(organisationPaths(folder).rootPqKey)} (keep it where root.key is kept)`],
        ['DNS record', dns_record],
      ]);
      hint('publish the record, then restart the server');
    }
    return EXIT.ok;
  },
};

export const orgRecovery: Command = {
  words: ['org', 'recovery'],
  topic: 'server',
  arguments: 'OFFICER...',
  summary: 'Name the officers who can replace a lost root key.',
  help: `OFFICER is what norc officer init printed, or a file that holds it. Partners learn the set with the next
certificate and keep to it: a newer set counts for them after 30 days, so that whoever steals the root key cannot
replace these people. Needs keys/root.key in its place. Name them again after every replacement of the root key.`,
  options: [
    ...SERVER_OPTIONS,
    { name: 'threshold', value: 'N', text: 'How many of them replace the key together (default: 2).' },
    JSON_OPTION,
  ],
  argumentsMax: OFFICERS_MAX,
  async run(input) {
    const { folder, domain } = await organisation(input);
    positional(input, 0, 'OFFICER');
    const officers = await Promise.all(input.positionals.map(officerKey));
    const threshold = countOption(input, 'threshold', 2, 1);
    const { body } = await nameRecoveryOfficers(folder, domain, WORLD, { threshold, officers }).catch(explainRange);
    if (input.flags.has('json')) printJson({ domain, sequence: body.sequence, threshold, officers: officers.length });
    else {
      print(`${threshold} of these ${officers.length} officers can replace the root key of ${domain} together:`);
      for (const key of officers) print(`  ${fingerprintText(nodeCrypto.blake3(key))}`);
      print(
        `Give each of them a copy of ${shortPath(organisationPaths(folder).recoverySet)}: they sign with it at hand.`,
      );
      hint('restart the server; partners learn it with their next certificate');
    }
    return EXIT.ok;
  },
};

export const orgRotateRoot: Command = {
  words: ['org', 'rotate-root'],
  topic: 'server',
  arguments: '[SIGNED...]',
  summary: 'Replace the organisation root key.',
  help: `With the old key in keys/root.key: makes a new one, and both sign the replacement.

Without it, by recovery officers (norc org recovery): --recovery makes the new key and a file for the officers; each
signs a copy (norc org sign-rotation); and SIGNED, the signed copies, complete it. With --stolen, trust is suspended,
and an officer on each side begins it again (norc trust request).

The server keeps its own key. Officers have to be added again, since the old root key certified them.`,
  options: [
    ...SERVER_OPTIONS,
    { name: 'recovery', text: 'Without the old key: prepare the file that recovery officers sign.' },
    STOLEN_OPTION,
    JSON_OPTION,
  ],
  argumentsMax: OFFICERS_MAX,
  async run(input) {
    const { folder, domain } = await organisation(input);
    if (input.flags.has('recovery')) return await prepare(input, folder, domain);
    const copies = await Promise.all(input.positionals.map(readDocument));
    const stolen = input.flags.has('stolen');
    const rotation =
      copies.length > 0
        ? await finishRecovery(folder, domain, WORLD, copies)
        : await rotateRootKey(folder, domain, WORLD, { reason: stolen ? 'compromised' : 'scheduled' });
    return await printRotated(input, folder, rotation);
  },
};

async function prepare(input: CommandInput, folder: string, domain: Domain): Promise<typeof EXIT.ok> {
  const reason = input.flags.has('stolen') ? 'compromised' : 'lost';
  await prepareRecovery(folder, domain, WORLD, { reason });
  const file = shortPath(organisationPaths(folder).pendingRotation);
  if (input.flags.has('json')) printJson({ domain, file, reason });
  else {
    print(`The replacement of the root key is in ${file}. Nothing has changed yet.`);
    hint(
      'give every recovery officer a copy: norc org sign-rotation FILE --set recovery-set.json --officer KEY --out SIGNED',
    );
  }
  return EXIT.ok;
}

async function printRotated(
  input: CommandInput,
  folder: string,
  { body }: SignedDocument<RotationBody>,
): Promise<typeof EXIT.ok> {
  const { dns_record, root_fingerprint } = await readOrganisation(folder);
  const old = Object.values(oldRootKeyFiles(folder, body.sequence)).filter((file) => existsSync(file));
  if (input.flags.has('json')) {
    const { org: domain, sequence, reason } = body;
    printJson({ domain, sequence, reason, root_fingerprint, dns_record, old_root_keys: old });
    return EXIT.ok;
  }
  print(`${body.org} has a new root key.`);
  printFacts([
    ['Root fingerprint', fingerprintLines(root_fingerprint)],
    ['Root key', `${shortPath(organisationPaths(folder).rootKey)} (keep a copy off this machine, then remove it here)`],
    ['DNS record', dns_record],
  ]);
  if (old.length > 0) {
    print(
      'The old root keys are still on this machine. Whoever reads them can certify servers in your name for a year:',
    );
    for (const file of old) print(`  ${shortPath(file)}`);
    print('Move them to where the old copies are kept, or destroy them, now.');
  }
  print('Publish the record beside the old one, and leave both until every partner has renewed its certificate.');
  print('Certify your officers again (norc officer add), and name the recovery officers again (norc org recovery).');
  hint('restart the server: it tells the partners and renews the certificates');
  return EXIT.ok;
}

export const trustRotation: Command = {
  words: ['trust', 'rotation'],
  topic: 'trust',
  arguments: 'DOMAIN FILE',
  summary: "Take a partner's new root key from a file.",
  help: `Its server sends the same document by itself. Nothing has to be believed: it counts when the old key signed it,
or enough of the recovery officers that the partner had named before.`,
  options: [...SERVER_OPTIONS, JSON_OPTION],
  argumentsMax: 2,
  async run(input) {
    const peer = positional(input, 0, 'DOMAIN').toLowerCase();
    const document = await readDocument(positional(input, 1, 'FILE'));
    const client = await adminClient(input);
    const taken = await client.post<{ readonly sequence: number; readonly root_fingerprint: string }>(
      '/trust/rotation',
      {
        domain: peer,
        document: toBase64Url(document),
      },
    );
    if (input.flags.has('json')) printJson({ peer, ...taken });
    else {
      print(`${peer} has a new root key.`);
      printFacts([['Root fingerprint', fingerprintLines(taken.root_fingerprint)]]);
    }
    return EXIT.ok;
  },
};

async function organisation(input: CommandInput): Promise<{ readonly folder: string; readonly domain: Domain }> {
  const folder = await organisationFolder(input);
  const domain = parseDomain(basename(folder));
  if (!domain.ok) throw new CommandError(EXIT.badData, `${folder} is not the folder of an organisation.`);
  return { folder, domain: domain.value };
}

async function readDocument(file: string): Promise<Uint8Array> {
  return await readFile(resolve(file)).then(
    (bytes) => Uint8Array.from(bytes),
    (cause: unknown) => {
      throw new CommandError(EXIT.badData, `${file} cannot be read.`, undefined, { cause });
    },
  );
}

const REQUEST = /norc-officer1-[A-Za-z0-9_-]+/;

async function officerKey(argument: string): Promise<Uint8Array> {
  const text = await readFile(resolve(argument), 'utf8').catch(() => argument);
  const key = decodeOfficerRequest(nodeCrypto, REQUEST.exec(text)?.[0] ?? text);
  if (key.ok) return key.value;
  throw new CommandError(EXIT.badData, `'${argument}' is no officer's request.`, 'norc officer init prints one.');
}

/** A set that nobody would take: too few officers, one twice. */
function explainRange(cause: unknown): never {
  if (cause instanceof RangeError)
    throw new IdentityError(`not a set of recovery officers: ${cause.message}`, { cause });
  throw cause;
}
