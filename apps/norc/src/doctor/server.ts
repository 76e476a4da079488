import { existsSync } from 'node:fs';
import { access, constants, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { nodeClock } from '@norc/crypto/node';
import { parseDomain } from '@norc/protocol/base';
import { APPLICATION_ID, openOrganisation, organisationPaths, SCHEMA_VERSION, type ServerConfig } from '@norc/server';
import { AdminClient } from '../admin-client.ts';
import { CommandError, EXIT } from '../command.ts';
import { organisationsIn } from '../server/settings.ts';
import { codeOf, type Finding, fail, ok, warn } from './finding.ts';

const DAY_MS = 86_400_000;
const CERTIFICATE_WARN_DAYS = 30;
const DISK_WARN_MIB = 1024;
const DISK_FAIL_MIB = 64;
const CLOCK_SLACK_MS = 5_000;
const OTHERS = 0o077;

/** The data folder, each organisation in it, and the ports or the running server. */
export async function checkServer(config: ServerConfig): Promise<readonly Finding[]> {
  const { data } = config.organisation;
  if (!existsSync(data))
    return [ok('Data folder', `${data} is not there yet: no server ran here`), ...(await checkPorts(config))];
  const domains = await organisationsIn(data);
  const organisations = [];
  for (const domain of domains) organisations.push(...(await checkOrganisation(data, domain)));
  const missing = config.organisation.domains
    .filter((domain) => !domains.includes(domain))
    .map((domain) => warn(domain, `is configured, but has no keys in ${data}`, `norc org init ${domain}`));
  const runs = await Promise.all(domains.map((domain) => checkRunning(join(data, domain), domain)));
  const ports = runs.some((run) => run.running) ? [] : await checkPorts(config);
  return [
    ...(await checkFolder(data)),
    ...(await checkClock(data, domains)),
    ...organisations,
    ...missing,
    ...runs.flatMap((run) => run.findings),
    ...ports,
  ];
}

async function checkFolder(data: string): Promise<readonly Finding[]> {
  try {
    await access(data, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    return [
      fail(
        'Data folder',
        `${data} cannot be written (${codeOf(error)})`,
        "Run this as the server's account, or correct the owner.",
      ),
    ];
  }
  const { mode } = await stat(data);
  const open = process.platform !== 'win32' && (mode & OTHERS) !== 0;
  const folder = open
    ? warn('Data folder', `${data} can be entered by other accounts`, `chmod 700 ${data}`)
    : ok('Data folder', data);
  const { bavail, bsize } = await statfs(data);
  return [folder, diskFinding(Math.floor((bavail * bsize) / 1024 ** 2))];
}

function diskFinding(freeMib: number): Finding {
  const detail = `${freeMib.toLocaleString('en')} MiB free`;
  if (freeMib < DISK_FAIL_MIB) return fail('Disk', detail, 'Make room: with a full disk nothing more is accepted.');
  return freeMib < DISK_WARN_MIB ? warn('Disk', detail, 'Make room soon.') : ok('Disk', detail);
}

/** A clock that stands before the last write was set back: certificates and devices would be refused. */
async function checkClock(data: string, domains: readonly string[]): Promise<readonly Finding[]> {
  const files = domains.flatMap((domain) => {
    const { database } = organisationPaths(join(data, domain));
    return [database, `${database}-wal`];
  });
  const times = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  const ahead = Math.max(0, ...times) - nodeClock.now();
  if (ahead <= CLOCK_SLACK_MS)
    return [ok('Clock', `${new Date(nodeClock.now()).toISOString().slice(0, 19)} UTC, not before the last write`)];
  const seconds = Math.round(ahead / 1000);
  return [
    fail(
      'Clock',
      `stands ${seconds} s before the last write to the database`,
      'Set the time, best by NTP: devices may be 5 s off at most.',
    ),
  ];
}

async function checkOrganisation(data: string, name: string): Promise<readonly Finding[]> {
  const domain = parseDomain(name);
  if (!domain.ok) return [];
  const folder = join(data, name);
  try {
    const identity = await openOrganisation(folder, domain.value, nodeClock.now());
    identity.signer.close();
    return [
      certificateFinding(name, identity.certificate.notAfter),
      databaseFinding(name, organisationPaths(folder).database),
    ];
  } catch (error) {
    const detail = error instanceof Error ? error.message : 'cannot be opened';
    return [fail(`${name} keys`, detail, 'Restore the key files from your backup.')];
  }
}

function certificateFinding(domain: string, notAfter: number): Finding {
  const days = Math.floor((notAfter - nodeClock.now()) / DAY_MS);
  const detail = `belong together; the server certificate ends in ${days} days`;
  if (days >= CERTIFICATE_WARN_DAYS) return ok(`${domain} keys`, detail);
  return warn(`${domain} keys`, detail, 'Certify a new server key before then.');
}

/** Looks without a lock, so it also works beside a running server. */
function databaseFinding(domain: string, file: string): Finding {
  const what = `${domain} database`;
  if (!existsSync(file)) return ok(what, 'not there yet: the first start makes it');
  try {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      const application = pragma(database, 'application_id');
      const version = pragma(database, 'user_version');
      if (application !== APPLICATION_ID)
        return fail(what, `${file} is not a NORC database`, 'Restore it from a backup.');
      if (version > SCHEMA_VERSION) {
        return fail(
          what,
          `was written by a newer version (schema ${version}, this one knows ${SCHEMA_VERSION})`,
          'Start the newer NORC.',
        );
      }
      return ok(what, `schema ${version}`);
    } finally {
      database.close();
    }
  } catch (error) {
    return fail(
      what,
      `${file} cannot be read (${codeOf(error)})`,
      'Look at its permissions; if it is damaged, restore it from a backup.',
    );
  }
}

function pragma(database: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
}

interface Status {
  readonly version: string;
  readonly device_address: { readonly host: string; readonly port: number };
  readonly sessions: number;
  readonly links: readonly {
    readonly peer: string;
    readonly state: 'up' | 'connecting' | 'waiting' | 'blocked';
    readonly version?: string;
    readonly cause?: string;
    readonly queued: number;
  }[];
}

async function checkRunning(
  folder: string,
  domain: string,
): Promise<{ running: boolean; findings: readonly Finding[] }> {
  const client = new AdminClient(organisationPaths(folder).adminSocket);
  try {
    const status = await client.get<Status>('/status');
    const { host, port } = status.device_address;
    const here = ok(`${domain} server`, `runs on ${host}:${port}, ${status.sessions} devices connected`);
    const policy = policyFinding(domain, await client.get<PolicyInForce>('/policy'));
    return { running: true, findings: [here, policy, ...status.links.map((link) => linkFinding(domain, link))] };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (error.exitCode === EXIT.unavailable)
      return { running: false, findings: [ok(`${domain} server`, 'does not run')] };
    return { running: true, findings: [fail(`${domain} server`, error.message, error.next ?? 'See its log.')] };
  }
}

interface PolicyInForce {
  readonly number: number;
  readonly file?: { readonly changes: readonly object[]; readonly fault?: string };
}

/** The stored policy counts: a file that says something else is a change that nobody applied. */
function policyFinding(domain: string, { number, file }: PolicyInForce): Finding {
  const what = `${domain} policy`;
  const detail = number === 0 ? 'the built-in one' : `number ${number}`;
  if (file?.fault !== undefined)
    return warn(what, `${detail}; the configured file cannot be read`, 'norc policy check FILE');
  if (file === undefined || file.changes.length === 0) return ok(what, detail);
  const changes = file.changes.length === 1 ? 'in one place' : `in ${file.changes.length} places`;
  return warn(
    what,
    `${detail}; the configured file differs ${changes}`,
    'norc policy plan FILE, then: norc policy apply FILE',
  );
}

function linkFinding(domain: string, { peer, state, version, cause, queued }: Status['links'][number]): Finding {
  const what = `${domain} to ${peer}`;
  const waiting = queued === 0 ? '' : `, ${queued} kept for it`;
  if (state === 'up') return ok(what, `connected${version === undefined ? '' : `, version ${version}`}${waiting}`);
  const reason = cause === undefined ? '' : ` (${cause})`;
  if (state === 'blocked') return warn(what, `not allowed to connect${reason}`, `norc trust show ${peer}`);
  return warn(what, `not connected${reason}${waiting}`, 'It is tried again by itself; ask their operator if it lasts.');
}

async function checkPorts(config: ServerConfig): Promise<readonly Finding[]> {
  const { listen, federation } = config;
  const devices = await portFinding('Port for devices', listen);
  return federation.enabled ? [devices, await portFinding('Port for servers', federation)] : [devices];
}

/** Takes the port for a moment: nothing else shows for certain that it can be had. */
function portFinding(what: string, { host, port }: { readonly host: string; readonly port: number }): Promise<Finding> {
  const place = `${host}:${port}`;
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => {
      const inUse = codeOf(error) === 'EADDRINUSE';
      const detail = inUse ? `${place} is taken by another program` : `${place} cannot be had (${codeOf(error)})`;
      resolve(fail(what, detail, 'Stop that program, or choose another address in the configuration.'));
    });
    server.listen({ host, port }, () => server.close(() => resolve(ok(what, `${place} is free`))));
  });
}
