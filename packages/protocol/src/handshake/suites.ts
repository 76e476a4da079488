import { LIMITS, ok, type Result, reject, SUITES, type SuiteName } from '../base/index.ts';
import type { AeadName, HashName } from '../crypto/index.ts';

/**
 * Cipher suites (spec/handshake section 3). The registry's order is the order of
 * preference, for every server: nothing that a client sends can change it.
 */
export interface HybridSuite {
  readonly name: HybridSuiteName;
  readonly id: number;
  readonly aead: AeadName;
  /** Of HKDF and HMAC. Transcripts and the frame chain are BLAKE3 in every suite. */
  readonly hash: HashName;
}

type NameWithStatus<S extends string> = {
  [K in SuiteName]: (typeof SUITES)[K]['status'] extends S ? K : never;
}[SuiteName];
/** Suites that a session may use; the registry's `reserved` and `registration_only` ones are not among them. */
export type HybridSuiteName = NameWithStatus<'active'>;

const PREFERENCE: readonly HybridSuite[] = Object.values(SUITES).flatMap((suite) =>
  suite.status === 'active' ? [{ name: suite.name, id: suite.id, aead: suite.aead, hash: suite.hash }] : [],
);

export const HYBRID_SUITES: readonly HybridSuiteName[] = PREFERENCE.map(({ name }) => name);

/** `0x0101`: how a hello writes a suite. */
export function suiteText(suite: HybridSuite): string {
  return `0x${suite.id.toString(16).padStart(4, '0')}`;
}

/** The suites of these names, in the registry's order. Throws RangeError for an empty list: nothing could be negotiated. */
export function suitesOf(names: readonly HybridSuiteName[]): readonly HybridSuite[] {
  if (names.length === 0) throw new RangeError('at least one suite is needed');
  return PREFERENCE.filter(({ name }) => names.includes(name));
}

const FORM = /^0x[0-9a-f]{4}$/;

/**
 * A list that a peer sent: the usable suites in it. Others that are well formed are
 * ignored, so that new ones can be offered. Errors: malformed, limit_exceeded.
 */
export function parseSuiteList(texts: readonly string[]): Result<readonly HybridSuite[]> {
  if (texts.length === 0) return reject('malformed', 'suite list is empty');
  if (texts.length > LIMITS.suitesMax) return reject('limit_exceeded', 'suite list');
  if (!texts.every((text) => FORM.test(text))) return reject('malformed', 'suite');
  if (new Set(texts).size !== texts.length) return reject('malformed', 'suite listed twice');
  return ok(PREFERENCE.filter((suite) => texts.includes(suiteText(suite))));
}

/** The first of the registry's order that both sides have. Errors: no_compatible_suite. */
export function negotiateSuite(own: readonly HybridSuite[], peer: readonly HybridSuite[]): Result<HybridSuite> {
  const suite = PREFERENCE.find(({ id }) => own.some((one) => one.id === id) && peer.some((one) => one.id === id));
  return suite === undefined ? reject('no_compatible_suite', 'suite lists') : ok(suite);
}

/** The client's check of the server's choice [HS-12]. Errors: suite_downgrade, no_compatible_suite. */
export function checkChosenSuite(
  own: readonly HybridSuite[],
  peer: readonly HybridSuite[],
  chosen: string,
): Result<HybridSuite> {
  const best = negotiateSuite(own, peer);
  if (best.ok && suiteText(best.value) !== chosen) return reject('suite_downgrade', 'chosen suite');
  return best;
}
