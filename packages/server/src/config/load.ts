import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { errorCode, TlsIdentityError } from '../transport/errors.ts';
import { checkedSpki } from '../transport/tls-identity.ts';
import { type ConfigSources, parseConfig } from './parse.ts';
import { ConfigError } from './problem.ts';
import type { ServerConfig } from './settings.ts';

export const CONFIG_FILE_DEFAULT = 'norc.toml';

export interface LoadOptions extends Pick<ConfigSources, 'fallbacks' | 'environment' | 'overrides'> {
  /** The configuration file. When absent, norc.toml in `folder` if there is one. */
  readonly file?: string;
  /** The working folder. */
  readonly folder: string;
}

/** Reads the configuration file and checks all settings. Throws ConfigError. */
export async function loadConfig({ file, folder, ...sources }: LoadOptions): Promise<ServerConfig> {
  const path = resolve(folder, file ?? CONFIG_FILE_DEFAULT);
  const text = await readSource(path, file === undefined);
  if (text === undefined) return parseConfig({ ...sources, folder });
  return parseConfig({ ...sources, folder, file: { path: file ?? CONFIG_FILE_DEFAULT, folder: dirname(path), text } });
}

async function readSource(path: string, mayBeMissing: boolean): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (mayBeMissing && errorCode(error) === 'ENOENT') return undefined;
    const found = `a file that cannot be read (${errorCode(error) ?? 'unknown'})`;
    throw new ConfigError([{ source: path, key: 'the file', found, allowed: 'a configuration file in TOML' }]);
  }
}

export interface PemPair {
  readonly key: string;
  readonly cert: string;
}

/** What the devices' listener presents: to those who ask for an organisation by name, and to all others. */
export interface DeviceTls {
  readonly byName: ReadonlyMap<string, PemPair>;
  readonly otherwise: PemPair | undefined;
}

/**
 * Keys and certificates for the devices' listener, PEM; `undefined` when the settings name
 * none. Throws ConfigError when a file cannot be read or two do not belong together.
 */
export async function readDeviceTls(config: ServerConfig): Promise<DeviceTls | undefined> {
  const { tlsCertificate, tlsKey, certificates } = config.listen;
  const byName = new Map<string, PemPair>();
  for (const { domain, certificate, key } of certificates)
    byName.set(domain, await readPair('listen.certificate', certificate, key));
  if (tlsCertificate !== undefined && tlsKey !== undefined)
    return { byName, otherwise: await readPair('listen.tls_certificate', tlsCertificate, tlsKey) };
  return byName.size === 0 ? undefined : { byName, otherwise: undefined };
}

async function readPair(setting: string, certificate: string, privateKey: string): Promise<PemPair> {
  const cert = await readPem(setting, certificate, 'a certificate chain in PEM');
  const key = await readPem(`the key of ${setting}`, privateKey, 'the private key of that certificate in PEM');
  try {
    checkedSpki(privateKey, key, cert);
  } catch (error) {
    if (!(error instanceof TlsIdentityError)) throw error;
    const allowed = 'a private key and its certificate in PEM';
    throw new ConfigError([{ source: certificate, key: setting, found: 'no pair with its key', allowed }]);
  }
  return { key, cert };
}

async function readPem(key: string, path: string, allowed: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ConfigError([
      { source: path, key, found: `a file that cannot be read (${errorCode(error) ?? 'unknown'})`, allowed },
    ]);
  }
}
