import { nodeCrypto } from '@norc/crypto/node';
import { type KeyPair, signDocumentWith } from '@norc/protocol/crypto';
import {
  type ApprovalBody,
  draftApproval,
  draftOfficerCertificate,
  draftOfficerRevocation,
  type NewOfficer,
  type OfficerId,
  officerIdOf,
  type SignedApproval,
} from '@norc/protocol/norc-t';
import { TEST_EPOCH, type TestOrganisation, testKeyPair } from './organisations.ts';

const DAY_MS = 86_400_000;
const crypto = nodeCrypto;

/** An officer with a key, derived from organisation and name: the same in every run. */
export interface TestOfficer {
  readonly organisation: TestOrganisation;
  readonly keys: KeyPair;
  readonly officerId: OfficerId;
  /** Canonical JSON, signed by the organisation's root key. */
  readonly certificate: Uint8Array;
}

/** `changes.publicKey` certifies another key than the officer's own. */
export function testOfficer(
  organisation: TestOrganisation,
  name: string,
  changes: Partial<NewOfficer> = {},
  root: KeyPair = organisation.root,
): TestOfficer {
  const keys = testKeyPair(`${organisation.domain} officer ${name}`);
  const draft = draftOfficerCertificate(crypto, {
    org: organisation.domain,
    publicKey: keys.publicKey,
    roles: ['trust'],
    notBefore: TEST_EPOCH - DAY_MS,
    notAfter: TEST_EPOCH + 365 * DAY_MS,
    ...changes,
  });
  const certificate = signDocumentWith(crypto, draft, root).bytes;
  return { organisation, keys, officerId: officerIdOf(crypto, keys.publicKey), certificate };
}

/** An approval as the officer signs it at `TEST_EPOCH`; `changes` are signed too. */
export function testApproval(
  { organisation, keys, officerId, certificate }: TestOfficer,
  body: Pick<ApprovalBody, 'action' | 'subject'> & Partial<ApprovalBody>,
): SignedApproval {
  const draft = draftApproval({ org: organisation.domain, officer_id: officerId, approved_at: TEST_EPOCH, ...body });
  return { approval: signDocumentWith(crypto, draft, keys).bytes, certificate };
}

export function testOfficerRevocation(
  { organisation, officerId }: Pick<TestOfficer, 'organisation' | 'officerId'>,
  revokedAt: number,
  root: KeyPair = organisation.root,
): Uint8Array {
  const body = { officer_id: officerId, org: organisation.domain, reason: 'test', revoked_at: revokedAt };
  return signDocumentWith(crypto, draftOfficerRevocation(body), root).bytes;
}
