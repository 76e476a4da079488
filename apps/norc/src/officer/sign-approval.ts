import { nodeClock, nodeCrypto } from '@norc/crypto/node';
import { type Domain, fromBase64Url, parseDomain, toBase64Url } from '@norc/protocol/base';
import { type PinnedOrg, signDocument } from '@norc/protocol/crypto';
import {
  type ApprovalAction,
  draftApproval,
  type OfficerId,
  officerIdOf,
  type SignedApproval,
  verifyApproval,
} from '@norc/protocol/norc-t';
import type { AdminClient } from '../admin-client.ts';
import { CommandError, EXIT } from '../command.ts';
import { readOrganisation } from '../commands/org.ts';
import { type OfficerKeySource, openOfficerKey } from './key.ts';

/** One officer as the admin interface tells it. */
export interface OfficerView {
  readonly officer_id: string;
  readonly roles: readonly string[];
  readonly state: 'in_office' | 'not_yet' | 'expired' | 'revoked';
  readonly not_before: number;
  readonly not_after: number;
  readonly revoked_at?: number;
  readonly reason?: string;
  readonly public_key: string;
  readonly certificate: string;
}

/** What an officer is about to sign. `subject`: computed here, from what was shown, never taken from the server. */
export interface ApprovalDraft {
  /** The organisation's folder: its public root key says which officer certificates are true. */
  readonly folder: string;
  readonly client: Pick<AdminClient, 'get'>;
  readonly action: ApprovalAction;
  readonly subject: Uint8Array;
  readonly peer?: Domain;
}

export interface OwnApproval {
  readonly officerId: OfficerId;
  readonly signed: SignedApproval;
  /** For the body of a request to the admin interface. */
  readonly fields: { readonly approval: string; readonly certificate: string };
}

/**
 * Signs with an officer's key, here, what was shown to the officer. The server gives no
 * more than the officer's certificate, which is checked like everybody else will check it.
 * Throws CommandError.
 */
export async function signApproval(source: OfficerKeySource, draft: ApprovalDraft): Promise<OwnApproval> {
  const pinned = await pinnedOrganisation(draft.folder);
  const { officers } = await draft.client.get<{ officers: readonly OfficerView[] }>('/officers');
  const signer = await openOfficerKey(source);
  try {
    const officerId = officerIdOf(nodeCrypto, signer.publicKey);
    const certificate = certificateOf(officers, officerId, source.keyFile);
    const { action, subject, peer } = draft;
    const about = { action, subject, ...(peer === undefined ? {} : { peer }) };
    const now = nodeClock.now();
    const body = { org: pinned.org, officer_id: officerId, approved_at: now, ...about };
    const { bytes } = await signDocument(nodeCrypto, draftApproval(body), signer);
    const signed = { approval: bytes, certificate };
    const checked = verifyApproval(nodeCrypto, signed, { ...about, pinned, now, role: roleFor(action) });
    if (!checked.ok) {
      const why = `Your signature would not count: ${checked.error.detail}.`;
      throw new CommandError(EXIT.noPermission, why, 'norc officer list');
    }
    const fields = { approval: toBase64Url(bytes), certificate: toBase64Url(certificate) };
    return { officerId, signed, fields };
  } finally {
    signer.close();
  }
}

/** A new root key is the matter of those who hold a share of that power. */
function roleFor(action: ApprovalAction) {
  return action === 'root_rotate' ? 'recovery' : 'trust';
}

function certificateOf(officers: readonly OfficerView[], officerId: OfficerId, keyFile: string): Uint8Array {
  const view = officers.find((one) => one.officer_id === officerId);
  const bytes = view === undefined ? undefined : fromBase64Url(view.certificate);
  if (bytes !== undefined) return bytes;
  throw new CommandError(
    EXIT.noPermission,
    `The key in ${keyFile} belongs to no officer of this organisation (${officerId}).`,
    'whoever holds the root key adds you: norc officer add REQUEST',
  );
}

/** Domain and root keys of the organisation, from its public key file. */
export async function pinnedOrganisation(folder: string): Promise<PinnedOrg & { readonly rootPqKey?: Uint8Array }> {
  const facts = await readOrganisation(folder);
  const org = parseDomain(facts.domain);
  const rootKey = fromBase64Url(facts.root_key);
  if (!org.ok || rootKey?.length !== 32)
    throw new CommandError(EXIT.badData, `The key files in ${folder} are damaged.`, 'Restore them from your backup.');
  const rootPqKey = facts.root_pq_key === undefined ? undefined : fromBase64Url(facts.root_pq_key);
  return { org: org.value, rootKey, ...(rootPqKey === undefined ? {} : { rootPqKey }) };
}
