import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, type Instant, instant, parseDomain, sameBytes } from '@norc/protocol/base';
import { documentHash, type SignedDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  defaultPolicy,
  draftAttestation,
  draftCompliance,
  draftRecommendation,
  type EvidenceMaterial,
  type EvidenceQuestion,
  encodeRecommendation,
  encodeStatement,
  type Finding,
  type GrantedLevel,
  MATERIAL,
  type RecommendationBody,
  type SignedStatement,
  type TrustAnchor,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import { type TestOrganisation, testOrganisation } from '@norc/testkit';
import type { EvidenceWorld } from './world.ts';
import { bindX509 } from './x509-binding.ts';

/** Fixtures and a world for tests of evidence; imported by tests only. fixtures/generate.sh makes the files. */

export const NOW: Instant = instant(Date.UTC(2030, 0, 1));
export const BRAVO = domainOf('bravo.example');
export const ALPHA = domainOf('alpha.example');
export const YEAR_MS = 365 * 86_400_000;
/** Of certificates of server keys, which live for little more than a year. */
export const SERVER_LIFE = { not_before: NOW - YEAR_MS / 12, not_after: NOW + YEAR_MS };
const BRAVO_ORG = testOrganisation('bravo.example', SERVER_LIFE);
const BRAVO_ROOT = BRAVO_ORG.root;
export const ROOT_KEY = BRAVO_ROOT.publicKey;
export const OTHER_KEY = nodeCrypto.ed25519.keyPair(() => new Uint8Array(32).fill(8)).publicKey;
/** Policies of the test authorities (RFC 5612 keeps this arc for examples). */
export const POLICY_1 = '1.3.6.1.4.1.32473.1.1';
export const POLICY_2 = '1.3.6.1.4.1.32473.1.2';

export function domainOf(text: string): Domain {
  const parsed = parseDomain(text);
  if (!parsed.ok) throw new RangeError(text);
  return parsed.value;
}

const file = (name: string): Buffer => readFileSync(new URL(`fixtures/${name}`, import.meta.url));
const PEM = /-----BEGIN CERTIFICATE-----([^-]+)-----END/g;

/** DER of a file of certificates, in its order. */
export function certificates(name: string): readonly Uint8Array[] {
  return [...file(`${name}.pem`).toString().matchAll(PEM)].map(([, text = '']) =>
    Uint8Array.from(Buffer.from(text, 'base64')),
  );
}

export const der = (name: string): Uint8Array => Uint8Array.from(file(name));
export const privateKey = (name: string) => createPrivateKey(file(`leaf-${name}.key`));

export function anchor(changes: Partial<TrustAnchor> & { readonly file?: string } = {}): TrustAnchor {
  const { file: name = 'root', ...rest } = changes;
  const [certificate = new Uint8Array()] = certificates(name);
  return { name: 'Test Root', certificate, purpose: 'pki', policies: [], revocationUnknown: 'accept', ...rest };
}

export interface ChainOptions {
  readonly key?: string;
  readonly domain?: Domain;
  readonly rootKey?: Uint8Array;
  readonly notAfter?: number;
  readonly crls?: readonly string[];
  readonly ocsp?: readonly string[];
}

/** Material of a chain of the fixtures, bound to bravo's key. */
export function chainMaterial(name: string, options: ChainOptions = {}): EvidenceMaterial {
  const { key = 'p256', domain = BRAVO, rootKey = ROOT_KEY, notAfter = NOW + YEAR_MS, crls = [], ocsp = [] } = options;
  const data = bindX509({
    certificates: certificates(`chain-${name}`),
    privateKey: privateKey(key),
    binding: { domain, root_key: rootKey, not_after: notAfter },
    ...(crls.length > 0 && { crls: crls.map((one) => der(`${one}.crl`)) }),
    ...(ocsp.length > 0 && { ocsp: ocsp.map((one) => der(`${one}.ocsp`)) }),
  });
  return { kind: MATERIAL.x509Chain, data };
}

export function question(
  material: readonly EvidenceMaterial[],
  changes: Partial<EvidenceQuestion> = {},
): EvidenceQuestion {
  const peer = { domain: BRAVO, root_key: ROOT_KEY, server_certificates: [] };
  return { peer, level: 'classified', material, ...changes };
}

/** A world in which nothing answers, but for what a test says. */
export function world(policy: Partial<TrustPolicy> = {}, changes: Partial<EvidenceWorld> = {}): EvidenceWorld {
  const whole = defaultPolicy(policy);
  return {
    self: ALPHA,
    resolver: {
      federationEndpoints: async () => [],
      trustTxt: async () => [],
      trustWellKnown: async () => undefined,
    },
    isStatic: () => false,
    crypto: nodeCrypto,
    clock: { now: () => NOW },
    policy: () => whole,
    rootKey: () => undefined,
    fetch: async () => undefined,
    onFault: () => undefined,
    ...changes,
  };
}

export function findingFor(findings: readonly Finding[], kind: Finding['kind']): Finding {
  const found = findings.find((one) => one.kind === kind);
  if (found === undefined) throw new RangeError(`no finding of kind ${kind}`);
  return found;
}

/** Replaces the only place where `from` stands. */
export function patched(bytes: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const at = bytes.findIndex((_, index) => sameBytes(bytes.subarray(index, index + from.length), from));
  if (at < 0) throw new RangeError('the bytes to replace are not there');
  const copy = Uint8Array.from(bytes);
  copy.set(to, at);
  return copy;
}

/** An organisation that we trust, and the one that evidence is about. */
export const TRUSTED = testOrganisation('trusted.example', SERVER_LIFE);
const STATEMENT_LIFE = { issued_at: NOW - 1, expires_at: NOW + YEAR_MS / 2 };

/** Statements about bravo: two by an organisation that we trust, and bravo's own about its devices. */
export function statementBy(
  kind: 'recommendation' | 'compliance' | 'attestation',
  subject: { readonly domain: Domain; readonly rootKey: Uint8Array } = { domain: BRAVO, rootKey: BRAVO_ROOT.publicKey },
): EvidenceMaterial {
  const about = { subject: subject.domain, root_key: subject.rootKey };
  switch (kind) {
    case 'recommendation': {
      const terms = { level: 'classified', hops: 1, ...about, ...STATEMENT_LIFE } as const;
      const document = draftRecommendation({ recommender: TRUSTED.domain, ...terms });
      return { kind: MATERIAL.recommendation, data: encodeRecommendation([signedBy(TRUSTED, document)]) };
    }
    case 'compliance': {
      const terms = { scheme: 'iso27001', scope: 'all of it', ...about, ...STATEMENT_LIFE };
      const document = draftCompliance({ stated_by: TRUSTED.domain, ...terms });
      return { kind: MATERIAL.compliance, data: encodeStatement(signedBy(TRUSTED, document)) };
    }
    case 'attestation': {
      const platforms = [
        { platform: 'ios', attested_percent: 100 },
        { platform: 'windows', attested_percent: 80 },
      ];
      const own = { org: BRAVO, root_key: BRAVO_ROOT.publicKey, policy: new Uint8Array(32) };
      const document = draftAttestation({ ...own, platforms, ...STATEMENT_LIFE });
      return { kind: MATERIAL.attestation, data: encodeStatement(signedBy(BRAVO_ORG, document)) };
    }
  }
}

/** Each organisation passes on what the next one says of bravo. */
export function recommendedBy(by: readonly TestOrganisation[], level: GrantedLevel = 'classified'): EvidenceMaterial {
  const statements: SignedStatement[] = [];
  let before: Pick<RecommendationBody, 'passes_on'> = {};
  for (const one of [...by].reverse()) {
    const body = { recommender: one.domain, subject: BRAVO, root_key: ROOT_KEY, level, hops: statements.length + 1 };
    const document = draftRecommendation({ ...body, ...STATEMENT_LIFE, ...before });
    statements.unshift(signedBy(one, document));
    const statement = documentHash(nodeCrypto, document);
    before = { passes_on: { recommender: one.domain, root_key: one.root.publicKey, statement } };
  }
  return { kind: MATERIAL.recommendation, data: encodeRecommendation(statements) };
}

function signedBy(by: TestOrganisation, document: SignedDocument<unknown>): SignedStatement {
  return { document: signDocumentWith(nodeCrypto, document, by.server).bytes, certificate: by.certificate.bytes };
}
