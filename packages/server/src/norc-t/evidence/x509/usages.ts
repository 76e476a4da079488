import { extendedKeyUsages, type X509 } from './certificate.ts';

/**
 * What the keys of a path may be used for (RFC 5280 section 4.2.1.12). pkijs 4.0.0 never looks: a certificate
 * for signing code would name an organisation as well as any other.
 */

const ANY = '2.5.29.37.0';
/** Purposes by which a certificate stands for its holder: TLS as server or client, mail, documents (RFC 9336). */
export const PURPOSES: readonly string[] = [
  '1.3.6.1.5.5.7.3.1',
  '1.3.6.1.5.5.7.3.2',
  '1.3.6.1.5.5.7.3.4',
  '1.3.6.1.5.5.7.3.36',
];

/**
 * The first certificate, from the leaf on, after which none of the purposes is left. An authority that says for what
 * it issues says so of everything below it.
 */
export function usageFault(
  path: readonly X509[],
  more: readonly string[],
): { readonly at: number; readonly fault: string } | undefined {
  let left: readonly string[] = [...PURPOSES, ...more];
  for (const [index, certificate] of path.entries()) {
    const own = extendedKeyUsages(certificate);
    if (own.length === 0 || own.includes(ANY)) continue;
    left = left.filter((purpose) => own.includes(purpose));
    if (left.length > 0) continue;
    const fault = `is for other purposes (extended key usage ${own.slice(0, SHOWN_MAX).join(', ')})`;
    return { at: index, fault };
  }
  return undefined;
}

const SHOWN_MAX = 4;
