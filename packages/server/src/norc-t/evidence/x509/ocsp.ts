import { BasicOCSPResponse, CertID, type Certificate, OCSPRequest, OCSPResponse, type SingleResponse } from 'pkijs';
import { keyFault, signatureFault, strictEngine } from './algorithms.ts';
import { allowsUsage, extendedKeyUsages, KEY_USAGE, needsNoCheck, readCertificate, type X509 } from './certificate.ts';
import { reasonText, timeFaultOf, type Word } from './crl.ts';

/**
 * Answers of OCSP responders (RFC 6960). The library parses, and matches names and keys. Its chain engine
 * believes any response without looking at who signed it or when, and its own check of a responder goes by the
 * machine's clock and needs the authority's certificate inside the response; so both are decided here.
 */

const BASIC = '1.3.6.1.5.5.7.48.1.1';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const RESPONDERS_MAX = 4;
const RESPONSES_MAX = 32;
/** A response without an end is believed for this long. */
const LIFE_WITHOUT_END_MS = 86_400_000;
/** Clocks of two machines may differ by this much. */
const CLOCK_SKEW_MS = 300_000;

const unusable = (why: string): Word => ({ kind: 'unusable', why });

/** What a response says of `certificate`, which `issuer` issued. */
export async function readOcsp(
  der: Uint8Array,
  { certificate, issuer, now }: { readonly certificate: X509; readonly issuer: X509; readonly now: Date },
): Promise<Word> {
  const basic = parseResponse(der);
  if (basic === undefined) return unusable('an OCSP response cannot be read, or is a refusal');
  if (typeof basic === 'string') return unusable(basic);
  const algorithm = signatureFault(basic.signatureAlgorithm);
  if (algorithm !== undefined) return unusable(`an OCSP response ${algorithm}`);
  const single = await responseFor(basic, certificate, issuer);
  if (single === undefined) return unusable('an OCSP response is about another certificate');
  const responder = await responderOf(basic, issuer, now);
  if (responder === undefined) {
    return unusable('an OCSP response is not signed by the issuer or a responder that it appointed');
  }
  const { thisUpdate, nextUpdate } = single;
  if (thisUpdate.getTime() > now.getTime() + CLOCK_SKEW_MS) return unusable('an OCSP response is from the future');
  const until = nextUpdate ?? new Date(thisUpdate.getTime() + LIFE_WITHOUT_END_MS);
  if (until <= now) return unusable('an OCSP response is out of date');
  const word = statusOf(single, thisUpdate);
  return word.kind === 'good' && responder !== issuer && !needsNoCheck(responder) ? { ...word, responder } : word;
}

function parseResponse(der: Uint8Array): BasicOCSPResponse | string | undefined {
  try {
    const { responseStatus, responseBytes } = OCSPResponse.fromBER(Uint8Array.from(der));
    if (responseStatus.valueBlock.valueDec !== 0 || responseBytes?.responseType !== BASIC) return undefined;
    const bytes = Uint8Array.from(responseBytes.response.valueBlock.valueHexView);
    const time = timeFaultOf(bytes);
    return time === undefined ? BasicOCSPResponse.fromBER(bytes) : `an OCSP response has a date that is none (${time})`;
  } catch {
    return undefined;
  }
}

/** Serial number, name and key of the issuer must match. SHA-1 may name a certificate; it proves nothing here. */
async function responseFor(
  basic: BasicOCSPResponse,
  certificate: X509,
  issuer: X509,
): Promise<SingleResponse | undefined> {
  for (const single of basic.tbsResponseData.responses.slice(0, RESPONSES_MAX)) {
    if (await names(single.certID, certificate, issuer)) return single;
  }
  return undefined;
}

async function names(id: CertID, certificate: X509, issuer: X509): Promise<boolean> {
  try {
    const { name } = strictEngine.getAlgorithmByOID(id.hashAlgorithm.algorithmId, true) as { readonly name: string }; // throws when it is unknown
    const own = new CertID();
    await own.createForCertificate(
      certificate.parsed,
      { hashAlgorithm: name, issuerCertificate: issuer.parsed },
      strictEngine,
    );
    return id.isEqual(own);
  } catch {
    return false;
  }
}

/** RFC 6960 section 4.2.2.2: the issuer itself, or who has a certificate for this purpose by the issuer's own key. */
async function responderOf(basic: BasicOCSPResponse, issuer: X509, now: Date): Promise<X509 | undefined> {
  for (const responder of [issuer, ...(await appointed(basic, issuer, now))]) {
    const { tbsView } = basic.tbsResponseData;
    const { subjectPublicKeyInfo } = responder.parsed;
    const signed = await strictEngine
      .verifyWithPublicKey(Uint8Array.from(tbsView), basic.signature, subjectPublicKeyInfo, basic.signatureAlgorithm)
      .catch(() => false);
    if (signed) return responder;
  }
  return undefined;
}

async function appointed(basic: BasicOCSPResponse, issuer: X509, now: Date): Promise<readonly X509[]> {
  const found: X509[] = [];
  for (const parsed of (basic.certs ?? []).slice(0, RESPONDERS_MAX)) {
    const one = reread(parsed);
    if (one !== undefined && (await isAppointed(one, issuer, now))) found.push(one);
  }
  return found;
}

/** Through the same checks of form and key as every certificate. */
function reread(parsed: Certificate): X509 | undefined {
  if (keyFault(parsed.subjectPublicKeyInfo) !== undefined) return undefined;
  const one = readCertificate(new Uint8Array(parsed.toSchema().toBER()));
  return typeof one === 'string' ? undefined : one;
}

async function isAppointed(one: X509, issuer: X509, now: Date): Promise<boolean> {
  const { notBefore, notAfter, issuer: named } = one.parsed;
  if (now < notBefore.value || now > notAfter.value) return false;
  if (!extendedKeyUsages(one).includes(OCSP_SIGNING) || !allowsUsage(one, KEY_USAGE.digitalSignature)) return false;
  return named.isEqual(issuer.parsed.subject) && (await one.parsed.verify(issuer.parsed, strictEngine));
}

const STATUS = { good: 0, revoked: 1 } as const;

function statusOf({ certStatus }: SingleResponse, saidAt: Date): Word {
  const status = certStatus as RawStatus; // a context tag of the library
  switch (status.idBlock.tagNumber) {
    case STATUS.good:
      return { kind: 'good', saidAt };
    case STATUS.revoked: {
      const [at, reason] = Array.isArray(status.valueBlock.value) ? status.valueBlock.value : [];
      const code = reason?.valueBlock?.value?.[0]?.valueBlock?.valueDec ?? 0;
      return { kind: 'revoked', at: at?.toDate?.() ?? new Date(0), reason: reasonText(code) };
    }
    default:
      return unusable('the OCSP responder does not know the certificate');
  }
}

interface RawStatus {
  readonly idBlock: { readonly tagNumber: number };
  readonly valueBlock: {
    readonly value?: readonly {
      readonly toDate?: () => Date;
      readonly valueBlock?: { readonly value?: readonly { readonly valueBlock?: { readonly valueDec?: number } }[] };
    }[];
  };
}

/** A request for one certificate, in DER; without a nonce, so that responders may answer from their store. */
export async function ocspRequest(certificate: X509, issuer: X509): Promise<Uint8Array> {
  const request = new OCSPRequest();
  const options = { hashAlgorithm: 'SHA-1', issuerCertificate: issuer.parsed }; // what responders know; see `responseFor`
  await request.createForCertificate(certificate.parsed, options);
  return new Uint8Array(request.toSchema(true).toBER());
}
