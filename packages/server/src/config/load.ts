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

/**
 * Key and certificate for the devices' listener, PEM; `undefined` when the settings name
 * none. Throws ConfigError when a file cannot be read or the two do not belong together.
 */
export async function readDeviceTls(
  config: ServerConfig,
): Promise<{ readonly key: string; readonly cert: string } | undefined> {
  const { tlsCertificate, tlsKey } = config.listen;
  if (tlsCertificate === undefined || tlsKey === undefined) return undefined;
  const cert = await readPem('listen.tls_certificate', tlsCertificate, 'a certificate chain in PEM');
  const key = await readPem('listen.tls_key', tlsKey, 'the private key of listen.tls_certificate in PEM');
  try {
    checkedSpki(tlsKey, key, cert);
  } catch (error) {
    if (!(error instanceof TlsIdentityError)) throw error;
    const allowed = 'a private key and its certificate in PEM';
    throw new ConfigError([
      { source: tlsCertificate, key: 'listen.tls_key', found: 'no pair with listen.tls_certificate', allowed },
    ]);
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
