import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, fromBase64Url, sameBytes } from '@norc/protocol/base';
import { draftDocument, type PinnedOrg, parseDocument, type SignedDocument } from '@norc/protocol/crypto';
import {
  decodeRequestDescription,
  grantSubject,
  type RequestDescription,
  requestSubject,
  TRUST_CERTIFICATE,
  type TrustCertificateBody,
} from '@norc/protocol/norc-t';
import { CommandError, EXIT } from '../command.ts';

/**
 * What officers sign in a trust exchange, opened on their own machine (spec/officers section 6):
 * the hash that is signed, and everything that is shown of it, come from the documents
 * themselves, so that a lying server cannot get a signature for something else.
 */

export interface Grant {
  readonly subject: Uint8Array;
  readonly peerRootKey: Uint8Array;
  /** ML-DSA-65; absent where the other side has none. */
  readonly peerRootPqKey?: Uint8Array;
  /** What this side would sign about the peer, and the peer about this side. */
  readonly given: TrustCertificateBody;
  readonly received: TrustCertificateBody;
}

export interface GrantDocuments {
  readonly issued: string;
  readonly counterpart: string;
}

/** The own organisation as its public key file names it, both root keys. */
export type OwnOrganisation = PinnedOrg & { readonly rootPqKey?: Uint8Array };

/** Throws CommandError when the documents are not a pair between `own` and `peer`, at `level` where that is said. */
export function openGrant(documents: GrantDocuments, own: OwnOrganisation, peer: Domain, level?: string): Grant {
  const issued = certificateOf(documents.issued);
  const counterpart = certificateOf(documents.counterpart);
  const pair = [issued.body, counterpart.body];
  const given = pair.find(({ issuer, subject }) => issuer.domain === own.org && subject.domain === peer);
  const received = pair.find(({ issuer, subject }) => issuer.domain === peer && subject.domain === own.org);
  if (given === undefined || received === undefined) throw lie(`certificates between ${own.org} and ${peer}`);
  const [ours, theirs] = [
    [given.issuer, received.subject],
    [given.subject, received.issuer],
  ] as const;
  if (ours.some((party) => !sameBytes(party.root_key, own.rootKey) || !sameKey(party.root_pq_key, own.rootPqKey)))
    throw lie("certificates with this organisation's own root keys");
  const [one, other] = theirs;
  if (!sameBytes(one.root_key, other.root_key) || !sameKey(one.root_pq_key, other.root_pq_key))
    throw lie('the same root keys of the other side twice');
  if (!sameKey(one.recovery, other.recovery)) throw lie('the same recovery set of the other side twice');
  if (given.level !== received.level) throw lie('two certificates of one level');
  if (level !== undefined && given.level !== level) throw lie(`certificates of level ${level}`);
  const subject = grantSubject(nodeCrypto, { issued, counterpart });
  const second = one.root_pq_key === undefined ? {} : { peerRootPqKey: one.root_pq_key };
  return { subject, peerRootKey: one.root_key, ...second, given, received };
}

/** A second key that is there on one side alone is another one. */
function sameKey(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : sameBytes(a, b);
}

function certificateOf(text: string): SignedDocument<TrustCertificateBody> {
  const bytes = fromBase64Url(text);
  const parsed = bytes === undefined ? undefined : parseDocument(TRUST_CERTIFICATE, bytes);
  if (parsed?.ok !== true) throw lie('trust certificates');
  // What this program does not know it cannot show, and what is not shown is not signed.
  const { signingInput } = draftDocument(TRUST_CERTIFICATE, parsed.value.body);
  if (!sameBytes(signingInput, parsed.value.signingInput)) throw lie('trust certificates without unknown fields');
  return parsed.value;
}

export interface OpenedRequest {
  readonly subject: Uint8Array;
  readonly description: RequestDescription;
}

/** Throws CommandError when the document does not ask `peer` for trust at `level`. */
export function openRequest(text: string, peer: Domain, level: string): OpenedRequest {
  const bytes = fromBase64Url(text);
  const decoded = bytes === undefined ? undefined : decodeRequestDescription(bytes);
  if (decoded?.ok !== true) throw lie('a request');
  const description = decoded.value;
  if (description.peer !== peer || description.level !== level) throw lie(`a request to ${peer} for ${level}`);
  return { description, subject: requestSubject(nodeCrypto, description) };
}

function lie(expected: string): CommandError {
  const what = `The server gave something else to sign than ${expected}. Nothing was signed.`;
  return new CommandError(EXIT.badData, what, 'norc doctor; and tell whoever runs the server');
}
