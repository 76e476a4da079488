import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { fromBase64Url, parseDomain } from '@norc/protocol/base';
import { fingerprintText, parseDocument, rootKeyFingerprint, SERVER_CERTIFICATE } from '@norc/protocol/crypto';
import { DOMAIN_PROOF_TXT_PREFIX, domainProofText } from '@norc/protocol/norc-t';
import { initOrganisation, organisationPaths } from '@norc/server';
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
  help: `Makes the organisation root key, a server key that it certifies, and a TLS key for links to other servers. Keys are
never overwritten. The root key is needed again only to certify a new server key: keep keys/root.key on another
medium, away from the server.`,
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
    identity.signer.close();
    const record = dnsRecord(domain.value, identity.rootKey);
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

function dnsRecord(domain: string, rootKey: Uint8Array): string {
  return `${DOMAIN_PROOF_TXT_PREFIX}${domain}. TXT "${domainProofText(rootKey)}"`;
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
      ['Server certificate', `until ${utcTime(facts.server_certificate_not_after)} UTC`],
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
  readonly server_certificate_not_before: number;
  readonly server_certificate_not_after: number;
  readonly dns_record: string;
}

/** From the public key files alone: works without a running server. */
export async function readOrganisation(folder: string): Promise<OrganisationFacts> {
  const paths = organisationPaths(folder);
  const parsed = JSON.parse(await readFile(paths.rootPublic, 'utf8')) as { domain?: unknown; public_key?: unknown }; // checked below
  const rootKey = typeof parsed.public_key === 'string' ? fromBase64Url(parsed.public_key) : undefined;
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
    server_certificate_not_before: certificate.value.body.not_before,
    server_certificate_not_after: certificate.value.body.not_after,
    dns_record: dnsRecord(parsed.domain, rootKey),
  };
}
