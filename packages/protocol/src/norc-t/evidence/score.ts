import { type EvidenceKind, sameBytes } from '../../base/index.ts';
import type { Finding } from './findings.ts';

/**
 * The score of a partner (spec/norc-t section 3.4): whole points of 100, in six parts. It
 * never stands in for a kind of evidence that a level requires; it is asked for on top.
 */

export const SCORE_OF = {
  chain: 30,
  organisation: 20,
  domain_proof: 15,
  incidents: 15,
  compliance: 10,
  history: 10,
} as const;
export type ScorePartName = keyof typeof SCORE_OF;

/** What each incident costs, of the 15 points. */
export const SCORE_INCIDENT_POINTS = 5;
/** Days of trust that earn the whole of the history's points. */
export const SCORE_HISTORY_DAYS = 365;
/** Points of one recommendation of full weight; its weight falls by 0.95 with each hop. */
export const SCORE_RECOMMENDATION_POINTS = 5;
const PER_MILLE = 1000;
/** Methods by which a chain, and not a document, names an organisation. */
const CHAIN_METHODS: readonly string[] = ['x509', 'nato'];

/** What this side has seen of a partner itself. */
export interface PartnerRecord {
  /** Times that this side revoked or suspended trust with the partner. */
  readonly incidents: number;
  /** Whole days on which trust with the partner was in force. */
  readonly daysInForce: number;
}

export interface ScorePart {
  readonly name: ScorePartName;
  readonly points: number;
  readonly of: number;
  /** Why, for officers. */
  readonly detail: string;
}

export interface TrustScore {
  readonly total: number;
  readonly parts: readonly ScorePart[];
}

/** Pure. `held`: only findings that hold now [TRUST-71]. */
export function trustScore(held: readonly Finding[], record: PartnerRecord): TrustScore {
  const parts: readonly ScorePart[] = [
    weighed('chain', chains(held)),
    weighed('organisation', ofKind(held, 'organisation_identity')),
    weighed('domain_proof', ofKind(held, 'domain_proof')),
    incidents(record),
    weighed('compliance', ofKind(held, 'compliance')),
    history(record, ofKind(held, 'recommendation')),
  ];
  return { total: parts.reduce((sum, { points }) => sum + points, 0), parts };
}

/** `chain 0 of 30, history 2 of 10`: where the points are that a partner lacks. */
export function missingPoints({ parts }: TrustScore): string {
  return parts
    .filter(({ points, of }) => points < of)
    .map(({ name, points, of }) => `${name} ${points} of ${of}`)
    .join(', ');
}

/** Of a kind, and each piece of material once, for what it is worth at best: shown twice it is no second piece. */
function ofKind(held: readonly Finding[], kind: EvidenceKind): readonly Finding[] {
  const all = held.filter((finding) => finding.kind === kind).sort((a, b) => b.weight - a.weight);
  return all.filter(({ hash }, index) => !all.slice(0, index).some((other) => isSame(hash, other.hash)));
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && sameBytes(a, b);
}

/** A government or enterprise PKI chain, or the chain by which an accepted authority names the organisation. */
function chains(held: readonly Finding[]): readonly Finding[] {
  const named = ofKind(held, 'organisation_identity').filter(({ method = '' }) => CHAIN_METHODS.includes(method));
  return [...ofKind(held, 'pki_chain'), ...named];
}

/** The best one counts: the same thing shown twice is worth no more. */
function weighed(name: ScorePartName, findings: readonly Finding[]): ScorePart {
  const of = SCORE_OF[name];
  const [best] = [...findings].sort((a, b) => b.weight - a.weight);
  if (best === undefined) return { name, points: 0, of, detail: 'none that holds' };
  return { name, points: share(of, best.weight), of, detail: best.detail };
}

function share(of: number, weight: number): number {
  return Math.floor((of * perMille(weight)) / PER_MILLE);
}

function perMille(weight: number): number {
  return Math.min(PER_MILLE, Math.max(0, Math.round(weight * PER_MILLE)));
}

function incidents({ incidents: count }: PartnerRecord): ScorePart {
  const of = SCORE_OF.incidents;
  const points = Math.max(0, of - SCORE_INCIDENT_POINTS * count);
  return { name: 'incidents', points, of, detail: count === 0 ? 'none' : `${count} so far` };
}

function history({ daysInForce }: PartnerRecord, recommendations: readonly Finding[]): ScorePart {
  const of = SCORE_OF.history;
  const days = Math.min(daysInForce, SCORE_HISTORY_DAYS);
  const vouched = recommendations.reduce((sum, { weight }) => sum + SCORE_RECOMMENDATION_POINTS * perMille(weight), 0);
  const points = Math.min(of, Math.floor((of * days) / SCORE_HISTORY_DAYS + vouched / PER_MILLE));
  const detail = `${daysInForce} days of trust, ${recommendations.length} recommendations`;
  return { name: 'history', points, of, detail };
}
