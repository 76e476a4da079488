import { type Domain, type Instant, toBase64Url } from '@norc/protocol/base';
import { type Crypto, fingerprintText, rootKeyFingerprint } from '@norc/protocol/crypto';
import { actsOf, explainDecision, type RevocationAct, type Spread } from '@norc/protocol/norc-t';
import type { Store } from '../storage/port.ts';
import type { RevocationProgress } from './revocation/revocation-progress.ts';
import type { Standing } from './trust-facts.ts';
import type { TrustParts } from './trust-service.ts';

/** What officers see of trust, as plain objects for the admin interface. Times in milliseconds since 1970. */

export interface ViewContext {
  readonly parts: TrustParts;
  readonly crypto: Crypto;
  readonly store: Store;
  readonly now: Instant;
}

/** Everything that is known about one partner; undefined for somebody who was never one. */
export async function partnerDetails(context: ViewContext, peer: Domain): Promise<object | undefined> {
  const { parts, crypto, now } = context;
  const { board, party } = parts;
  const known = board.certificatesWith(peer).length > 0 || parts.exchanges.some((one) => one.peer === peer);
  if (!known) return undefined;
  const question = { local: party.domain, remote: peer, direction: 'outgoing', permission: 'message_relay' } as const;
  const decision = board.decide(question, now);
  const rootKey = board.knownRootKey(peer);
  const pair = board.pair(peer, now);
  const notAfter = pair === undefined ? undefined : Math.min(pair.given.notAfter, pair.received.notAfter);
  return {
    ...{ peer, self: party.domain, now },
    level: board.level(peer, now),
    reason: decision.kind === 'allow' ? 'in_force' : decision.reason,
    explanation: explainDecision(question, decision),
    root_fingerprint: rootKey === undefined ? undefined : fingerprintText(rootKeyFingerprint(crypto, rootKey)),
    not_after: notAfter,
    renews_at: pair === undefined || notAfter === undefined ? undefined : renewsAt(context, pair.given.level, notAfter),
    revocations_heard_at: board.heardAt(peer),
    given: board.standings(party.domain, peer, now).map((one) => certificateView(parts, one, now)),
    received: board.standings(peer, party.domain, now).map((one) => certificateView(parts, one, now)),
    statements: statementViews(context, peer),
    incidents: parts.incidents.of(peer),
    notices: parts.notices.of(peer).filter(({ kind }) => kind !== 'incident'),
    approvals: await approvalCount(context, peer),
    propagation: await lastPropagation(context, peer),
    figures: spreadView(await parts.propagation.figures()),
  };
}

function renewsAt(
  { parts }: ViewContext,
  level: keyof TrustParts['board']['policy']['levels'],
  notAfter: number,
): number {
  return notAfter - parts.board.policy.levels[level].renewBeforeDays * 86_400_000;
}

function certificateView({ board }: TrustParts, { certificate, standing }: Standing, now: Instant): object {
  const { certificateId, issuer, subject, notBefore, notAfter, natoCapable, permissions, limits } = certificate;
  const { body } = certificate.document;
  const said = board.chain(issuer).byCertificate.get(certificateId) ?? [];
  const isMet = (name: string) =>
    said.some((one) => one.action === 'condition_met' && one.condition === name && one.effective_at <= now);
  return {
    ...{ certificate_id: certificateId, issuer, subject, level: certificate.level, nato_capable: natoCapable },
    standing: standing.kind === 'revoked' ? `revoked by ${standing.by}` : standing.kind,
    level_now: standing.kind === 'in_force' ? standing.level : undefined,
    ...{ not_before: notBefore, not_after: notAfter, permissions: [...permissions], limits },
    conditions: certificate.conditions.map((one) => ({ ...one, met: isMet(one.name) })),
    evidence: body.evidence.map(({ kind, method, checked_at, expires_at }) => ({
      kind,
      method,
      checked_at,
      expires_at,
    })),
  };
}

/** Ours about the partner, and the partner's about us. */
function statementViews({ parts, now }: ViewContext, peer: Domain): readonly object[] {
  const { board, party } = parts;
  const ours = actsOf(board.chain(party.domain)).filter(({ subject }) => subject === peer);
  const theirs = actsOf(board.chain(peer)).filter(({ subject }) => subject === party.domain);
  return [...ours, ...theirs].sort((a, b) => a.issuedAt - b.issuedAt).map((act) => actView(act, now));
}

export function actView(act: RevocationAct, now: Instant): object {
  const { issuer, subject, action, reason, level, condition, issuedAt, effectiveAt, first, last } = act;
  return {
    ...{ issuer, subject, action, reason, level, condition, first, last },
    ...{ issued_at: issuedAt, effective_at: effectiveAt, held: effectiveAt > now },
  };
}

async function approvalCount({ store }: ViewContext, peer: Domain): Promise<readonly object[]> {
  const rows = await store.read.trustRecords('approval', peer);
  return rows.map(({ key, at }) => ({ hash: key, at }));
}

async function lastPropagation({ parts, now }: ViewContext, peer: Domain): Promise<object | undefined> {
  const last = parts.propagation.actsAbout(peer).at(-1);
  const progress = last === undefined ? undefined : await parts.propagation.progress(last);
  return progress === undefined ? undefined : progressView(progress, now);
}

export function progressView(progress: RevocationProgress, now: Instant): object {
  const { act, state, conversations, servers, spread } = progress;
  return {
    ...{ act: actView(act, now), sequence: act.last, state, now },
    deadline_at: progress.deadlineAt,
    refused_at: progress.refusedAt,
    links_cut_at: progress.linksCutAt,
    enforced_at: progress.enforcedAt,
    ...{ told_at: progress.toldAt, sessions_told: progress.sessionsTold },
    conversations: {
      ...{ total: conversations.total, frozen: conversations.frozen, removed: conversations.removed },
      each: conversations.conversations.map((one) => ({
        ...{ conversation: one.conversation, state: one.state, frozen_at: one.frozenAt, removed_at: one.removedAt },
        ...{ epoch_before: one.epochBefore, epoch_after: one.epochAfter },
      })),
    },
    servers: servers.map(({ peer, role, state: confirmed, confirmedAt, milliseconds, attempts, fault }) => ({
      ...{ peer, role, state: confirmed, confirmed_at: confirmedAt, milliseconds, attempts, fault },
    })),
    ...{ finished_at: progress.finishedAt, in_time: progress.inTime, completed_at: progress.completedAt },
    figures: spreadView(spread),
  };
}

function spreadView(spread: Spread | undefined): object | undefined {
  return spread === undefined ? undefined : { ...spread };
}

/** Organisations and what lies between them and us, for a picture. */
export function trustGraph({ parts, now }: ViewContext): object {
  const { board, party } = parts;
  const edges = board.peers().map((peer) => {
    const question = { local: party.domain, remote: peer, direction: 'outgoing', permission: 'message_relay' } as const;
    const decision = board.decide(question, now);
    const pair = board.pair(peer, now);
    return {
      peer,
      level: board.level(peer, now),
      state: decision.kind === 'allow' ? 'in_force' : decision.reason,
      not_after: pair === undefined ? undefined : Math.min(pair.given.notAfter, pair.received.notAfter),
    };
  });
  return { self: party.domain, now, edges };
}

/** Documents for an auditor: what `norc trust verify` checks without a server. */
export async function exportDocuments(context: ViewContext, peer: Domain): Promise<object> {
  const { parts, store, crypto } = context;
  const { board, party, propagation } = parts;
  const self = party.domain;
  const files: { readonly name: string; readonly document: string }[] = [];
  const add = (name: string, document: Uint8Array) => void files.push({ name, document: toBase64Url(document) });
  const servers = new Map<string, Uint8Array>();
  const parties = [party];
  for (const { certificateId, issuer, subject, document } of board.certificatesWith(peer)) {
    add(`certificates/${issuer}-to-${subject}-${certificateId}.json`, document.bytes);
    parties.push(document.body.issuer, document.body.subject);
  }
  const acks = await store.read.trustRecords('ack');
  const ackers = [...new Set(acks.map(({ peer: by }) => by))].filter((one) => one !== undefined);
  for (const acker of ackers)
    for (const one of board.certificatesWith(acker)) parties.push(one.document.body.issuer, one.document.body.subject);
  const roots = new Map(
    parties.map(({ domain, root_key }) => [`${domain} ${toBase64Url(root_key)}`, { domain, key: root_key }]),
  );
  for (const { domain, server_certificates } of parties) {
    for (const certificate of server_certificates)
      servers.set(`servers/${domain}-${toBase64Url(crypto.blake3(certificate)).slice(0, 12)}.json`, certificate);
  }
  for (const [name, certificate] of servers) add(name, certificate);
  for (const row of await store.read.trustRevocations()) {
    if (row.issuer === self || row.issuer === peer)
      add(`chains/${row.issuer}/${String(row.sequence).padStart(6, '0')}.json`, row.document);
  }
  const ours = new Set(propagation.actsAbout(peer).flatMap((last) => actNumbers(parts, last)));
  for (const { key, document } of acks) {
    const [issuer, sequence, by] = key.split(' ');
    const concerns = (issuer === self && ours.has(Number(sequence))) || issuer === peer;
    if (concerns) add(`acks/${issuer}-${String(sequence).padStart(6, '0')}-by-${by}.json`, document);
  }
  for (const { key, document } of await store.read.trustRecords('receipt', peer)) add(`receipts/${key}.json`, document);
  for (const { key, document } of await store.read.trustRecords('approval', peer))
    add(`approvals/${key}.json`, document);
  for (const { key, document } of await store.read.trustRecords('fork', peer))
    add(`forks/${key.replace(' ', '-')}.json`, document);
  return {
    ...{ self, peer },
    roots: [...roots.values()].map(({ domain, key }) => ({
      domain,
      root_key: toBase64Url(key),
      root_fingerprint: fingerprintText(rootKeyFingerprint(crypto, key)),
    })),
    files,
  };
}

function actNumbers({ board, party }: TrustParts, last: number): readonly number[] {
  const act = actsOf(board.chain(party.domain)).find((one) => one.last === last);
  return act === undefined ? [] : Array.from({ length: act.last - act.first + 1 }, (_, i) => act.first + i);
}
