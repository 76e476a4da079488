import { isAbsolute, resolve } from 'node:path';
import type { Domain } from '@norc/protocol/base';
import { type ConfigProblem, describeFound } from './problem.ts';
import { readDomain } from './setting.ts';
import { suggest } from './suggest.ts';
import { isTable } from './table.ts';

/** The devices' TLS certificate of one of several organisations on a server, chosen by the name that the device asks for. */
export interface ListenCertificate {
  readonly domain: Domain;
  /** PEM, absolute. */
  readonly certificate: string;
  readonly key: string;
}

const KEYS = ['domain', 'certificate', 'key'] as const;
const TABLE = 'listen.certificate';

/** The `[[listen.certificate]]` tables of one layer. */
export function readListenCertificates(
  source: string,
  folder: string,
  listen: unknown,
  problems: ConfigProblem[],
): readonly ListenCertificate[] {
  const tables = isTable(listen) ? listen['certificate'] : undefined;
  if (!Array.isArray(tables)) {
    problems.push({ source, key: TABLE, found: describeFound(tables, true), allowed: `tables [[${TABLE}]]` });
    return [];
  }
  const seen = new Set<string>();
  return tables.flatMap((table: unknown, index) => {
    const key = `${TABLE}[${index + 1}]`;
    const one = readOne(source, folder, key, table, problems);
    if (one === undefined) return [];
    if (seen.has(one.domain)) {
      problems.push({ source, key: `${key}.domain`, found: `"${one.domain}" again`, allowed: 'each domain once' });
    }
    seen.add(one.domain);
    return [one];
  });
}

function readOne(
  source: string,
  folder: string,
  key: string,
  table: unknown,
  problems: ConfigProblem[],
): ListenCertificate | undefined {
  if (!isTable(table)) {
    problems.push({ source, key, found: describeFound(table, true), allowed: `a table [[${TABLE}]]` });
    return undefined;
  }
  for (const name of Object.keys(table).filter((known) => !KEYS.some((one) => one === known))) {
    const meant = suggest(name, KEYS);
    const allowed = meant === undefined ? KEYS.join(', ') : `did you mean "${meant}"?`;
    problems.push({ source, key: `${key}.${name}`, found: 'an unknown setting', allowed });
  }
  const wrong = (name: (typeof KEYS)[number], allowed: string) => {
    const found = name in table ? describeFound(table[name], name === 'key') : 'nothing';
    problems.push({ source, key: `${key}.${name}`, found, allowed });
    return undefined;
  };
  const file = (name: 'certificate' | 'key', allowed: string) => {
    const path = table[name];
    if (typeof path !== 'string' || path === '') return wrong(name, allowed);
    return isAbsolute(path) ? path : resolve(folder, path);
  };
  const domain = typeof table['domain'] === 'string' ? readDomain(table['domain']) : undefined;
  if (domain === undefined) wrong('domain', 'one of organisation.domains');
  const certificate = file('certificate', 'the path of a certificate chain in PEM');
  const privateKey = file('key', 'the path of its private key in PEM');
  if (domain === undefined || certificate === undefined || privateKey === undefined) return undefined;
  return { domain, certificate, key: privateKey };
}
