import type { GeneralName, GeneralSubtree, RelativeDistinguishedNames } from 'pkijs';
import { alternativeNames, nameConstraints, type X509 } from './certificate.ts';

/**
 * Name constraints (RFC 5280 section 4.2.1.10). The library (pkijs 4.0.0) checks them too, but
 * joins what each authority permits into one list, so that an authority that may name only
 * alpha.example gives an authority below it bravo.example; it forgets those of the anchor; and it
 * compares texts by language rules, to which some characters are nothing.
 */

/** Forms of GeneralName. */
const FORM = { mail: 1, dns: 2, directory: 4, uri: 6, address: 7 } as const;
const FORM_TEXT: Readonly<Record<number, string>> = {
  [FORM.mail]: 'mail address',
  [FORM.dns]: 'domain',
  [FORM.directory]: 'directory name',
  [FORM.uri]: 'URI',
  [FORM.address]: 'IP address',
};
const MAIL_ADDRESS = '1.2.840.113549.1.9.1';

interface Name {
  readonly form: number;
  readonly value: unknown;
}

/**
 * Each certificate of the path (leaf first, anchor last) against the constraints of each one above it.
 * A text names the first that breaks one: its place from 0, and how.
 */
export function nameFault(path: readonly X509[]): { readonly at: number; readonly fault: string } | undefined {
  for (const [place, authority] of path.entries()) {
    const constraints = nameConstraints(authority);
    if (constraints === undefined || place === 0) continue;
    for (const [at, certificate] of path.slice(0, place).entries()) {
      if (certificate.selfIssued && at > 0) continue;
      for (const name of namesOf(certificate)) {
        const { permittedSubtrees = [], excludedSubtrees = [] } = constraints;
        const fault = excludedFault(name, excludedSubtrees) ?? permittedFault(name, permittedSubtrees);
        if (fault !== undefined) return { at, fault: `${fault} by ${authority.name}` };
      }
    }
  }
  return undefined;
}

function namesOf(certificate: X509): readonly Name[] {
  const { subject } = certificate.parsed;
  const alternative = alternativeNames(certificate).map(({ type, value }) => ({ form: type, value: value as unknown })); // the library says any
  const directory = subject.typesAndValues.length > 0 ? [{ form: FORM.directory, value: subject }] : [];
  const mails = alternative.some(({ form }) => form === FORM.mail)
    ? []
    : subject.typesAndValues.filter(({ type }) => type === MAIL_ADDRESS).map(({ value }) => textOf(value));
  return [...alternative, ...directory, ...mails.map((value) => ({ form: FORM.mail, value }))];
}

function excludedFault(name: Name, excluded: readonly GeneralSubtree[]): string | undefined {
  const hit = excluded.some((subtree) => subtree.base.type === name.form && within(name, subtree.base) !== false);
  return hit ? `has a ${formText(name)} that is excluded` : undefined;
}

function permittedFault(name: Name, permitted: readonly GeneralSubtree[]): string | undefined {
  const ofForm = permitted.filter(({ base }) => base.type === name.form);
  if (ofForm.length === 0 || ofForm.some(({ base }) => within(name, base) === true)) return undefined;
  return `has a ${formText(name)} that is not permitted`;
}

const formText = ({ form }: Name): string => FORM_TEXT[form] ?? 'name of an unknown form';

/** Undefined when it cannot be told: then the name counts as excluded, and as not permitted. */
function within({ form, value }: Name, constraint: GeneralName): boolean | undefined {
  const base: unknown = constraint.value;
  switch (form) {
    case FORM.dns:
      return isText(value) && isText(base) ? domainWithin(value, base) : undefined;
    case FORM.mail:
      return isText(value) && isText(base) ? mailWithin(value, base) : undefined;
    case FORM.uri:
      return isText(value) && isText(base) ? uriWithin(value, base) : undefined;
    case FORM.address:
      return addressWithin(octets(value), octets(base));
    case FORM.directory:
      return isDirectory(value) && isDirectory(base) ? directoryWithin(value, base) : undefined;
    default:
      return undefined;
  }
}

const isText = (value: unknown): value is string => typeof value === 'string';

const isDirectory = (value: unknown): value is RelativeDistinguishedNames =>
  typeof value === 'object' && value !== null && 'typesAndValues' in value;

/** `bravo.example` permits itself and everything below it; a leading dot (not in the standard) only what is below. */
function domainWithin(name: string, base: string): boolean {
  const [lower, limit] = [name.toLowerCase(), base.toLowerCase()];
  if (limit === '') return true;
  return limit.startsWith('.') ? lower.endsWith(limit) : lower === limit || lower.endsWith(`.${limit}`);
}

/** A whole address, a host, or with a leading dot everything below a domain. */
function mailWithin(name: string, base: string): boolean | undefined {
  const at = name.lastIndexOf('@');
  if (at < 0) return undefined;
  const host = name.slice(at + 1).toLowerCase();
  if (base.includes('@')) {
    const split = base.lastIndexOf('@');
    return base.slice(0, split) === name.slice(0, at) && base.slice(split + 1).toLowerCase() === host;
  }
  return hostWithin(host, base);
}

function uriWithin(name: string, base: string): boolean | undefined {
  const host = URL.canParse(name) ? new URL(name).hostname.toLowerCase() : '';
  return host === '' || host.includes(':') || /^[\d.]+$/.test(host) ? undefined : hostWithin(host, base);
}

/** Mail and URI constraints name one host, or with a leading dot everything below a domain. */
function hostWithin(host: string, base: string): boolean {
  const limit = base.toLowerCase();
  return limit.startsWith('.') ? host.endsWith(limit) : host === limit || limit === '';
}

function octets(value: unknown): Uint8Array {
  const block = (value as { readonly valueBlock?: { readonly valueHexView?: Uint8Array } } | undefined)?.valueBlock; // an OCTET STRING of the library
  return block?.valueHexView ?? new Uint8Array();
}

/** Address and mask in the constraint (RFC 5280): 8 octets for IPv4, 32 for IPv6. */
function addressWithin(address: Uint8Array, base: Uint8Array): boolean | undefined {
  if (address.length === 0 || base.length === 0) return undefined;
  if (base.length !== 2 * address.length) return base.length === 8 || base.length === 32 ? false : undefined;
  return address.every((octet, i) => ((octet ^ (base[i] ?? 0)) & (base[address.length + i] ?? 0)) === 0);
}

/** The base is the beginning of the name, attribute by attribute. */
function directoryWithin(name: RelativeDistinguishedNames, base: RelativeDistinguishedNames): boolean {
  return base.typesAndValues.every((wanted, index) => {
    const part = name.typesAndValues[index];
    return (
      part !== undefined && part.type === wanted.type && normal(textOf(part.value)) === normal(textOf(wanted.value))
    );
  });
}

function textOf(value: { readonly valueBlock: unknown }): string {
  const text = (value.valueBlock as { readonly value?: unknown }).value; // a string type of ASN.1, or something else
  return typeof text === 'string' ? text : '';
}

/** RFC 5280 section 7.1, as far as people write names: case and runs of spaces do not matter. */
const normal = (text: string): string => text.normalize('NFKC').trim().replace(/ +/g, ' ').toLowerCase();
