import { allSettings, keyOf, type ServerConfig } from './settings.ts';

const HIDDEN = '(set, not shown)';

/** All settings as in the file, for `norc doctor` and the log: secrets are replaced, unset ones absent. */
export function redactedConfig(config: ServerConfig): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  const shown: Record<string, Record<string, unknown>> = {};
  const values: Readonly<Record<string, Readonly<Record<string, unknown>>>> = config;
  for (const { section, name, setting } of allSettings()) {
    const value = values[section]?.[name];
    if (value === undefined) continue;
    shown[section] = { ...shown[section], [keyOf(name)]: setting.secret ? HIDDEN : value };
  }
  const peer = config.federation.peers.map(({ domain, endpoints, trustTxt }) => ({
    domain,
    endpoints,
    trust_txt: trustTxt,
  }));
  const certificate = config.listen.certificates.map(({ domain, certificate: path }) => ({
    domain,
    certificate: path,
    key: HIDDEN,
  }));
  if (certificate.length > 0) shown['listen'] = { ...shown['listen'], certificate };
  return { ...shown, federation: { ...shown['federation'], peer } };
}
