import { type Clock, type Domain, ok, type Random, type Result, reject, sameBytes, toHex } from '@norc/protocol/base';
import {
  type Crypto,
  parseDocumentJson,
  SERVER_CERTIFICATE,
  type Signer,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import {
  type FederationFields,
  HYBRID_SUITES,
  type HybridSuite,
  readFederationFields,
  suitesOf,
  type TrustReference,
  type VersionList,
} from '@norc/protocol/handshake';
import type { JsonObject } from '@norc/protocol/wire';
import type { LinkTrust } from './link-trust.ts';

/** What a server says of itself in a link's hello, and how it checks what a peer says. */
export interface LinkIdentity {
  readonly domain: Domain;
  readonly signer: Signer;
  /** Our server certificate as JSON: part of every hello. */
  readonly certificate: JsonObject;
  readonly versions: VersionList;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly clock: Clock;
}

export const LINK_SUITES: readonly HybridSuite[] = suitesOf(HYBRID_SUITES);
export const LINK_CAPABILITIES: readonly string[] = ['relay', 'trust'];

/** What is known about the server at the other end. `trusted`: certified by the root key that trust pinned. */
export interface PeerEvidence {
  readonly domain: Domain;
  readonly publicKey: Uint8Array;
  readonly trusted: boolean;
}

export function ownFields(identity: LinkIdentity, trust: LinkTrust, peer: Domain): FederationFields {
  const references = trust.references(peer);
  const parties = { origin: identity.domain, destination: peer };
  return references === undefined
    ? parties
    : { ...parties, trust: { issued: references.given, held: references.received } };
}

/**
 * Checks the server at the other end. With trust in force: its certificate chains to
 * the pinned root key, its TLS key is one that the certificate names, and it acts on
 * the same two trust certificates. Without: it is a stranger, whose key signs what it
 * says on this link and nothing else; the trust exchange proves the rest itself.
 */
export function checkPeer(
  identity: LinkIdentity,
  trust: LinkTrust,
  json: JsonObject,
  expected: Domain | undefined,
  spkiHash: Uint8Array,
): Result<PeerEvidence> {
  const fields = readFederationFields(json);
  if (!fields.ok) return fields;
  const { origin, destination, certificate } = fields.value;
  if (destination !== identity.domain) return reject('forbidden', 'destination');
  if (origin === identity.domain || (expected !== undefined && origin !== expected))
    return reject('forbidden', 'origin');
  const pins = trust.pins(origin);
  const references = trust.references(origin);
  if (pins === undefined || references === undefined) return stranger(origin, certificate);
  if (fields.value.trust === undefined || !sameTrust(fields.value.trust, references))
    return stranger(origin, certificate);
  const document = parseDocumentJson(SERVER_CERTIFICATE, certificate);
  if (!document.ok) return document;
  const verified = verifyServerCertificate(identity.crypto, document.value, {
    pinned: { org: origin, rootKey: pins.rootKey },
    usage: 'server',
    now: identity.clock.now(),
  });
  if (!verified.ok) return verified;
  const tlsKeys = verified.value.tlsSpkiSha256.map(toHex);
  if (!tlsKeys.includes(toHex(spkiHash))) return reject('certificate_invalid', 'TLS key');
  return ok({ domain: origin, publicKey: verified.value.publicKey, trusted: true });
}

function stranger(domain: Domain, certificate: JsonObject): Result<PeerEvidence> {
  const document = parseDocumentJson(SERVER_CERTIFICATE, certificate);
  if (!document.ok) return document;
  return ok({ domain, publicKey: document.value.body.public_key, trusted: false });
}

/** The peer issued what we hold, and holds what we issued. */
function sameTrust(
  theirs: NonNullable<FederationFields['trust']>,
  ours: { readonly given: TrustReference; readonly received: TrustReference },
): boolean {
  return sameBytes(theirs.issued.hash, ours.received.hash) && sameBytes(theirs.held.hash, ours.given.hash);
}
