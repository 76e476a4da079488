import { type Domain, fromBase64Url, parseDomain } from '@norc/protocol/base';
import { parseDocument } from '@norc/protocol/crypto';
import { OFFICER_APPROVAL, type SignedApproval } from '@norc/protocol/norc-t';
import { type AdminInput, AdminInputError } from './router.ts';

const ACTOR = 'officer:admin-socket';

/** The approval of a request: `approval` and `certificate`, both base64url. Throws AdminInputError. */
export function signedApprovalOf(input: AdminInput): SignedApproval {
  return { approval: bytesOf(input, 'approval'), certificate: bytesOf(input, 'certificate') };
}

/** As `signedApprovalOf`, where a request may come without one. */
export function optionalApprovalOf(input: AdminInput): SignedApproval | undefined {
  return input.optionalText('approval') === undefined ? undefined : signedApprovalOf(input);
}

/** Who an approval says it is from, for the audit log: only what checks it makes that true. */
export function approvalActor({ approval }: SignedApproval): string {
  const parsed = parseDocument(OFFICER_APPROVAL, approval);
  return parsed.ok ? `officer:${parsed.value.body.officer_id}` : ACTOR;
}

export function peerOf(input: AdminInput): Domain {
  const peer = parseDomain(input.text('peer').toLowerCase());
  if (!peer.ok) throw new AdminInputError('peer is not a domain');
  return peer.value;
}

export function bytesOf(input: AdminInput, name: string): Uint8Array {
  const bytes = fromBase64Url(input.text(name));
  if (bytes === undefined) throw new AdminInputError(`${name} is not base64url`);
  return bytes;
}
