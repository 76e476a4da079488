import { type Instant, ok, type Result, reject, sameBytes } from '@norc/protocol/base';
import { type Crypto, documentType, parseDocument, SERVER_CERTIFICATE, verifyDocument } from '@norc/protocol/crypto';
import {
  COMPLIANCE_STATEMENT,
  DEVICE_ATTESTATION_STATEMENT,
  decodeRecommendation,
  decodeStatement,
  decodeX509Chain,
  MATERIAL,
  type SignedStatement,
  type StatementSubject,
  TRUST_RECOMMENDATION,
} from '@norc/protocol/norc-t';
import { readChain } from './x509/path.ts';
import { bindingFault, namesDomain } from './x509-binding.ts';

/** What a piece of evidence about our own organisation is. */
export interface OwnStatement {
  readonly kind: (typeof MATERIAL)[keyof typeof MATERIAL];
  /** What makes it one of its kind: a later one with the same name takes its place. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly expiresAt: number;
}

export interface OwnContext {
  readonly crypto: Crypto;
  /** We. */
  readonly subject: StatementSubject;
  readonly now: Instant;
}

/**
 * Reads material about ourselves and checks everything that can be checked without trusting whoever stated it: that
 * it is about us and our root key, in date, and whole. Errors: evidence_rejected, and those of parsing.
 */
export function readOwnStatement(material: Uint8Array, context: OwnContext): Result<OwnStatement> {
  const chain = decodeX509Chain(material);
  if (chain.ok) return readOwnChain(material, context);
  const recommendation = decodeRecommendation(material);
  if (recommendation.ok) return readOwnRecommendation(recommendation.value, context);
  const statement = decodeStatement(material);
  if (!statement.ok) return reject('malformed', 'this is no evidence material that is known');
  const type = documentType(statement.value.document);
  if (!type.ok) return type;
  if (type.value === COMPLIANCE_STATEMENT.type) return readOwnCompliance(statement.value, context);
  if (type.value === DEVICE_ATTESTATION_STATEMENT.type) return readOwnAttestation(statement.value, context);
  return reject('malformed', `a document of type ${type.value} is no evidence`);
}

/** What kind of material this is, going by its form alone; what is nothing else is a document. */
export function kindOfMaterial(data: Uint8Array): string {
  if (decodeX509Chain(data).ok) return MATERIAL.x509Chain;
  if (decodeRecommendation(data).ok) return MATERIAL.recommendation;
  const statement = decodeStatement(data);
  const type = statement.ok ? documentType(statement.value.document) : statement;
  if (!type.ok) return MATERIAL.document;
  if (type.value === COMPLIANCE_STATEMENT.type) return MATERIAL.compliance;
  return type.value === DEVICE_ATTESTATION_STATEMENT.type ? MATERIAL.attestation : MATERIAL.document;
}

function readOwnChain(material: Uint8Array, { subject, now }: OwnContext): Result<OwnStatement> {
  const sent = decodeX509Chain(material);
  if (!sent.ok) return sent;
  const { binding, certificates } = sent.value;
  const chain = readChain(certificates);
  if (typeof chain === 'string') return reject('evidence_rejected', chain);
  const [leaf] = chain;
  if (leaf === undefined) return reject('evidence_rejected', 'there is no certificate');
  const about = aboutFault({ subject: binding.domain, root_key: binding.root_key }, subject);
  const unnamed = namesDomain(leaf, subject.domain)
    ? undefined
    : 'the first certificate does not name this organisation';
  const fault = about ?? unnamed ?? bindingFault(leaf, sent.value);
  if (fault !== undefined) return reject('evidence_rejected', fault);
  const expiresAt = Math.min(binding.not_after, ...chain.map(({ parsed }) => parsed.notAfter.value.getTime()));
  if (now >= expiresAt) return reject('evidence_rejected', 'the chain or its binding has expired');
  const title = `X.509 chain of ${chain.length}, ${leaf.name}`;
  return ok({ kind: MATERIAL.x509Chain, name: 'x509-chain', title, expiresAt });
}

function readOwnRecommendation(statements: readonly SignedStatement[], context: OwnContext): Result<OwnStatement> {
  const [first] = statements;
  if (first === undefined) return reject('evidence_rejected', 'the recommendation is empty');
  const ends: number[] = [];
  for (const statement of statements) {
    const parsed = parseDocument(TRUST_RECOMMENDATION, statement.document);
    if (!parsed.ok) return parsed;
    const { body } = parsed.value;
    const fault = statementFault(statement, { ...body, by: body.recommender }, context);
    if (fault !== undefined) return reject('evidence_rejected', fault);
    ends.push(body.expires_at);
  }
  const outer = parseDocument(TRUST_RECOMMENDATION, first.document);
  if (!outer.ok) return outer;
  const { recommender, level, hops } = outer.value.body;
  const title = `recommended up to ${level} by ${recommender}${hops > 1 ? `, over ${hops} hops` : ''}`;
  return ok({ kind: MATERIAL.recommendation, name: recommender, title, expiresAt: Math.min(...ends) });
}

function readOwnCompliance(statement: SignedStatement, context: OwnContext): Result<OwnStatement> {
  const parsed = parseDocument(COMPLIANCE_STATEMENT, statement.document);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  const fault = statementFault(statement, { ...body, by: body.stated_by }, context);
  if (fault !== undefined) return reject('evidence_rejected', fault);
  const name = `${body.stated_by}-${body.scheme.toLowerCase().replace(/[^a-z0-9-]/g, '_')}`;
  const title = `${body.scheme} stated by ${body.stated_by}`;
  return ok({ kind: MATERIAL.compliance, name, title, expiresAt: body.expires_at });
}

function readOwnAttestation(statement: SignedStatement, context: OwnContext): Result<OwnStatement> {
  const parsed = parseDocument(DEVICE_ATTESTATION_STATEMENT, statement.document);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  const fault = statementFault(statement, { ...body, subject: body.org, by: body.org }, context);
  if (fault !== undefined) return reject('evidence_rejected', fault);
  const shares = body.platforms.map((one) => `${one.platform} ${one.attested_percent} %`).join(', ');
  return ok({
    kind: MATERIAL.attestation,
    name: 'attestation',
    title: `devices attested: ${shares}`,
    expiresAt: body.expires_at,
  });
}

function statementFault(
  { document, certificate }: SignedStatement,
  body: { readonly by: string; readonly subject: string; readonly root_key: Uint8Array; readonly expires_at: number },
  { crypto, subject, now }: OwnContext,
): string | undefined {
  const about = aboutFault(body, subject);
  if (about !== undefined) return about;
  if (now >= body.expires_at) return 'the statement has expired';
  const signer = parseDocument(SERVER_CERTIFICATE, certificate);
  if (!signer.ok || signer.value.body.org !== body.by) return 'the certificate of the signer is another one’s';
  const kind = [TRUST_RECOMMENDATION, COMPLIANCE_STATEMENT, DEVICE_ATTESTATION_STATEMENT].find(
    (one) => parseDocument<unknown>(one, document).ok,
  );
  const parsed = kind === undefined ? undefined : parseDocument<unknown>(kind, document);
  // Whether the certificate leads to a root key that others trust is for them to find out.
  const signed = parsed?.ok === true && verifyDocument(crypto, parsed.value, signer.value.body.public_key).ok;
  return signed ? undefined : 'the statement is not signed by the key of its certificate';
}

function aboutFault(
  named: { readonly subject: string; readonly root_key: Uint8Array },
  { domain, rootKey }: StatementSubject,
): string | undefined {
  if (named.subject !== domain) return `it is about ${named.subject}`;
  return sameBytes(named.root_key, rootKey) ? undefined : 'it is about another root key than ours';
}
