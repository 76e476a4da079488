import { createPrivateKey, type KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { nodeCrypto } from '@norc/crypto/node';
import { fromBase64Url, parseDomain, toBase64Url } from '@norc/protocol/base';
import { bindX509 } from '@norc/server';
import {
  type Command,
  CommandError,
  type CommandInput,
  countOption,
  EXIT,
  type OptionHelp,
  positional,
} from '../command.ts';
import { hint, print, printJson } from '../output.ts';
import {
  evidenceDomain,
  evidenceLevel,
  type KeptView,
  LEVEL_OPTION,
  printKept,
  readEvidenceFile,
  readMaterial,
} from './evidence.ts';
import { readOrganisation } from './org.ts';
import { adminClient, JSON_OPTION, organisationFolder, SERVER_OPTIONS } from './shared.ts';

const DAY_MS = 86_400_000;
const STATEMENT_DAYS = 180;
const BINDING_DAYS = 365;
const FILE_MODE = 0o644;

const DAYS_OPTION: OptionHelp = {
  name: 'days',
  value: 'N',
  text: `How long the statement is valid (default: ${STATEMENT_DAYS}).`,
};
const OUT_OPTION: OptionHelp = { name: 'out', value: 'FILE', text: 'Where to write the statement. Required.' };

export const evidenceX509: Command = {
  words: ['evidence', 'x509'],
  topic: 'trust',
  arguments: '',
  summary: 'Show an X.509 certificate of this organisation as evidence.',
  help: `The certificate must name this organisation's domain (subjectAltName). Its key signs here, on this machine, that this
organisation's root key is its own; the key is neither kept nor sent anywhere.`,
  options: [
    ...SERVER_OPTIONS,
    {
      name: 'chain',
      value: 'FILE',
      text: 'The certificate and those of its authorities, PEM, in this order. Required.',
    },
    { name: 'key', value: 'FILE', text: 'The private key of the certificate, PEM. Required.' },
    { name: 'crl', value: 'FILE', text: 'A revocation list to send along, DER or PEM.' },
    { name: 'ocsp', value: 'FILE', text: 'An OCSP response to send along, DER.' },
    { name: 'days', value: 'N', text: `How long the binding is valid (default: ${BINDING_DAYS}).` },
    JSON_OPTION,
  ],
  async run(input) {
    const chain = await readEvidenceFile(required(input, 'chain'));
    const keyFile = required(input, 'key');
    const facts = await readOrganisation(await organisationFolder(input));
    const crl = input.options.get('crl');
    const ocsp = input.options.get('ocsp');
    const bound = bind({
      certificates: pemBlocks(chain, 'CERTIFICATE'),
      privateKey: privateKeyIn(await readEvidenceFile(keyFile), keyFile),
      domain: facts.domain,
      rootKey: facts.root_key,
      notAfter: Date.now() + countOption(input, 'days', BINDING_DAYS, 1) * DAY_MS,
      ...(crl === undefined ? {} : { crls: derOf(await readEvidenceFile(crl), 'X509 CRL') }),
      ...(ocsp === undefined ? {} : { ocsp: [await readEvidenceFile(ocsp)] }),
    });
    const kept = await (await adminClient(input)).post<KeptView>('/evidence/add', { material: toBase64Url(bound) });
    printKept(input, kept);
    return EXIT.ok;
  },
};

interface Binding {
  readonly certificates: readonly Uint8Array[];
  readonly privateKey: KeyObject;
  readonly domain: string;
  readonly rootKey: string;
  readonly notAfter: number;
  readonly crls?: readonly Uint8Array[];
  readonly ocsp?: readonly Uint8Array[];
}

function bind({ domain: text, rootKey, notAfter, ...parts }: Binding): Uint8Array {
  const domain = parseDomain(text);
  const root_key = fromBase64Url(rootKey);
  if (!domain.ok || root_key === undefined) throw new CommandError(EXIT.badData, 'The key files are damaged.');
  try {
    return bindX509({ ...parts, binding: { domain: domain.value, root_key, not_after: notAfter } });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const next = 'The chain begins with the certificate of the key, and goes on with who issued each.';
    throw new CommandError(EXIT.badData, `This cannot be used: ${error.message}.`, next);
  }
}

function privateKeyIn(pem: Uint8Array, file: string): KeyObject {
  try {
    return createPrivateKey(Buffer.from(pem));
  } catch (cause) {
    // Nothing of what OpenSSL says is shown: it may quote the key.
    const next = 'It must be PEM without a passphrase.';
    throw new CommandError(EXIT.badData, `${file} holds no private key that can be read.`, next, { cause });
  }
}

/** DER of each block of a PEM file. */
function pemBlocks(file: Uint8Array, label: string): readonly Uint8Array[] {
  const text = Buffer.from(file).toString('latin1');
  const blocks = [...text.matchAll(new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END`, 'g'))];
  return blocks.map(([, body = '']) => Uint8Array.from(Buffer.from(body, 'base64')));
}

function derOf(file: Uint8Array, label: string): readonly Uint8Array[] {
  const blocks = pemBlocks(file, label);
  return blocks.length > 0 ? blocks : [file];
}

export const evidenceVouch: Command = {
  words: ['evidence', 'vouch'],
  topic: 'trust',
  arguments: 'DOMAIN',
  summary: 'Recommend a partner to others.',
  help: `Signs a recommendation for a partner that this organisation trusts at that level or a higher one, for them to add with
norc evidence add. It makes nobody trust them: it counts where a policy names this organisation as a recommender.
With --pass-on, what another organisation wrote about DOMAIN is passed on: it counts a little less with every hop.`,
  options: [
    ...SERVER_OPTIONS,
    LEVEL_OPTION,
    DAYS_OPTION,
    { name: 'note', value: 'TEXT', text: 'For the officers who read it.' },
    { name: 'pass-on', value: 'FILE', text: 'A recommendation to pass on, by an organisation that you trust.' },
    OUT_OPTION,
    JSON_OPTION,
  ],
  argumentsMax: 1,
  async run(input) {
    const peer = evidenceDomain(positional(input, 0, 'DOMAIN'));
    const passOn = input.options.get('pass-on');
    const noted = input.options.get('note');
    return await makeStatement(input, '/evidence/vouch', peer, {
      level: evidenceLevel(input),
      ...(noted === undefined ? {} : { note: noted }),
      ...(passOn === undefined ? {} : { pass_on: await readMaterial(passOn) }),
    });
  },
};

export const evidenceState: Command = {
  words: ['evidence', 'state'],
  topic: 'trust',
  arguments: '',
  summary: 'State that a partner keeps to a compliance scheme.',
  help: 'For an organisation that audits others, or has seen their certificate. They add it with norc evidence add.',
  options: [
    ...SERVER_OPTIONS,
    { name: 'for', value: 'DOMAIN', text: 'The partner. Required.' },
    { name: 'scheme', value: 'NAME', text: 'Such as iso27001. Required.' },
    { name: 'scope', value: 'TEXT', text: 'What was looked at. Required.' },
    { name: 'document', value: 'FILE', text: 'The report or certificate behind it; only its hash is stated.' },
    DAYS_OPTION,
    OUT_OPTION,
    JSON_OPTION,
  ],
  async run(input) {
    const peer = evidenceDomain(required(input, 'for'));
    const fields = { scheme: required(input, 'scheme'), scope: required(input, 'scope') };
    const document = input.options.get('document');
    const hash = document === undefined ? {} : { document: await hashOf(document) };
    return await makeStatement(input, '/evidence/state', peer, { ...fields, ...hash });
  },
};

export const evidenceAttest: Command = {
  words: ['evidence', 'attest'],
  topic: 'trust',
  arguments: '',
  summary: "State how many of this organisation's devices attest their keys.",
  options: [
    ...SERVER_OPTIONS,
    { name: 'platforms', value: 'LIST', text: 'Percent for each platform: ios=100,windows=80. Required.' },
    {
      name: 'policy',
      value: 'FILE',
      text: "The organisation's rules for its devices; only their hash is stated. Required.",
    },
    DAYS_OPTION,
    JSON_OPTION,
  ],
  async run(input) {
    const fields = { platforms: required(input, 'platforms'), policy: await hashOf(required(input, 'policy')) };
    const days = countOption(input, 'days', STATEMENT_DAYS, 1);
    printKept(input, await (await adminClient(input)).post<KeptView>('/evidence/attest', { ...fields, days }));
    return EXIT.ok;
  },
};

async function makeStatement(
  input: CommandInput,
  path: string,
  peer: string,
  fields: Readonly<Record<string, string>>,
): Promise<typeof EXIT.ok> {
  const out = required(input, 'out');
  const days = countOption(input, 'days', STATEMENT_DAYS, 1);
  const made = await (await adminClient(input)).post<{ readonly material: string }>(path, { peer, days, ...fields });
  const bytes = fromBase64Url(made.material);
  if (bytes === undefined) throw new CommandError(EXIT.failure, 'The server gave no statement.', 'norc doctor');
  await writeFile(out, bytes, { flag: 'wx', mode: FILE_MODE }).catch((cause: unknown) => {
    const next = 'Choose another name: a file is never overwritten.';
    throw new CommandError(EXIT.cannotCreate, `${out} cannot be written.`, next, { cause });
  });
  if (input.flags.has('json')) {
    printJson({ peer, file: out });
    return EXIT.ok;
  }
  print(`The statement about ${peer} is in ${out}.`);
  hint(`give it to them; they add it with: norc evidence add ${out}`);
  return EXIT.ok;
}

async function hashOf(file: string): Promise<string> {
  return toBase64Url(nodeCrypto.blake3(await readEvidenceFile(file)));
}

function required(input: CommandInput, name: string): string {
  const value = input.options.get(name);
  if (value !== undefined) return value;
  throw new CommandError(EXIT.usage, `--${name} is missing.`, '--help shows the options.');
}
