import { type Domain, fromBase64, type Instant, ok, type Result, reject } from '@norc/protocol/base';
import {
  type Crypto,
  type PinnedOrg,
  rootKeyFingerprint,
  type VerifiedServerCertificate,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import { canonicalJson, isJsonObject, type JsonObject } from '@norc/protocol/wire';
import type { TransportPeer } from './transport.ts';

/** What the hello proved about the server: its key is certified by the organisation that was meant. */
export interface ServerEvidence {
  /** Ed25519; it signed this hello. */
  readonly publicKey: Uint8Array;
  readonly certificate: VerifiedServerCertificate;
  readonly pinned: PinnedOrg;
}

/** Checks a `server_certificate` and the rest of the server's hello. */
export type VerifyServer = (certificate: JsonObject, answer: JsonObject, now: Instant) => Result<ServerEvidence>;

/** For a device that is enrolled: the root key was pinned then. */
export function pinnedServer(crypto: Crypto, pinned: PinnedOrg): VerifyServer {
  return (certificate, _answer, now) => checkCertificate(crypto, certificate, pinned, now);
}

/**
 * For a device that is not: the enrolment code carries the fingerprint of the root
 * key, the server's hello the key itself [DEV-1].
 * Errors: certificate_invalid for another organisation or root key, and as for an enrolled device.
 */
export function fingerprintedServer(crypto: Crypto, org: Domain, rootFingerprint: Uint8Array): VerifyServer {
  return (certificate, answer, now) => {
    const organisation = readOrganisation(answer);
    if (organisation === undefined) return reject('certificate_invalid', 'organisation of the hello');
    const { domain, rootKey } = organisation;
    if (domain !== org) return reject('certificate_invalid', 'another organisation answers');
    // Before anything that the key signed is looked at: a key that is not the code's proves nothing.
    if (!crypto.equal(rootKeyFingerprint(crypto, rootKey), rootFingerprint)) {
      return reject('certificate_invalid', 'root key is not the one of the enrolment code');
    }
    return checkCertificate(crypto, certificate, { org, rootKey }, now);
  };
}

const ROOT_KEY_BYTES = 32;

/** Not verified: whoever answers says so. */
function readOrganisation(answer: JsonObject): { readonly domain: string; readonly rootKey: Uint8Array } | undefined {
  const organisation = answer['organisation'];
  if (organisation === undefined || !isJsonObject(organisation)) return undefined;
  const { domain, root_key: text } = organisation;
  const rootKey = typeof text === 'string' ? fromBase64(text) : undefined;
  return typeof domain === 'string' && rootKey?.length === ROOT_KEY_BYTES ? { domain, rootKey } : undefined;
}

function checkCertificate(crypto: Crypto, json: JsonObject, pinned: PinnedOrg, now: Instant): Result<ServerEvidence> {
  const certificate = verifyServerCertificate(crypto, canonicalJson(json), { pinned, usage: 'server', now });
  if (!certificate.ok) return certificate;
  return ok({ publicKey: certificate.value.publicKey, certificate: certificate.value, pinned });
}

/**
 * TLS is genuine when an authority says so, or when the organisation's own server
 * certificate names the key [DEV-2]. A person in the middle has neither.
 */
export function tlsIsGenuine(crypto: Crypto, peer: TransportPeer, certificate: VerifiedServerCertificate): boolean {
  const { tls } = peer;
  if (tls === undefined || tls.authorized) return true;
  return certificate.tlsSpkiSha256.some((pin) => crypto.equal(pin, tls.spkiSha256));
}
