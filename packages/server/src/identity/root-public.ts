import { readFile } from 'node:fs/promises';
import { type Domain, fromBase64Url, parseDomain, toBase64Url } from '@norc/protocol/base';
import { ML_DSA_65_PUBLIC_KEY_BYTES } from '@norc/protocol/crypto';
import { IdentityError } from './paths.ts';

const ROOT_KEY_BYTES = 32;

/** The public halves of an organisation's root keys: what its server reads, whose secrets can be elsewhere. */
export interface RootPublic {
  readonly rootKey: Uint8Array;
  /** ML-DSA-65; absent in organisations that were made without. */
  readonly rootPqKey?: Uint8Array;
}

export function rootPublicText(domain: Domain, { rootKey, rootPqKey }: RootPublic): string {
  const document = {
    type: 'norc_root_key',
    algorithm: 'ed25519',
    domain,
    public_key: toBase64Url(rootKey),
    ...(rootPqKey === undefined ? {} : { pq_algorithm: 'ml-dsa-65', pq_public_key: toBase64Url(rootPqKey) }),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Throws IdentityError when the file is missing, damaged, or another organisation's. */
export async function readRootPublic(file: string, domain: Domain): Promise<RootPublic> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new IdentityError(`no organisation in this data folder (${file} is missing); run: norc org init ${domain}`, {
      cause,
    });
  });
  const fields = parseObject(text);
  const named = typeof fields['domain'] === 'string' ? parseDomain(fields['domain']) : undefined;
  const rootKey = keyOf(fields['public_key'], ROOT_KEY_BYTES);
  const rootPqKey = keyOf(fields['pq_public_key'], ML_DSA_65_PUBLIC_KEY_BYTES);
  const damaged = rootPqKey === undefined && fields['pq_public_key'] !== undefined;
  if (fields['type'] !== 'norc_root_key' || named?.ok !== true || rootKey === undefined || damaged) {
    throw new IdentityError(`${file} is damaged; restore it from your backup`);
  }
  if (named.value !== domain) {
    throw new IdentityError(`${file} belongs to ${named.value}, but the configuration says ${domain}`);
  }
  return { rootKey, ...(rootPqKey === undefined ? {} : { rootPqKey }) };
}

function keyOf(text: unknown, length: number): Uint8Array | undefined {
  const key = typeof text === 'string' ? fromBase64Url(text) : undefined;
  return key?.length === length ? key : undefined;
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}; // values are checked one by one
  } catch {
    return {};
  }
}
