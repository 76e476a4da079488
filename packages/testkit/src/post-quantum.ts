import { nodeCrypto } from '@norc/crypto/node';
import { utf8 } from '@norc/protocol/base';
import {
  draftServerCertificate,
  type KeyPair,
  type ServerCertificateBody,
  type SignedDocument,
  signDocumentPostQuantumWith,
  signDocumentWith,
} from '@norc/protocol/crypto';
import type { Party } from '@norc/protocol/norc-t';
import { nobleMlDsa65 } from './noble-crypto.ts';
import type { TestOrganisation } from './organisations.ts';

/** The post-quantum keys of an organisation, derived from its domain: the same in every run. */
export interface TestPostQuantum {
  readonly root: KeyPair;
  readonly server: KeyPair;
  /** For the same Ed25519 server key, with the usage `trust` alone; signed by both root keys. */
  readonly certificate: SignedDocument<ServerCertificateBody>;
  /** The organisation with both certificates and the post-quantum root key. */
  readonly party: Party;
}

export function testPqKeyPair(name: string): KeyPair {
  return nodeCrypto.mlDsa65.keyPair(() => nodeCrypto.blake3(utf8(`test pq key ${name}`)));
}

/** `keys`: another name gives other post-quantum keys. */
export function testPostQuantum(
  organisation: TestOrganisation,
  changes: Partial<ServerCertificateBody> = {},
  keys: string = organisation.domain,
): TestPostQuantum {
  const root = testPqKeyPair(`${keys} root`);
  const server = testPqKeyPair(`${keys} server`);
  const draft = draftServerCertificate({
    ...organisation.certificate.body,
    usages: ['trust'],
    pq_public_key: server.publicKey,
    ...changes,
  });
  const certificate = signTestPq(signDocumentWith(nodeCrypto, draft, organisation.root), root);
  const party = {
    domain: organisation.domain,
    root_key: organisation.root.publicKey,
    server_certificates: [organisation.certificate.bytes, certificate.bytes],
    root_pq_key: root.publicKey,
  };
  return { root, server, certificate, party };
}

/** Deterministic, so that vectors come out the same: adds an ML-DSA-65 signature. */
export function signTestPq<T>(document: SignedDocument<T>, keys: KeyPair): SignedDocument<T> {
  return signDocumentPostQuantumWith(nodeCrypto, document, keys, nobleMlDsa65);
}

/** Both signatures of an organisation's server. */
export function signTestBoth<T>(
  document: SignedDocument<T>,
  organisation: TestOrganisation,
  pq: TestPostQuantum,
): SignedDocument<T> {
  return signTestPq(signDocumentWith(nodeCrypto, document, organisation.server), pq.server);
}
