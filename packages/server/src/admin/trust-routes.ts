import { nodeCrypto } from '@norc/crypto/node';
import { parseAuditEntry } from '@norc/protocol/audit';
import {
  type Domain,
  fromBase64Url,
  instant,
  ok,
  parseDomain,
  type Result,
  reject,
  toBase64Url,
} from '@norc/protocol/base';
import { GRANTED_LEVELS, REVOCATION_ACTIONS, type RevocationAction, type SignedApproval } from '@norc/protocol/norc-t';
import type { Ordered } from '../norc-t/revocation/revocation-service.ts';
import type { TrustOrder } from '../norc-t/revocation/trust-order.ts';
import { exportDocuments, partnerDetails, progressView, trustGraph } from '../norc-t/trust-view.ts';
import type { OrgNode } from '../org-node.ts';
import { type AdminInput, AdminInputError, type AdminRoute } from './router.ts';

/** Whoever opens the admin socket has the server's account: the log says so much and no more. */
const ACTOR = 'officer:admin-socket';
const HISTORY_PAGE = 500;
const HISTORY_LENGTH_MAX = 1000;
const HISTORY_TYPES = /^(trust_|revocation_|approval_|proposal_|root_|conversation_frozen|member_removed|policy_)/;

/** How trust ends, is lowered, comes back, and how that is watched (docs/commands.md). */
export function trustRoutes(node: OrgNode): readonly AdminRoute[] {
  const order = (path: string, action: RevocationAction): AdminRoute => ({
    method: 'POST',
    path,
    run: async (input) => await giveOrder(node, input, action),
  });
  return [
    { method: 'GET', path: '/trust/show', run: async (input) => await show(node, input) },
    { method: 'GET', path: '/trust/graph', run: async () => ok(trustGraph(await context(node))) },
    { method: 'GET', path: '/trust/history', run: async (input) => ok(await history(node, input)) },
    { method: 'GET', path: '/trust/progress', run: async (input) => await progress(node, input) },
    { method: 'GET', path: '/trust/receipts', run: async (input) => await receipts(node, input) },
    { method: 'GET', path: '/trust/export', run: async (input) => await exported(node, input) },
    order('/trust/revoke', 'revoke'),
    order('/trust/suspend', 'suspend'),
    order('/trust/downgrade', 'downgrade'),
    order('/trust/restore', 'restore'),
    order('/trust/condition-met', 'condition_met'),
    { method: 'POST', path: '/trust/order/draft', run: async (input) => draftOrder(node, input) },
    { method: 'POST', path: '/trust/renew', run: async (input) => await node.trust.renew(peerOf(input), ACTOR) },
  ];
}

async function context(node: OrgNode) {
  return { parts: node.trust.parts, crypto: nodeCrypto, store: node.store, now: node.trust.now };
}

async function show(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const details = await partnerDetails(await context(node), peerOf(input));
  return details === undefined ? reject('not_trusted', 'there was never trust with this organisation') : ok(details);
}

async function giveOrder(node: OrgNode, input: AdminInput, action: RevocationAction): Promise<Result<object>> {
  const outcome = await node.trust.order(orderOf(input, action), ACTOR, approvalOf(input));
  return outcome.ok ? ok(orderView(outcome.value)) : outcome;
}

/** What an officer who orders this would sign. */
function draftOrder(node: OrgNode, input: AdminInput): Result<object> {
  const action = REVOCATION_ACTIONS.find((one) => one === input.text('action'));
  if (action === undefined) throw new AdminInputError('action is none of an order');
  const drafted = node.trust.draftOrder(orderOf(input, action));
  if (!drafted.ok) return drafted;
  const { document, action: signs, signed } = drafted.value;
  return ok({ document: toBase64Url(document), action: signs, signed });
}

function orderOf(input: AdminInput, action: RevocationAction): TrustOrder {
  const effectiveAt = input.optionalCount('effective_at');
  const level = input.optionalText('level');
  const granted = GRANTED_LEVELS.find((one) => one === level);
  if (level !== undefined && granted === undefined)
    throw new AdminInputError('level is none of basic, verified, classified, nato');
  const condition = input.optionalText('condition');
  return {
    ...{ peer: peerOf(input), action, reason: input.text('reason') },
    ...(granted === undefined ? {} : { level: granted }),
    ...(condition === undefined ? {} : { condition }),
    ...(effectiveAt === undefined ? {} : { effectiveAt: instant(effectiveAt) }),
  };
}

function orderView(ordered: Ordered): object {
  if ('sequence' in ordered) return { sequence: ordered.sequence };
  const { proposalId, needed, approvedBy, expiresAt } = ordered.proposal;
  return { proposal: { proposal_id: proposalId, needed, approved: approvedBy.length, expires_at: expiresAt } };
}

function approvalOf(input: AdminInput): SignedApproval | undefined {
  const [approval, certificate] = [input.optionalText('approval'), input.optionalText('certificate')];
  if (approval === undefined && certificate === undefined) return undefined;
  const signed = { approval: fromBase64Url(approval ?? ''), certificate: fromBase64Url(certificate ?? '') };
  if (signed.approval === undefined || signed.certificate === undefined)
    throw new AdminInputError('approval and certificate belong together, in base64url');
  return { approval: signed.approval, certificate: signed.certificate };
}

async function progress(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const found = await node.trust.revocationProgress(input.optionalCount('sequence') ?? 0);
  return found === undefined
    ? reject('revocation_gap', 'no such statement of ours')
    : ok(progressView(found, node.trust.now));
}

async function receipts(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const found = await node.trust.receipts(input.optionalCount('sequence') ?? 0);
  return found === undefined ? reject('revocation_gap', 'no such statement of ours') : ok({ files: found });
}

async function exported(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const peer = peerOf(input);
  const known = node.trust.parts.board.certificatesWith(peer).length > 0;
  return known
    ? ok(await exportDocuments(await context(node), peer))
    : reject('not_trusted', 'there was never trust with this organisation');
}

/** The newest entries of the audit log about trust, with one partner where one is named; the oldest first. */
async function history(node: OrgNode, input: AdminInput): Promise<object> {
  await node.audit.flush();
  const peer = input.optionalText('peer') === undefined ? undefined : peerOf(input);
  const limit = Math.min(input.optionalCount('limit') ?? 100, HISTORY_LENGTH_MAX);
  const events: object[] = [];
  let before = (await node.store.read.auditHead())?.sequence ?? 0;
  while (before > 0 && events.length < limit) {
    const after = Math.max(0, before - HISTORY_PAGE);
    const rows = (await node.store.read.auditEntries(after, before - after)).toReversed();
    for (const { entry, sequence, type, time } of rows) {
      const parsed = HISTORY_TYPES.test(type) ? parseAuditEntry(entry) : undefined;
      if (parsed?.ok !== true) continue;
      const { actor, subject, outcome, detail } = parsed.value;
      const isAbout = peer === undefined || actor === `org:${peer}` || subject === `org:${peer}`;
      if (isAbout && events.length < limit) events.push({ sequence, time, type, actor, subject, outcome, detail });
    }
    before = after;
  }
  return { events: events.toReversed() };
}

function peerOf(input: AdminInput): Domain {
  const parsed = parseDomain(input.text('peer').toLowerCase());
  if (!parsed.ok) throw new AdminInputError(`peer is not one: ${parsed.error.detail}`);
  return parsed.value;
}
