import {
  type ConversationId,
  type Domain,
  type Instant,
  instant,
  LABELS,
  type Label,
  type TrustLevel,
  type TrustReason,
  utf8,
} from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  atLeast,
  type CertificateId,
  compareLevels,
  comparePolicies,
  decideTrust,
  type GrantedLevel,
  labelAllowed,
  labelLevel,
  levelMaxFor,
  missingEvidence,
  type PolicyChange,
  pairLevel,
  type TrustFacts,
  type TrustPolicy,
  type VerifiedTrustCertificate,
} from '@norc/protocol/norc-t';
import { canonicalJson } from '@norc/protocol/wire';
import type { TrustDecidedRow } from '../../storage/port.ts';
import { type Replay, replayDecisions } from './policy-replay.ts';

/**
 * What a change of policy would do (spec/trust-policy section 5): pure, over the facts of
 * now and the decisions of the last days. Nothing here changes anything.
 */

/** All that a plan looks at. */
export interface PolicyFacts {
  readonly self: Domain;
  readonly now: Instant;
  /** Organisations with which there ever was a certificate. */
  readonly peers: readonly Domain[];
  /** Without the policy: a plan puts one and the other in its place. */
  readonly factsAbout: (peer: Domain) => TrustFacts;
  /** Certificates that we gave a partner and that are in force. */
  readonly givenTo: (peer: Domain) => readonly VerifiedTrustCertificate[];
  readonly conversations: readonly SharedConversation[];
  readonly exchanges: readonly OpenExchange[];
  /** Local users with a device that is not revoked. */
  readonly people: number;
  readonly decided: readonly TrustDecidedRow[];
}

/** A conversation that has members of other organisations. */
export interface SharedConversation {
  readonly conversation: ConversationId;
  readonly label: Label;
  readonly floor: GrantedLevel;
  readonly frozen: boolean;
  readonly organisations: readonly Domain[];
}

export interface OpenExchange {
  readonly exchangeId: string;
  readonly peer: Domain;
  readonly level: GrantedLevel;
}

export interface PartnerEffect {
  readonly peer: Domain;
  readonly effect: 'opens' | 'closes' | 'upgrades' | 'downgrades';
  readonly before: TrustLevel;
  readonly after: TrustLevel;
  /** The highest labels that the two may exchange; absent for none. */
  readonly labelBefore?: Label;
  readonly labelAfter?: Label;
  /** Why nothing passes afterwards. */
  readonly reason?: TrustReason;
}

export interface ConversationEffect {
  readonly conversation: ConversationId;
  readonly label: Label;
  /** `frozen`: trust with a partner ends. `held`: its messages wait. `allowed`: they may pass again. */
  readonly effect: 'frozen' | 'held' | 'allowed';
  readonly organisations: readonly Domain[];
  readonly reason?: TrustReason | 'below_floor';
}

export interface ExchangeEffect {
  readonly exchangeId: string;
  readonly peer: Domain;
  readonly level: GrantedLevel;
  /** Why it would be refused. */
  readonly why: string;
}

export interface RenewalEffect {
  readonly peer: Domain;
  readonly certificateId: CertificateId;
  readonly level: GrantedLevel;
  readonly notAfter: Instant;
  /** Why it could not be renewed as it is. */
  readonly why: string;
}

export interface PolicyPlan {
  readonly changes: readonly PolicyChange[];
  readonly partners: readonly PartnerEffect[];
  readonly conversations: readonly ConversationEffect[];
  /** Labels that may, or may not, be used inside the organisation any more. */
  readonly ownLabels: { readonly opened: readonly Label[]; readonly closed: readonly Label[] };
  readonly exchanges: readonly ExchangeEffect[];
  readonly renewals: readonly RenewalEffect[];
  readonly replay: Replay;
  readonly people: number;
  /** Whether anything could pass afterwards that cannot now. */
  readonly opens: boolean;
}

const LABEL_NAMES = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels

export function planPolicy(before: TrustPolicy, after: TrustPolicy, facts: PolicyFacts): PolicyPlan {
  const changes = comparePolicies(before, after);
  const pair = { before, after };
  const parts = {
    partners: facts.peers.flatMap((peer) => partnerEffect(pair, facts, peer)),
    conversations: facts.conversations.flatMap((one) => conversationEffect(pair, facts, one)),
    ownLabels: ownLabels(pair),
    exchanges: facts.exchanges.flatMap((one) => exchangeEffect(pair, one)),
    renewals: facts.peers.flatMap((peer) => renewalEffects(pair, facts, peer)),
    replay: replayDecisions(before, after, facts),
  };
  return { changes, ...parts, people: facts.people, opens: opensAnything(parts) };
}

interface Policies {
  readonly before: TrustPolicy;
  readonly after: TrustPolicy;
}

function opensAnything(parts: Pick<PolicyPlan, 'partners' | 'conversations' | 'ownLabels' | 'replay'>): boolean {
  return (
    parts.partners.some(isOpening) ||
    parts.conversations.some(({ effect }) => effect === 'allowed') ||
    parts.ownLabels.opened.length > 0 ||
    parts.replay.rows.some(({ effect }) => effect === 'allowed')
  );
}

function isOpening({ effect, labelBefore, labelAfter }: PartnerEffect): boolean {
  return effect === 'opens' || effect === 'upgrades' || orderOf(labelAfter) > orderOf(labelBefore);
}

const orderOf = (label: Label | undefined): number => (label === undefined ? -1 : LABELS[label].order);

/**
 * Names what a plan would open, for the approvals that rest on it [POLICY-31]: the loosening
 * changes, and whom and what they reach. What is merely counted is not in it, nor what closes.
 */
export function planHash(crypto: Crypto, plan: PolicyPlan): Uint8Array {
  const opened = {
    changes: plan.changes
      .filter(({ effect }) => effect === 'loosens')
      .map(({ path, sentence }) => `${path}: ${sentence}`),
    partners: plan.partners
      .filter(isOpening)
      .map(({ peer, after, labelAfter }) => `${peer} ${after} ${labelAfter ?? '-'}`),
    conversations: plan.conversations
      .filter(({ effect }) => effect === 'allowed')
      .map(({ conversation }) => conversation)
      .sort(),
    labels: plan.ownLabels.opened,
  };
  return crypto.blake3(new Uint8Array([...utf8('norc-policy-plan-v1'), ...canonicalJson(opened)]));
}

// ---- partners ----

function partnerEffect({ before, after }: Policies, facts: PolicyFacts, peer: Domain): readonly PartnerEffect[] {
  const was = standingUnder(before, facts, peer);
  const is = standingUnder(after, facts, peer);
  if (was.level === is.level && was.label === is.label) return [];
  return [
    {
      ...{ peer, effect: partnerWord(was, is), before: was.level, after: is.level },
      ...(was.label === undefined ? {} : { labelBefore: was.label }),
      ...(is.label === undefined ? {} : { labelAfter: is.label }),
      ...(is.reason === undefined ? {} : { reason: is.reason }),
    },
  ];
}

interface Standing {
  readonly level: TrustLevel;
  readonly label?: Label;
  readonly reason?: TrustReason;
}

function partnerWord(was: Standing, is: Standing): PartnerEffect['effect'] {
  if (was.level === 'untrusted') return 'opens';
  if (is.level === 'untrusted') return 'closes';
  const byLevel = compareLevels(is.level, was.level);
  return byLevel > 0 || (byLevel === 0 && orderOf(is.label) > orderOf(was.label)) ? 'upgrades' : 'downgrades';
}

function standingUnder(policy: TrustPolicy, { self, factsAbout }: PolicyFacts, peer: Domain): Standing {
  const known: TrustFacts = { ...factsAbout(peer), policy };
  const level = pairLevel(self, peer, known);
  const question = { local: self, remote: peer, direction: 'outgoing', permission: 'message_relay' } as const;
  const label = LABEL_NAMES.filter((one) => decideTrust({ ...question, label: one }, known).kind === 'allow')
    .sort((a, b) => orderOf(b) - orderOf(a))
    .at(0);
  const decision = decideTrust(question, known);
  return {
    level,
    ...(label === undefined ? {} : { label }),
    ...(level === 'untrusted' && decision.kind === 'deny' ? { reason: decision.reason } : {}),
  };
}

// ---- conversations ----

function conversationEffect(
  { before, after }: Policies,
  facts: PolicyFacts,
  shared: SharedConversation,
): readonly ConversationEffect[] {
  const { conversation, label, organisations } = shared;
  const was = firstRefusal(before, facts, shared);
  const is = firstRefusal(after, facts, shared);
  if ((was === undefined) === (is === undefined) && was?.ends === is?.ends) return [];
  const common = { conversation, label, organisations };
  if (is === undefined) return [{ ...common, effect: 'allowed' }];
  return [{ ...common, effect: is.ends ? 'frozen' : 'held', reason: is.reason }];
}

interface Refusal {
  readonly reason: TrustReason | 'below_floor';
  /** Trust itself ends, as by a revocation: not only this label, or for a while. */
  readonly ends: boolean;
}

/** Why the conversation's messages cannot pass, of the organisation where it is worst. */
function firstRefusal(
  policy: TrustPolicy,
  { self, factsAbout }: PolicyFacts,
  { label, floor, organisations }: SharedConversation,
): Refusal | undefined {
  const refusals = organisations.flatMap((remote) =>
    (['outgoing', 'incoming'] as const).flatMap((direction): readonly Refusal[] => {
      const question = { local: self, remote, direction, permission: 'message_relay', label } as const;
      const decision = decideTrust(question, { ...factsAbout(remote), policy });
      if (decision.kind === 'allow')
        return atLeast(decision.level, floor) ? [] : [{ reason: 'below_floor', ends: false }];
      return [{ reason: decision.reason, ends: !HOLDING.has(decision.reason) }];
    }),
  );
  return refusals.find(({ ends }) => ends) ?? refusals[0];
}

/** Reasons after which the conversation goes on by itself when they are gone; all others freeze it. */
const HOLDING: ReadonlySet<TrustReason> = new Set(['stale', 'permission', 'label', 'nato', 'size']);

// ---- the organisation itself ----

function ownLabels({ before, after }: Policies): PolicyPlan['ownLabels'] {
  const may = (policy: TrustPolicy, label: Label) =>
    atLeast(policy.ownLevel, labelLevel(policy, label)) && labelAllowed(label, policy.ownLevel, policy.ownNatoCapable);
  return {
    opened: LABEL_NAMES.filter((label) => !may(before, label) && may(after, label)),
    closed: LABEL_NAMES.filter((label) => may(before, label) && !may(after, label)),
  };
}

// ---- exchanges and renewals ----

function exchangeEffect({ before, after }: Policies, exchange: OpenExchange): readonly ExchangeEffect[] {
  const { peer, level } = exchange;
  const faultUnder = (policy: TrustPolicy) => {
    if (policy.blocked.has(peer)) return 'the policy blocks this organisation';
    const levelMax = levelMaxFor(policy, peer);
    return atLeast(levelMax, level) ? undefined : `the policy allows ${levelMax} at most`;
  };
  const why = faultUnder(after);
  return why === undefined || faultUnder(before) !== undefined ? [] : [{ ...exchange, why }];
}

function renewalEffects({ before, after }: Policies, facts: PolicyFacts, peer: Domain): readonly RenewalEffect[] {
  return facts.givenTo(peer).flatMap((certificate): readonly RenewalEffect[] => {
    const why = renewalFault(after, certificate);
    if (why === undefined || renewalFault(before, certificate) !== undefined) return [];
    const { certificateId, level, notAfter } = certificate;
    return [{ peer, certificateId, level, notAfter: instant(notAfter), why }];
  });
}

/** Why a certificate with this evidence could not be given again; the score is known only when it is computed anew. */
function renewalFault(policy: TrustPolicy, { subject, level, document }: VerifiedTrustCertificate): string | undefined {
  if (policy.blocked.has(subject)) return 'the policy blocks this organisation';
  const levelMax = levelMaxFor(policy, subject);
  if (!atLeast(levelMax, level)) return `the policy allows ${levelMax} at most`;
  const held = document.body.evidence.map(({ kind }) => kind);
  // Signatures are made anew at each renewal: they are no evidence that a certificate lacks.
  const missing = missingEvidence(policy, level, [...held, 'officer_approval', 'post_quantum_signature']);
  return missing.length === 0 ? undefined : `evidence is missing: ${missing.join(', ')}`;
}

// ---- the impact of one partner's level ----

export interface LevelImpact {
  readonly peer: Domain;
  readonly level: TrustLevel;
  /** Local users with an active device: those who could write to people of the partner. */
  readonly people: number;
  /** The highest label that the two could exchange; absent for none. */
  readonly label?: Label;
  readonly conversationsAllowed: number;
  readonly conversationsHeld: number;
  /** "31 people could exchange up to secret; 2 conversations become allowed." */
  readonly sentence: string;
}

/** What a level with a partner would mean, were it agreed now (screens of requests and of `trust show`). */
export function levelImpact(
  policy: TrustPolicy,
  { people, conversations }: Pick<PolicyFacts, 'people' | 'conversations'>,
  {
    peer,
    level: asked,
    natoCapable,
  }: { readonly peer: Domain; readonly level: GrantedLevel; readonly natoCapable: boolean },
): LevelImpact {
  const level = levelMaxFor(policy, peer);
  const counts = atLeast(level, asked) ? asked : level;
  const may = (label: Label) =>
    !policy.blocked.has(peer) && atLeast(counts, labelLevel(policy, label)) && labelAllowed(label, counts, natoCapable);
  const label = LABEL_NAMES.filter(may)
    .sort((a, b) => orderOf(b) - orderOf(a))
    .at(0);
  const shared = conversations.filter(({ organisations }) => organisations.includes(peer));
  const passes = (one: SharedConversation) => may(one.label) && atLeast(counts, one.floor);
  const allowed = shared.filter((one) => one.frozen && passes(one)).length;
  const held = shared.filter((one) => !passes(one)).length;
  return {
    ...{ peer, level: counts, people, conversationsAllowed: allowed, conversationsHeld: held },
    ...(label === undefined ? {} : { label }),
    sentence: impactSentence(people, label, allowed, held),
  };
}

function impactSentence(people: number, label: Label | undefined, allowed: number, held: number): string {
  if (label === undefined) return 'Nobody could exchange anything: the policy blocks this organisation.';
  const first = `${people} ${people === 1 ? 'person' : 'people'} could exchange up to ${label}`;
  const count = (number: number) => `${number} ${number === 1 ? 'conversation' : 'conversations'}`;
  const parts = [
    ...(allowed === 0 ? [] : [`${count(allowed)} ${allowed === 1 ? 'becomes' : 'become'} allowed`]),
    ...(held === 0
      ? []
      : [
          `${count(held)} ${held === 1 ? 'stays held, as its label or floor needs' : 'stay held, as their labels or floors need'} more`,
        ]),
  ];
  return `${[first, ...parts].join('; ')}.`;
}
