import { type EvidenceKind, type Result, toHex } from '@norc/protocol/base';
import {
  decodeRecommendation,
  decodeStatement,
  type EvidenceMaterial,
  type EvidenceQuestion,
  type Finding,
  MATERIAL,
  type StatementView,
  type VerifiedRecommendation,
  verifyAttestation,
  verifyCompliance,
  verifyRecommendation,
} from '@norc/protocol/norc-t';
import { absent, type EvidenceWorld, failed, held } from './world.ts';

/** Signed statements: of third organisations about the partner, and of the partner about its devices (spec/evidence section 4). */

const STATEMENTS_MAX = 8;
const PERCENT = 100;

function viewOf({ self, clock, rootKey }: EvidenceWorld, { peer }: EvidenceQuestion): StatementView {
  return { self, subject: { domain: peer.domain, rootKey: peer.root_key }, now: clock.now(), rootKey };
}

const ofKind = ({ material }: EvidenceQuestion, kind: string): readonly EvidenceMaterial[] =>
  material.filter((one) => one.kind === kind).slice(0, STATEMENTS_MAX);

export function checkRecommendations(world: EvidenceWorld, question: EvidenceQuestion): readonly Finding[] {
  const { recommenders, blocked } = world.policy();
  const view = { ...viewOf(world, question), recommenders, blocked, level: question.level };
  const ways = new Map<Finding, VerifiedRecommendation>();
  const findings = each(world, question, ['recommendation', MATERIAL.recommendation], ({ data }, kind, hash) => {
    const decoded = decodeRecommendation(data);
    const checked = decoded.ok ? verifyRecommendation(world.crypto, decoded.value, view) : decoded;
    if (!checked.ok) return refused(kind, view, checked, hash);
    const { recommenders: chain, level, weight, expiresAt } = checked.value;
    const detail = `recommended up to ${level} by ${chain.join(', who passes on ')}`;
    const finding = held(kind, view.now, detail, { hash, method: 'statement', weight, expiresAt });
    ways.set(finding, checked.value);
    return finding;
  });
  return eachOnce(findings, ways);
}

/**
 * Of several recommendations, those of most weight count in which no organisation and no key comes that
 * counted before [EVID-37]: one voice is one voice, however often and over whomever it is heard.
 */
function eachOnce(
  findings: readonly Finding[],
  ways: ReadonlyMap<Finding, VerifiedRecommendation>,
): readonly Finding[] {
  const heard = new Set<string>();
  const repeated = new Set<Finding>();
  const best = [...ways].sort(([a], [b]) => b.weight - a.weight || (b.expiresAt ?? 0) - (a.expiresAt ?? 0));
  for (const [finding, { recommenders, rootKeys }] of best) {
    const voices = [...recommenders, ...rootKeys.map(toHex)];
    if (voices.some((one) => heard.has(one))) repeated.add(finding);
    else for (const one of voices) heard.add(one);
  }
  return findings.map((one) => {
    if (!repeated.has(one)) return one;
    const { kind, checkedAt, hash, detail } = one;
    const parts = { method: 'statement', ...(hash === undefined ? {} : { hash }) };
    return failed(kind, checkedAt, `${detail}: somebody in it counts already`, parts);
  });
}

export function checkCompliance(world: EvidenceWorld, question: EvidenceQuestion): readonly Finding[] {
  const view = { ...viewOf(world, question), rules: world.policy().compliance };
  return each(world, question, ['compliance', MATERIAL.compliance], ({ data }, kind, hash) => {
    const decoded = decodeStatement(data);
    const checked = decoded.ok ? verifyCompliance(world.crypto, decoded.value, view) : decoded;
    if (!checked.ok) return refused(kind, view, checked, hash);
    const { stated_by: by, scheme, expires_at: expiresAt } = checked.value.body;
    return held(kind, view.now, `${scheme} is stated by ${by}`, { hash, method: 'statement', expiresAt });
  });
}

export function checkAttestations(world: EvidenceWorld, question: EvidenceQuestion): readonly Finding[] {
  const view = viewOf(world, question);
  const least = world.policy().levels[question.level].attestedPercentMin;
  return each(world, question, ['device_attestation', MATERIAL.attestation], ({ data }, kind, hash) => {
    const decoded = decodeStatement(data);
    const checked = decoded.ok ? verifyAttestation(world.crypto, decoded.value, view) : decoded;
    if (!checked.ok) return refused(kind, view, checked, hash);
    const { body, leastPercent } = checked.value;
    const shares = body.platforms.map((one) => `${one.platform} ${one.attested_percent} %`).join(', ');
    const parts = { hash, method: 'statement', expiresAt: body.expires_at };
    const detail = `own statement: devices attested: ${shares}`;
    if (leastPercent < least) return failed(kind, view.now, `${detail}; the policy asks for ${least} %`, parts);
    return held(kind, view.now, detail, { ...parts, weight: leastPercent / PERCENT });
  });
}

/** A finding for each piece of material of a kind, or one that says that there was none. */
function each(
  { crypto, clock }: EvidenceWorld,
  question: EvidenceQuestion,
  [kind, materialKind]: readonly [EvidenceKind, string],
  check: (material: EvidenceMaterial, kind: EvidenceKind, hash: Uint8Array) => Finding,
): readonly Finding[] {
  const material = ofKind(question, materialKind);
  if (material.length === 0) return [absent(kind, clock.now(), 'nothing was sent')];
  return material.map((one) => check(one, kind, crypto.blake3(one.data)));
}

function refused(kind: EvidenceKind, { now }: StatementView, checked: Result<unknown>, hash: Uint8Array): Finding {
  const detail = checked.ok ? '' : checked.error.detail;
  return failed(kind, now, detail, { hash, method: 'statement' });
}
