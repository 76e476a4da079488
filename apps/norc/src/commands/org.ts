import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { fromBase64Url, parseDomain, toBase64Url } from '@norc/protocol/base';
import { fingerprintText, parseDocument, rootKeyFingerprint, SERVER_CERTIFICATE } from '@norc/protocol/crypto';
import { DOMAIN_PROOF_TXT_PREFIX, rootKeysFingerprint } from '@norc/protocol/norc-t';
import { closeOrganisation, domainProofOf, initOrganisation, organisationPaths, type RootPublic } from '@norc/server';
import { AdminClient } from '../admin-client.ts';
import { type Command, CommandError, EXIT, positional } from '../command.ts';
import { fingerprintLines, hint, print, printFacts, printJson } from '../output.ts';
import { CONFIG_OPTION, DATA_OPTION, dataFolder } from '../server/settings.ts';
import { addressText, shortPath } from './server.ts';
import { JSON_OPTION, organisationFolder, SERVER_OPTIONS, utcTime } from './shared.ts';

export const orgInit: Command = {
  words: ['org', 'init'],
  topic: 'server',
  arguments: 'DOMAIN',
  summary: 'Make the keys of a new organisation.',
  help: `Makes the organisation root keys (Ed25519 and ML-DSA-65), server keys that they certify, and a TLS key for links
to other servers. Keys are never overwritten. The root keys are needed again only to certify other keys: keep
keys/root.key and keys/root-pq.key on another medium, away from the server.`,
  options: [DATA_OPTION, CONFIG_OPTION, JSON_OPTION],
  argumentsMax: 1,
  async run(input) {
    const text = positional(input, 0, 'DOMAIN').toLowerCase();
    const domain = parseDomain(text);
    if (!domain.ok)
      throw new CommandError(EXIT.usage, `'${text}' is not a domain.`, 'A domain looks like alpha.example.');
    const data = await dataFolder(input);
    const folder = join(data, domain.value);
    const { rootKey: rootKeyFile, keys } = organisationPaths(folder);
    if (existsSync(keys)) {
      throw new CommandError(
        EXIT.cannotCreate,
        `${domain.value} has keys already, in ${keys}. They were left as they are.`,
        'norc org show',
      );
    }
    const identity = await initOrganisation(folder, domain.value, { clock: nodeClock, random: nodeRandom });
    const fingerprint = fingerprintText(identity.rootFingerprint);
    closeOrganisation(identity);
    const rootPqKey = identity.pq?.rootKey;
    const roots = { rootKey: identity.rootKey, ...(rootPqKey === undefined ? {} : { rootPqKey }) };
    const record = dnsRecord(domain.value, roots);
    if (input.flags.has('json')) {
      printJson({ domain: domain.value, folder, root_fingerprint: fingerprint, dns_record: record });
      return EXIT.ok;
    }
    print(`${domain.value} has its keys.`);
    printFacts([
      ['Root fingerprint', fingerprintLines(fingerprint)],
      ['Root key', `${shortPath(rootKeyFile)} (keep a copy off this machine, then remove it here)`],
      ['Data', shortPath(folder)],
      ['DNS record', record],
    ]);
    hint(`norc server${startOptions(input.options)}`);
    return EXIT.ok;
  },
};

/** What the person typed is what the next command needs. */
function startOptions(options: ReadonlyMap<string, string>): string {
  return ['config', 'data'].map((name) => (options.has(name) ? ` --${name} ${options.get(name)}` : '')).join('');
}

function dnsRecord(domain: string, keys: RootPublic): string {
  return `${DOMAIN_PROOF_TXT_PREFIX}${domain}. TXT "${domainProofOf(keys)}"`;
}

interface ServerStatus {
  readonly version: string;
  readonly device_address: { readonly host: string; readonly port: number; readonly tls: boolean };
  readonly federation_address: { readonly host: string; readonly port: number } | null;
  readonly sessions: number;
  readonly users: number;
}

export const orgShow: Command = {
  words: ['org', 'show'],
  topic: 'server',
  arguments: '',
  summary: 'Show the organisation: fingerprint, certificate, whether its server runs.',
  options: [...SERVER_OPTIONS, JSON_OPTION],
  async run(input) {
    const folder = await organisationFolder(input);
    const facts = await readOrganisation(folder);
    const status = await serverStatus(folder);
    if (input.flags.has('json')) {
      printJson({ ...facts, folder, server: status ?? null });
      return EXIT.ok;
    }
    print(facts.domain);
    printFacts([
      ['Root fingerprint', fingerprintLines(facts.root_fingerprint)],
      ...(facts.both_fingerprint === undefined
        ? []
        : [['Both root keys', fingerprintLines(facts.both_fingerprint)] as const]),
      ['Server certificate', `until ${utcTime(facts.server_certificate_not_after)} UTC`],
      ['Post-quantum keys', facts.post_quantum ? 'yes' : 'no (norc org upgrade-keys)'],
      ['DNS record', facts.dns_record],
      ['Data', shortPath(folder)],
      ['Server', status === undefined ? 'not running' : statusText(status)],
    ]);
    return EXIT.ok;
  },
};

function statusText(status: ServerStatus): string {
  const people = status.users === 1 ? '1 person' : `${status.users} people`;
  const devices = status.sessions === 1 ? '1 device connected' : `${status.sessions} devices connected`;
  return `running on ${addressText(status.device_address)}, ${people}, ${devices}`;
}

async function serverStatus(folder: string): Promise<ServerStatus | undefined> {
  const client = new AdminClient(organisationPaths(folder).adminSocket);
  return await client.get<ServerStatus>('/status').catch((error: unknown) => {
    if (error instanceof CommandError && error.exitCode === EXIT.unavailable) return undefined;
    throw error;
  });
}

export interface OrganisationFacts {
  readonly domain: string;
  readonly root_key: string;
  readonly root_fingerprint: string;
  /** Where the organisation has a post-quantum root key too: the key, and one fingerprint over both. */
  readonly root_pq_key?: string;
  readonly both_fingerprint?: string;
  readonly server_certificate_not_before: number;
  readonly server_certificate_not_after: number;
  /** Whether its documents of trust carry a second, post-quantum signature. */
  readonly post_quantum: boolean;
  readonly dns_record: string;
}

function bothKeys(rootKey: Uint8Array, rootPqKey: Uint8Array) {
  const both_fingerprint = fingerprintText(rootKeysFingerprint(nodeCrypto, rootKey, rootPqKey));
  return { root_pq_key: toBase64Url(rootPqKey), both_fingerprint };
}

/** From the public key files alone: works without a running server. */
export async function readOrganisation(folder: string): Promise<OrganisationFacts> {
  const paths = organisationPaths(folder);
  const parsed = JSON.parse(await readFile(paths.rootPublic, 'utf8')) as {
    domain?: unknown;
    public_key?: unknown;
    pq_public_key?: unknown;
  }; // checked below
  const rootKey = typeof parsed.public_key === 'string' ? fromBase64Url(parsed.public_key) : undefined;
  const rootPqKey = typeof parsed.pq_public_key === 'string' ? fromBase64Url(parsed.pq_public_key) : undefined;
  const certificate = parseDocument(SERVER_CERTIFICATE, Uint8Array.from(await readFile(paths.serverCertificate)));
  if (typeof parsed.domain !== 'string' || rootKey === undefined || !certificate.ok) {
    throw new CommandError(
      EXIT.badData,
      `The key files in ${paths.keys} are damaged.`,
      'Restore them from your backup.',
    );
  }
  return {
    domain: parsed.domain,
    root_key: String(parsed.public_key),
    root_fingerprint: fingerprintText(rootKeyFingerprint(nodeCrypto, rootKey)),
    ...(rootPqKey === undefined ? {} : bothKeys(rootKey, rootPqKey)),
    server_certificate_not_before: certificate.value.body.not_before,
    server_certificate_not_after: certificate.value.body.not_after,
    post_quantum: rootPqKey !== undefined,
    dns_record: dnsRecord(parsed.domain, { rootKey, ...(rootPqKey === undefined ? {} : { rootPqKey }) }),
  };
}
