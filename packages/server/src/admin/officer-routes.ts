import { ok, type Result, toBase64Url, toHex } from '@norc/protocol/base';
import type { OrgNode } from '../org-node.ts';
import type { OfficerView, ProposalView } from '../services.ts';
import { bytesOf, signedApprovalOf } from './officer-input.ts';
import { AdminInputError, type AdminRoute } from './router.ts';

export { approvalActor, optionalApprovalOf, signedApprovalOf } from './officer-input.ts';

const ACTOR = 'officer:admin-socket';

/**
 * What officers do through the admin socket. Opening it gives no officer's power: each
 * route takes something that the root key or an officer's own key has signed.
 */
export function officerRoutes(node: OrgNode): readonly AdminRoute[] {
  const { officers, proposals } = node;
  return [
    get('/officers', async () => ok({ officers: officers.list().map(officerView) })),
    post('/officers/add', async (input) => officer(await officers.add(bytesOf(input, 'certificate'), ACTOR))),
    post('/officers/revoke', async (input) => officer(await officers.revoke(bytesOf(input, 'revocation'), ACTOR))),
    get('/proposals', async () => ok({ proposals: proposals.list().map(proposalView) })),
    get('/proposals/document', async (input) => ok(documentOf(node, input.text('proposal')))),
    post('/proposals/approve', async (input) =>
      proposal(await proposals.approve(input.text('proposal'), signedApprovalOf(input))),
    ),
    post('/proposals/withdraw', async (input) => proposal(await proposals.withdraw(input.text('proposal'), ACTOR))),
  ];
}

const get = (path: string, run: AdminRoute['run']): AdminRoute => ({ method: 'GET', path, run });
const post = (path: string, run: AdminRoute['run']): AdminRoute => ({ method: 'POST', path, run });

function officer(outcome: Result<OfficerView>): Result<object> {
  return outcome.ok ? ok(officerView(outcome.value)) : outcome;
}

function officerView(view: OfficerView): object {
  const { officerId, publicKey, roles, state, notBefore, notAfter, revokedAt, reason, certificate } = view;
  return {
    ...{ officer_id: officerId, roles, state, not_before: notBefore, not_after: notAfter, reason },
    revoked_at: revokedAt,
    public_key: toBase64Url(publicKey),
    certificate: toBase64Url(certificate),
  };
}

function proposal(outcome: Result<ProposalView>): Result<object> {
  return outcome.ok ? ok(proposalView(outcome.value)) : outcome;
}

function proposalView(view: ProposalView): object {
  const { proposalId, action, peer, subject, needed, approvedBy, requestedBy, openedAt, expiresAt, state, refused } =
    view;
  return {
    ...{ proposal: proposalId, action, peer, needed, state, refused, subject: toHex(subject) },
    ...{ approved_by: approvedBy, requested_by: requestedBy, opened_at: openedAt, expires_at: expiresAt },
  };
}

function documentOf({ proposals }: OrgNode, proposalId: string): object {
  const found = proposals.list().find((one) => one.proposalId === proposalId);
  if (found === undefined) throw new AdminInputError('there is no such proposal');
  return { ...proposalView(found), document: toBase64Url(found.document) };
}
