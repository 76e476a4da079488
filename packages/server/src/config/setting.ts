import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { type Domain, parseDomain } from '@norc/protocol/base';

/** One setting: what it is for, what it may be, and how it is read. */
export interface Setting<T> {
  /** For people: ends the sentence "allowed: …". */
  readonly allowed: string;
  readonly about: string;
  /** `undefined` where there is none: the setting is then required, or stays unset. */
  readonly fallback: T | undefined;
  readonly required: boolean;
  /** Its value is never shown, neither in an error nor by `norc doctor`. */
  readonly secret: boolean;
  /** The value, or `undefined` when it is not allowed. `folder` is what relative paths start from. */
  readonly read: (value: unknown, folder: string) => T | undefined;
  /** From an environment variable to what a file would hold. */
  readonly fromText: (text: string) => unknown;
}

type Parts<T> = Pick<Setting<T>, 'allowed' | 'about' | 'read'> & Partial<Setting<T>>;

function setting<T>(parts: Parts<T>): Setting<T> {
  return { fallback: undefined, required: false, secret: false, fromText: (text) => text, ...parts };
}

export function integer(about: string, fallback: number, min: number, max: number): Setting<number> {
  return setting({
    about,
    fallback,
    allowed: `a whole number from ${min} to ${max}`,
    read: (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined,
    fromText: (text) => (/^-?\d+$/.test(text) ? Number(text) : text),
  });
}

export function flag(about: string, fallback: boolean): Setting<boolean> {
  return setting({
    about,
    fallback,
    allowed: 'true or false',
    read: (value) => (typeof value === 'boolean' ? value : undefined),
    fromText: (text) => (text === 'true' || text === 'false' ? text === 'true' : text),
  });
}

export function choice<const T extends string>(about: string, fallback: T, choices: readonly T[]): Setting<T> {
  return setting({
    about,
    fallback,
    allowed: `one of ${choices.map((name) => `"${name}"`).join(', ')}`,
    read: (value) => choices.find((name) => name === value),
  });
}

/** A listening address. */
export function host(about: string, fallback: string): Setting<string> {
  return setting({
    about,
    fallback,
    allowed: 'an IP address or a host name',
    read: (value) => (typeof value === 'string' && (isIP(value) !== 0 || parseDomain(value).ok) ? value : undefined),
  });
}

const PATH_LENGTH_MAX = 4096;

function readPath(value: unknown, folder: string): string | undefined {
  const usable =
    typeof value === 'string' && value !== '' && value.length <= PATH_LENGTH_MAX && !/[\0\n\r]/.test(value);
  return usable ? resolve(folder, value) : undefined;
}

const PATH_ALLOWED = 'a path, absolute or from the folder of the configuration file';

export function path(about: string, fallback: string): Setting<string> {
  return setting({ about, fallback, allowed: PATH_ALLOWED, read: readPath });
}

export function optionalPath(about: string, options: { readonly secret?: boolean } = {}): Setting<string | undefined> {
  return setting<string | undefined>({ about, allowed: PATH_ALLOWED, read: readPath, ...options });
}

/** Different items; in an environment variable they are separated by commas. */
export function list<T>(
  about: string,
  items: string,
  fallback: readonly T[],
  readItem: (item: string) => T | undefined,
): Setting<readonly T[]> {
  return setting<readonly T[]>({
    about,
    fallback,
    allowed: `a list of different ${items}`,
    read: (value) => readList(value, readItem),
    fromText: (text) => text.split(',').map((item) => item.trim()),
  });
}

export const LIST_LENGTH_MAX = 1000;

export function readList<T>(value: unknown, readItem: (item: string) => T | undefined): readonly T[] | undefined {
  if (!Array.isArray(value) || value.length > LIST_LENGTH_MAX || new Set(value).size < value.length) return undefined;
  const items = value.map((item: unknown) => (typeof item === 'string' ? readItem(item) : undefined));
  return items.every((item) => item !== undefined) ? items : undefined;
}

/** Organisations: at least one. */
export function domains(about: string): Setting<readonly Domain[]> {
  const parts = list(about, 'domain names in lower case, at least one', [], readDomain);
  return {
    ...parts,
    fallback: undefined,
    required: true,
    read: (value, folder) => {
      const names = parts.read(value, folder);
      return names === undefined || names.length === 0 ? undefined : names;
    },
  };
}

export function readDomain(text: string): Domain | undefined {
  const domain = parseDomain(text);
  return domain.ok ? domain.value : undefined;
}
