import { LIMITS, ok, type Result, reject } from '../base/index.ts';

/**
 * Protocol versions and adjacent-major compatibility, AMC (spec/handshake section 2).
 * A version is negotiated only if both sides list it: nothing is ever guessed.
 */
export interface Version {
  readonly major: number;
  readonly minor: number;
}

/** A frame's first byte holds major and minor in four bits each. */
const NUMBER_MAX = 15;
const FORM = /^(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)$/;

/** What this project speaks, newest first. */
export const VERSION_2_0: Version = { major: 2, minor: 0 };
export const VERSION_1_2: Version = { major: 1, minor: 2 };
export const VERSION_1_1: Version = { major: 1, minor: 1 };
export const VERSION_1_0: Version = { major: 1, minor: 0 };
export const SUPPORTED_VERSIONS: readonly Version[] = [VERSION_2_0, VERSION_1_2];
/** A server that also lets the seed prototype's devices register. */
export const SUPPORTED_VERSIONS_WITH_LEGACY: readonly Version[] = [...SUPPORTED_VERSIONS, VERSION_1_1, VERSION_1_0];

/** 1.0 and 1.1 have no hybrid key exchange: they can register a device and nothing else [HS-22]. */
export function isRegistrationOnly(version: Version): boolean {
  return version.major === 1 && version.minor < 2;
}

export function versionText(version: Version): string {
  return `${version.major}.${version.minor}`;
}

/** Errors: malformed for anything but `major.minor`, two decimal numbers from 0 to 15 without leading zeros. */
export function parseVersion(text: string): Result<Version> {
  const match = FORM.exec(text);
  const version = { major: Number(match?.[1]), minor: Number(match?.[2]) };
  if (match === null || version.major > NUMBER_MAX || version.minor > NUMBER_MAX) return reject('malformed', 'version');
  return ok(version);
}

/** Numeric: negative when `a` is the older. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor;
}

declare const checked: unique symbol;
/** A list that keeps the rules of AMC [HS-5]: not empty, no version twice, at most two majors, and those adjacent. */
export type VersionList = readonly Version[] & { readonly [checked]: true };

/** Errors: malformed (empty, or a version twice), limit_exceeded, version_span. */
export function checkVersionList(versions: readonly Version[]): Result<VersionList> {
  if (versions.length === 0) return reject('malformed', 'version list is empty');
  if (versions.length > LIMITS.versionsMax) return reject('limit_exceeded', 'version list');
  if (new Set(versions.map(versionText)).size !== versions.length) return reject('malformed', 'version listed twice');
  if (newestMajor(versions) - oldestMajor(versions) > 1) return reject('version_span', 'version list');
  return ok(versions as VersionList); // checked just now
}

/** A list that a peer sent, as texts. Errors: as `parseVersion` and `checkVersionList`. */
export function parseVersionList(texts: readonly string[]): Result<VersionList> {
  const versions: Version[] = [];
  for (const text of texts) {
    const version = parseVersion(text);
    if (!version.ok) return version;
    versions.push(version.value);
  }
  return checkVersionList(versions);
}

export interface NegotiatedVersion {
  readonly version: Version;
  /** The major is not the newest that both sides have [HS-7]: shown to people and counted. */
  readonly compatibilityMode: boolean;
}

/**
 * The highest version that both lists hold, whatever their order.
 * Errors: no_compatible_version.
 */
export function negotiateVersion(own: VersionList, peer: VersionList): Result<NegotiatedVersion> {
  const common = own.filter((version) => contains(peer, version)).sort(compareVersions);
  const version = common.at(-1);
  if (version === undefined) return reject('no_compatible_version', 'version lists');
  const newest = Math.max(newestMajor(own), newestMajor(peer));
  return ok({ version, compatibilityMode: version.major !== newest });
}

export function contains(versions: readonly Version[], version: Version): boolean {
  return versions.some((one) => compareVersions(one, version) === 0);
}

/** Of a checked list. */
export function newestMajor(versions: readonly Version[]): number {
  return Math.max(...versions.map(({ major }) => major));
}

function oldestMajor(versions: readonly Version[]): number {
  return Math.min(...versions.map(({ major }) => major));
}

/** What this side remembers about a peer from earlier handshakes. */
export interface DowngradeMemory {
  /** The newest major that an authentic list of the peer has ever held; `undefined` before the first handshake. */
  readonly newestMajorSeen: number | undefined;
  /** A person decided that the peer may be older than it was, after a restore for instance. */
  readonly allowOlder: boolean;
}

/**
 * Call only with a list that a verified signature covers: else anybody could raise the alarm.
 * Errors: downgrade_refused.
 */
export function checkDowngrade(
  memory: DowngradeMemory,
  peer: VersionList,
): Result<{ readonly newestMajorSeen: number }> {
  const offered = newestMajor(peer);
  const seen = memory.newestMajorSeen ?? offered;
  if (offered < seen && !memory.allowOlder) return reject('downgrade_refused', 'newest major of the peer');
  return ok({ newestMajorSeen: offered < seen ? offered : Math.max(seen, offered) });
}
