import { LABELS, type Label, ok, type Result, reject, type TrustLevel, toBase64Url, toHex } from '@norc/protocol/base';
import { fingerprintText } from '@norc/protocol/crypto';
import {
  type ApprovalQuestion,
  type ConditionRule,
  type Finding,
  GRANTED_LEVELS,
  type GrantedLevel,
  labelAllowed,
  missingEvidence,
  type TrustScore,
} from '@norc/protocol/norc-t';
import { activePeople } from '../norc-t/policy/policy-facts.ts';
import type { OrgNode } from '../org-node.ts';
import type { ExchangeApprovals, TrustRequestOptions, TrustSummary } from '../services.ts';
import { approvalActor, bytesOf, optionalApprovalOf, peerOf } from './officer-input.ts';
import { type AdminInput, AdminInputError, type AdminRoute } from './router.ts';

/** Whoever opens the admin socket has the server's account: the log says so much and no more. */
const ACTOR = 'officer:admin-socket';

/** How trust is asked for, looked at and decided about (docs/officers.md). */
export function negotiationRoutes(node: OrgNode): readonly AdminRoute[] {
  const { trust } = node;
  const get = (path: string, run: AdminRoute['run']): AdminRoute => ({ method: 'GET', path, run });
  const post = (path: string, run: AdminRoute['run']): AdminRoute => ({ method: 'POST', path, run });
  return [
    get('/trust', async () => ok({ partners: trust.summaries().map((one) => partnerView(node, one)) })),
    post('/trust/request', async (input) => await request(node, input)),
    post('/trust/request/draft', async (input) => draft(node, input)),
    get('/trust/question', async (input) => await question(node, input)),
    post('/trust/approve', async (input) => await approve(node, input)),
    post('/trust/decline', async (input) => {
      const signed = optionalApprovalOf(input);
      const actor = signed === undefined ? ACTOR : approvalActor(signed);
      return partner(node, await trust.decline(peerOf(input), actor, input.text('reason'), signed));
    }),
  ];
}

function draft({ trust }: OrgNode, input: AdminInput): Result<object> {
  const drafted = trust.draftRequest(peerOf(input), levelOf(input) ?? 'basic', requestOptions(input));
  if (!drafted.ok) return drafted;
  const { description, subject, signed } = drafted.value;
  return ok({ signed, description: toBase64Url(description), subject: toBase64Url(subject) });
}

async function request(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const peer = peerOf(input);
  const approval = optionalApprovalOf(input);
  const requested = approval === undefined ? {} : { requested: { approval, subject: bytesOf(input, 'subject') } };
  const actor = approval === undefined ? ACTOR : approvalActor(approval);
  const options = { ...requestOptions(input), ...requested };
  const started = await node.trust.request(peer, levelOf(input) ?? 'basic', actor, options);
  if (!started.ok) return started;
  const summary = node.trust.summaries().find((one) => one.peer === peer);
  return summary === undefined ? reject('internal', 'trust request') : ok(partnerView(node, summary));
}

function requestOptions(input: AdminInput): TrustRequestOptions {
  const days = input.optionalCount('days');
  const note = input.optionalText('note');
  const conditions = input.optionalText('conditions');
  return {
    ...(days === undefined ? {} : { days }),
    ...(note === undefined ? {} : { note }),
    ...(conditions === undefined ? {} : { conditions: conditions.split(',').map(conditionOf) }),
    ...(input.optionalText('nato_capable') === 'true' ? { natoCapable: true } : {}),
  };
}

const CONDITION = /^([^:,]{1,64}):([^:,]{1,64}):(\d{1,4}):(revoke|downgrade|notify)(?::([a-z]+))?$/;

/** `review:signed_review:30:downgrade:basic` */
function conditionOf(text: string): ConditionRule {
  const [, name, kind, days, act, to] = CONDITION.exec(text.trim()) ?? [];
  const action = (['revoke', 'downgrade', 'notify'] as const).find((one) => one === act);
  const level = GRANTED_LEVELS.find((one) => one === to);
  if (name === undefined || kind === undefined || action === undefined || (to !== undefined && level === undefined))
    throw new AdminInputError('a condition looks like NAME:KIND:DAYS:ACTION[:LEVEL]');
  if ((action === 'downgrade') !== (level !== undefined))
    throw new AdminInputError('downgrade, and only that, names the level from then on');
  return { name, kind, afterDays: Number(days), action, ...(level === undefined ? {} : { level }) };
}

function levelOf(input: AdminInput): GrantedLevel | undefined {
  const text = input.optionalText('level');
  const level = GRANTED_LEVELS.find((one) => one === text);
  if (text !== undefined && level === undefined)
    throw new AdminInputError('level is none of basic, verified, classified, nato');
  return level;
}

async function approve(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const signed = optionalApprovalOf(input);
  const level = levelOf(input);
  const options = { ...(signed === undefined ? {} : { signed }), ...(level === undefined ? {} : { level }) };
  const actor = signed === undefined ? ACTOR : approvalActor(signed);
  return partner(node, await node.trust.approve(peerOf(input), actor, options));
}

async function question(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const peer = peerOf(input);
  const asked = node.trust.question(peer);
  if (!asked.ok) return asked;
  const { level, natoCapable } = asked.value;
  const conversations = await node.store.read.conversationsWith(peer);
  const opens = { label: highestLabel(level, natoCapable), people: await activePeople(node.store) };
  return ok({ ...questionView(node, asked.value), opens: { ...opens, conversations: conversations.length } });
}

/** The highest label that the level would let pass. */
function highestLabel(level: TrustLevel, natoCapable: boolean): string {
  const labels = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels
  const allowed = labels.filter((label) => labelAllowed(label, level, natoCapable));
  return allowed.sort((a, b) => LABELS[a].order - LABELS[b].order).at(-1) ?? 'none';
}

function questionView({ trust }: OrgNode, asked: ApprovalQuestion): object {
  const { policy } = trust.parts.board;
  const held = asked.findings.filter(({ result }) => result === 'held').map(({ kind }) => kind);
  const missing = missingEvidence(policy, asked.level, held).filter((kind) => kind !== 'officer_approval');
  return {
    ...{ peer: asked.peer, level: asked.level, nato_capable: asked.natoCapable, missing },
    ...{ issued: toBase64Url(asked.issued), counterpart: toBase64Url(asked.counterpart) },
    subject: toHex(asked.subject),
    evidence: asked.findings.map(findingView),
    score: scoreView(asked.score, policy.levels[asked.level].scoreMin),
    ...{ signed: asked.signed, needed: asked.approvalsNeeded, approved_by: asked.approvedBy },
    ...{ requested_by: asked.requestedBy, note: asked.note },
  };
}

function findingView({ kind, result, method, weight, checkedAt, expiresAt, detail, hash }: Finding): object {
  const times = { checked_at: checkedAt, expires_at: expiresAt };
  return { kind, result, method, weight, detail, ...times, hash: hash === undefined ? undefined : toHex(hash) };
}

function scoreView({ total, parts }: TrustScore, min: number): object {
  return { total, min, parts: parts.map(({ name, points, of, detail }) => ({ name, points, of, detail })) };
}

function partner(node: OrgNode, outcome: Result<TrustSummary>): Result<object> {
  return outcome.ok ? ok(partnerView(node, outcome.value)) : outcome;
}

function partnerView({ trust }: OrgNode, summary: TrustSummary): object {
  const { peer, state, level, notAfter, rootFingerprint, explanation, evidence, score, scoreMin } = summary;
  const { approvals, requestedBy, waitsFor, exchangeId } = summary;
  const last = trust.parts.exchanges.findLast((one) => one.peer === peer)?.state;
  return {
    ...{ peer, state, level, explanation },
    not_after: notAfter,
    root_fingerprint: rootFingerprint === undefined ? undefined : fingerprintText(rootFingerprint),
    evidence: evidence?.map(findingView),
    score: score === undefined ? undefined : scoreView(score, scoreMin ?? 0),
    approvals: approvals === undefined ? undefined : approvalsView(approvals),
    requested_by: requestedBy,
    waits_for: waitsFor,
    exchange_id: exchangeId,
    refusal: last?.phase === 'ended' ? `${last.code}: ${last.reason}` : undefined,
  };
}

function approvalsView({ signed, needed, given, theirs, goodUntil }: ExchangeApprovals): object {
  return { signed, needed, given, theirs, good_until: goodUntil };
}
