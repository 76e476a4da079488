import { parseEndpoint, type StaticPeer } from '../transport/resolver.ts';
import { type ConfigProblem, describeFound } from './problem.ts';
import { readDomain, readList } from './setting.ts';
import { suggest } from './suggest.ts';
import { isTable } from './table.ts';

const KEYS = ['domain', 'endpoints', 'trust_txt'] as const;
const TRUST_TXT_LENGTH_MAX = 1024;

/** The `[[federation.peer]]` tables of one file: organisations that are found without DNS. */
export function readPeers(source: string, federation: unknown, problems: ConfigProblem[]): readonly StaticPeer[] {
  const tables = isTable(federation) ? federation['peer'] : undefined;
  if (!Array.isArray(tables)) {
    problems.push({
      source,
      key: 'federation.peer',
      found: describeFound(tables, true),
      allowed: 'tables [[federation.peer]]',
    });
    return [];
  }
  const seen = new Set<string>();
  return tables.flatMap((table: unknown, index) => {
    const key = `federation.peer[${index + 1}]`;
    const peer = readPeer(source, key, table, problems);
    if (peer === undefined) return [];
    if (seen.has(peer.domain)) {
      problems.push({ source, key: `${key}.domain`, found: `"${peer.domain}" again`, allowed: 'each domain once' });
    }
    seen.add(peer.domain);
    return [peer];
  });
}

function readPeer(source: string, key: string, table: unknown, problems: ConfigProblem[]): StaticPeer | undefined {
  const before = problems.length;
  if (!isTable(table)) {
    problems.push({ source, key, found: describeFound(table, true), allowed: 'a table [[federation.peer]]' });
    return undefined;
  }
  for (const name of Object.keys(table).filter((known) => !KEYS.some((k) => k === known))) {
    const meant = suggest(name, KEYS);
    const allowed = meant === undefined ? KEYS.join(', ') : `did you mean "${meant}"?`;
    problems.push({ source, key: `${key}.${name}`, found: 'an unknown setting', allowed });
  }
  const wrong = (name: (typeof KEYS)[number], allowed: string) => {
    const found = name in table ? describeFound(table[name], false) : 'nothing';
    problems.push({ source, key: `${key}.${name}`, found, allowed });
  };
  const domain = typeof table['domain'] === 'string' ? readDomain(table['domain']) : undefined;
  const endpoints = readList(table['endpoints'] ?? [], (text) => parseEndpoint(text));
  const trustTxt = readList(table['trust_txt'] ?? [], readTrustTxt);
  if (domain === undefined) wrong('domain', 'a domain name in lower case');
  if (endpoints === undefined) wrong('endpoints', 'a list of "host", "host:port" or "[address]:port"');
  if (trustTxt === undefined) wrong('trust_txt', 'a list of texts "norc-trust=v1; root=…"');
  if (endpoints?.length === 0 && trustTxt?.length === 0) wrong('endpoints', 'endpoints, trust_txt or both');
  if (problems.length > before || domain === undefined) return undefined;
  return { domain, endpoints: endpoints ?? [], trustTxt: trustTxt ?? [] };
}

function readTrustTxt(text: string): string | undefined {
  return text.startsWith('norc-trust=v1;') && text.length <= TRUST_TXT_LENGTH_MAX ? text : undefined;
}
