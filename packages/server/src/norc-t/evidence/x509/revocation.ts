import { type CertificateFetch, CRL_BYTES_MAX, OCSP_BYTES_MAX } from '../web-fetch.ts';
import { crlAddresses, ocspAddresses, type X509 } from './certificate.ts';
import { readCrl, type Word } from './crl.ts';
import { ocspRequest, readOcsp } from './ocsp.ts';
import { dayOf, placeOf } from './path.ts';

/** Whether certificates of a path were revoked: what the partner sent along, and what their issuers publish. */

/**
 * Of one certificate and one kind. Each certificate has its own: what one names, and how slow its addresses are, can
 * keep nobody from asking about another.
 */
const ADDRESSES_MAX = 2;

export interface Stapled {
  readonly crls: readonly Uint8Array[];
  readonly ocsp: readonly Uint8Array[];
}

export type RevocationResult =
  | { readonly kind: 'good' }
  | { readonly kind: 'revoked'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface RevocationWorld {
  readonly fetch: CertificateFetch;
  readonly now: Date;
  /** Up to this age, what was sent along stands for an issuer that does not answer. */
  readonly ageMillisecondsMax: number;
  /** Whether the chain is refused as soon as one certificate is not known: then nothing below it is asked about. */
  readonly unknownEnds: boolean;
}

/**
 * Asks about every certificate below the anchor, from the anchor downwards: who issued a certificate, and where it says that
 * one should ask, counts only when the issuer itself was not revoked. One valid word that it was revoked is
 * enough, whatever others say; what the partner sent along saves no lookup, since it may have kept an older answer.
 */
export async function checkRevocation(
  path: readonly X509[],
  stapled: Stapled,
  world: RevocationWorld,
): Promise<RevocationResult> {
  let unknown: string | undefined;
  for (let index = path.length - 2; index >= 0; index -= 1) {
    const [certificate, issuer] = [path[index], path[index + 1]];
    if (certificate === undefined || issuer === undefined) break;
    const said = await verdictOn(certificate, issuer, stapled, world);
    if (said.kind === 'revoked') return { kind: 'revoked', reason: `${placeOf(path, index)} ${said.reason}` };
    if (said.kind === 'unknown') unknown ??= `${placeOf(path, index)}: ${said.reason}`;
    if (unknown !== undefined && world.unknownEnds) break;
  }
  return unknown === undefined ? { kind: 'good' } : { kind: 'unknown', reason: unknown };
}

async function verdictOn(
  certificate: X509,
  issuer: X509,
  stapled: Stapled,
  world: RevocationWorld,
): Promise<RevocationResult> {
  const question = { certificate, issuer, now: world.now };
  const [sent, fetched] = await Promise.all([sentWords(question, stapled), fetchedWords(question, world.fetch)]);
  const words = [...sent, ...fetched];
  const revoked = words.find((word) => word.kind === 'revoked');
  if (revoked !== undefined) return { kind: 'revoked', reason: revokedText(revoked) };
  const whole = await Promise.all(words.map((word) => checkedResponder(word, issuer, stapled, world)));
  const answered = whole.slice(sent.length).some(({ kind }) => kind === 'good');
  const mustBeYoung = fetched.length > 0 && !answered;
  const good = whole.some((word) => word.kind === 'good' && !(mustBeYoung && isOld(word.saidAt, world)));
  if (good) return { kind: 'good' };
  const old = whole.some(({ kind }) => kind === 'good');
  const why = whyUnknown(whole);
  return { kind: 'unknown', reason: old ? `what was sent along is too old to stand alone; ${why}` : why };
}

const revokedText = ({ at, reason }: Word & { readonly kind: 'revoked' }): string =>
  `was revoked on ${dayOf(at)}, reason ${reason}`;

const isOld = (saidAt: Date, { now, ageMillisecondsMax }: RevocationWorld): boolean =>
  now.getTime() - saidAt.getTime() > ageMillisecondsMax;

/** A responder that its issuer does not exempt must itself not have been revoked; only lists can say so. */
async function checkedResponder(word: Word, issuer: X509, stapled: Stapled, world: RevocationWorld): Promise<Word> {
  if (word.kind !== 'good' || word.responder === undefined) return word;
  const question = { certificate: word.responder, issuer, now: world.now };
  const sent = await Promise.all(stapled.crls.map((der) => readCrl(der, question)));
  const fetched = await fetchedLists(question, world.fetch);
  const about = [...sent, ...fetched];
  if (about.some(({ kind }) => kind === 'revoked')) return unusable('the OCSP responder was revoked');
  const answered = fetched.some(({ kind }) => kind === 'good');
  const mustBeYoung = fetched.length > 0 && !answered;
  const good = about.some((one) => one.kind === 'good' && !(mustBeYoung && isOld(one.saidAt, world)));
  return good ? word : unusable('it is not known whether the OCSP responder was revoked');
}

function whyUnknown(words: readonly Word[]): string {
  // Several lists may be sent along, for several certificates: those that are not about this one need no word.
  const unusable = words.flatMap((word) => (word.kind === 'unusable' ? [word.why] : []));
  const about = unusable.filter((why) => !why.includes('another'));
  const reasons = about.length > 0 ? about : unusable;
  return reasons.length === 0 ? 'nothing says whether it was revoked' : [...new Set(reasons)].join('; ');
}

interface Question {
  readonly certificate: X509;
  readonly issuer: X509;
  readonly now: Date;
}

async function sentWords(question: Question, stapled: Stapled): Promise<readonly Word[]> {
  const words: Word[] = [];
  for (const der of stapled.ocsp) words.push(await readOcsp(der, question));
  for (const der of stapled.crls) words.push(await readCrl(der, question));
  return words;
}

/** All at once, so that one certificate takes no longer than the slowest of its addresses. */
async function fetchedWords(question: Question, fetch: CertificateFetch): Promise<readonly Word[]> {
  const { certificate, issuer } = question;
  const lists = fetchedLists(question, fetch);
  const responses = reachableFirst(ocspAddresses(certificate)).map(async (address) => {
    const body = await ocspRequest(certificate, issuer);
    const der = await fetch({ address, bytesMax: OCSP_BYTES_MAX, post: { type: 'application/ocsp-request', body } });
    return der === undefined ? unusable('the OCSP responder could not be fetched') : await readOcsp(der, question);
  });
  return [...(await lists), ...(await Promise.all(responses))];
}

function fetchedLists(question: Question, fetch: CertificateFetch): Promise<readonly Word[]> {
  const addresses = reachableFirst(crlAddresses(question.certificate));
  return Promise.all(
    addresses.map(async (address) => {
      const der = await fetch({ address, bytesMax: CRL_BYTES_MAX });
      return der === undefined ? unusable('the revocation list could not be fetched') : await readCrl(der, question);
    }),
  );
}

/** Many authorities name LDAP first, which is not spoken here; where that is all, nobody answers. */
function reachableFirst(addresses: readonly string[]): readonly string[] {
  const isWeb = (address: string) => /^https?:/i.test(address);
  return [...addresses.filter(isWeb), ...addresses.filter((one) => !isWeb(one))].slice(0, ADDRESSES_MAX);
}

const unusable = (why: string): Word => ({ kind: 'unusable', why });
