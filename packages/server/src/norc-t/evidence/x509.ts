import { type EvidenceKind, sameBytes, toHex } from '@norc/protocol/base';
import {
  decodeX509Chain,
  type EvidenceMaterial,
  type EvidenceQuestion,
  type Finding,
  MATERIAL,
  type TrustAnchor,
  type X509Chain,
} from '@norc/protocol/norc-t';
import type { CertificateFetch } from './web-fetch.ts';
import { absent, type EvidenceWorld, failed, held } from './world.ts';
import { readCertificate, type X509 } from './x509/certificate.ts';
import { readChain, validatePath } from './x509/path.ts';
import { checkRevocation } from './x509/revocation.ts';
import { bindingFault, namesDomain } from './x509-binding.ts';

/**
 * X.509 as evidence (spec/evidence section 3): `organisation_identity` by a chain to any accepted anchor,
 * `pki_chain` by one to an anchor for PKI with one of its required policies.
 */

/** A chain of which nobody says whether it was revoked, where the policy accepts that. */
const UNKNOWN_WEIGHT = 0.5;
const CHAINS_MAX = 4;
const KINDS = ['organisation_identity', 'pki_chain'] as const satisfies readonly EvidenceKind[];

/** What one chain is worth under one anchor. */
type Verdict =
  | {
      readonly ok: true;
      readonly anchor: TrustAnchor;
      readonly weight: number;
      readonly until: number;
      readonly detail: string;
    }
  | {
      readonly ok: false;
      readonly anchor?: TrustAnchor;
      readonly detail: string;
      readonly misses?: true;
      readonly isRevoked?: true;
    };

interface CheckedChain {
  readonly hash: Uint8Array;
  readonly verdicts: readonly Verdict[];
}

export async function checkX509(world: EvidenceWorld, question: EvidenceQuestion): Promise<readonly Finding[]> {
  const now = world.clock.now();
  const material = question.material.filter(({ kind }) => kind === MATERIAL.x509Chain).slice(0, CHAINS_MAX);
  if (material.length === 0) return KINDS.map((kind) => absent(kind, now, 'no X.509 chain was sent'));
  const checked = await checkChains(world, question, material);
  return KINDS.map((kind) => findingOf(kind, question, checked, now));
}

/** `revoked`: somebody who may say so says that a certificate of a chain was revoked, whatever else holds. */
export interface ChainRecheck {
  readonly state: 'none' | 'held' | 'revoked' | 'failed';
  readonly detail: string;
}

/** The same checks, of chains that held before. */
export async function recheckX509(world: EvidenceWorld, question: EvidenceQuestion): Promise<ChainRecheck> {
  if (question.material.length === 0) return { state: 'none', detail: 'no X.509 chain is kept' };
  const verdicts = (await checkChains(world, question, question.material)).flatMap((one) => one.verdicts);
  const revoked = verdicts.find((one) => !one.ok && one.isRevoked === true);
  if (revoked !== undefined) return { state: 'revoked', detail: revoked.detail };
  const held = verdicts.find(({ ok }) => ok);
  if (held !== undefined) return { state: 'held', detail: held.detail };
  const telling = verdicts.find((one) => !one.ok && one.misses !== true) ?? verdicts[0];
  return { state: 'failed', detail: telling?.detail ?? 'the policy names no anchor' };
}

async function checkChains(
  world: EvidenceWorld,
  question: EvidenceQuestion,
  material: readonly EvidenceMaterial[],
): Promise<readonly CheckedChain[]> {
  const asking = { ...world, fetch: onceEach(world.fetch) };
  return await Promise.all(
    material.map(async ({ data }) => ({
      hash: world.crypto.blake3(data),
      verdicts: await verdictsOn(asking, question, data),
    })),
  );
}

/**
 * Nothing is fetched twice for one question. How much is fetched is bounded by its certificates: a few addresses for
 * each, a few seconds for each address. One budget for all would let a leaf use up what is needed to ask about its authority.
 */
function onceEach(fetch: CertificateFetch): CertificateFetch {
  const answers = new Map<string, Promise<Uint8Array | undefined>>();
  return (question) => {
    const key = `${question.address} ${toHex(question.post?.body ?? new Uint8Array())}`;
    const known = answers.get(key);
    if (known !== undefined) return known;
    const answer = fetch(question);
    answers.set(key, answer);
    return answer;
  };
}

async function verdictsOn(
  world: EvidenceWorld,
  question: EvidenceQuestion,
  data: Uint8Array,
): Promise<readonly Verdict[]> {
  const decoded = decodeX509Chain(data);
  if (!decoded.ok) return [{ ok: false, detail: `the material cannot be read (${decoded.error.detail})` }];
  const sent = decoded.value;
  const chain = readChain(sent.certificates);
  if (typeof chain === 'string') return [{ ok: false, detail: chain }];
  const fault = boundFault(chain, sent, question, world.clock.now());
  if (fault !== undefined) return [{ ok: false, detail: fault }];
  const verdicts: Verdict[] = [];
  for (const anchor of world.policy().anchors) verdicts.push(await verdictUnder(anchor, chain, sent, world));
  return verdicts.length > 0 ? verdicts : [{ ok: false, detail: 'the policy names no anchor' }];
}

/** Whose chain it is, before anybody is asked about it. */
function boundFault(
  chain: readonly X509[],
  sent: X509Chain,
  { peer }: EvidenceQuestion,
  now: number,
): string | undefined {
  const [leaf] = chain;
  const { binding } = sent;
  if (leaf === undefined) return 'there is no certificate';
  if (binding.domain !== peer.domain) return `the chain is bound to ${binding.domain}`;
  if (!sameBytes(binding.root_key, peer.root_key)) return 'the chain is bound to another root key';
  if (now >= binding.not_after) return 'the binding has expired';
  if (!namesDomain(leaf, peer.domain)) return `the first certificate (${leaf.name}) does not name ${peer.domain}`;
  return bindingFault(leaf, sent);
}

async function verdictUnder(
  anchor: TrustAnchor,
  chain: readonly X509[],
  sent: X509Chain,
  { clock, fetch, policy }: EvidenceWorld,
): Promise<Verdict> {
  const certificate = readCertificate(anchor.certificate);
  if (typeof certificate === 'string') return { ok: false, anchor, detail: `the anchor ${anchor.name} ${certificate}` };
  const now = new Date(clock.now());
  const valid = await validatePath(chain, { certificate, policies: anchor.policies, usages: anchor.usages ?? [] }, now);
  if (!valid.ok) {
    return { ok: false, anchor, detail: valid.reason, ...(valid.misses === true ? { misses: true as const } : {}) };
  }
  // Only now: a chain that leads nowhere makes nobody fetch anything.
  const stapled = { crls: sent.crls ?? [], ocsp: sent.ocsp ?? [] };
  const revocation = await checkRevocation(valid.path, stapled, {
    ...{ fetch, now, ageMillisecondsMax: policy().evidenceAgeMillisecondsMax },
    unknownEnds: anchor.revocationUnknown === 'fail',
  });
  if (revocation.kind === 'revoked') return { ok: false, anchor, detail: revocation.reason, isRevoked: true };
  if (revocation.kind === 'unknown' && anchor.revocationUnknown === 'fail') {
    return { ok: false, anchor, detail: `it is not known whether the chain was revoked: ${revocation.reason}` };
  }
  const ends = valid.path.map(({ parsed }) => parsed.notAfter.value.getTime());
  const until = Math.min(sent.binding.not_after, ...ends);
  const known = revocation.kind === 'good';
  const detail = `chain of ${valid.path.length} to ${anchor.name}; ${known ? 'not revoked' : `accepted although ${revocation.reason}`}`;
  return { ok: true, anchor, until, detail, weight: known ? 1 : UNKNOWN_WEIGHT };
}

/** Whether an anchor counts for a kind of evidence at a level. At nato, PKI means NATO's. */
function counts(kind: EvidenceKind, { purpose }: TrustAnchor, { level }: EvidenceQuestion): boolean {
  if (kind !== 'pki_chain') return true;
  return level === 'nato' ? purpose === 'nato' : purpose !== 'organisation';
}

function findingOf(
  kind: (typeof KINDS)[number],
  question: EvidenceQuestion,
  checked: readonly CheckedChain[],
  now: Finding['checkedAt'],
): Finding {
  const all = checked.flatMap(({ hash, verdicts }) => verdicts.map((verdict) => ({ hash, verdict })));
  const counting = all.filter(({ verdict: { anchor } }) => anchor === undefined || counts(kind, anchor, question));
  const good = counting.flatMap(({ hash, verdict }) => (verdict.ok ? [{ hash, verdict }] : []));
  const taken = bestOf(good);
  if (taken !== undefined) return held(kind, now, taken.detail, taken);
  // The most telling refusal: of an anchor that the chain does lead to.
  const refused = counting.find(({ verdict }) => !verdict.ok && verdict.misses !== true) ?? counting[0];
  const noAnchor = question.level === 'nato' ? 'the policy names no NATO anchor' : 'the policy names no anchor for PKI';
  const hash = refused?.hash ?? all[0]?.hash;
  const detail = refused?.verdict.detail ?? noAnchor;
  return failed(kind, now, detail, { method: 'x509', ...(hash === undefined ? {} : { hash }) });
}

interface Good {
  readonly hash: Uint8Array;
  readonly verdict: Verdict & { readonly ok: true };
}

/**
 * Each anchor adds and none takes away: NATO's method where one of its anchors holds, the highest weight that any gives.
 * Were only the weight looked at, an authority that is struck off the policy could leave more behind than there was.
 */
function bestOf(good: readonly Good[]) {
  const byWorth = good.toSorted(({ verdict: a }, { verdict: b }) => b.weight - a.weight || b.until - a.until);
  const [first] = byWorth;
  if (first === undefined) return undefined;
  const nato = byWorth.find(({ verdict }) => verdict.anchor.purpose === 'nato');
  const { hash, verdict } = nato ?? first;
  const { weight } = first.verdict;
  const isSame = verdict.weight === weight;
  return {
    ...{ hash, weight, method: nato === undefined ? 'x509' : 'nato' },
    expiresAt: isSame ? verdict.until : Math.min(verdict.until, first.verdict.until),
    detail: isSame ? verdict.detail : `${verdict.detail}; ${first.verdict.detail}`,
  };
}
