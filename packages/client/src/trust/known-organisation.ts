import {
  type Domain,
  decodeUtf8,
  fromBase64Url,
  type Instant,
  instant,
  sameBytes,
  toBase64Url,
  utf8,
} from '@norc/protocol/base';
import type { GrantedLevel } from '@norc/protocol/norc-t';

/** What a device keeps of an organisation that its own trusts, or trusted. */
export interface KnownOrganisation {
  readonly org: Domain;
  /** As it was pinned first. */
  readonly rootKey: Uint8Array;
  readonly level: GrantedLevel;
  readonly natoCapable: boolean;
  readonly until: Instant;
  readonly notAfter: Instant;
  readonly checkedAt: Instant;
  /** Something changed that was not asked about yet. */
  readonly suspect: boolean;
  /** When this device heard that trust was over. */
  readonly endedAt?: Instant;
}

interface Kept {
  readonly rootKey: string;
  readonly level: GrantedLevel;
  readonly natoCapable?: boolean;
  readonly until?: number;
  readonly notAfter: number;
  readonly suspect?: boolean;
  readonly endedAt?: number;
}

export const knownKey = (org: Domain) => `org:${org}`;

/** Whether there is nothing to store: when it was asked about is of this run alone. */
export function sameKnown(a: KnownOrganisation, b: KnownOrganisation): boolean {
  return (
    a.level === b.level &&
    a.natoCapable === b.natoCapable &&
    a.until === b.until &&
    a.notAfter === b.notAfter &&
    a.suspect === b.suspect &&
    a.endedAt === b.endedAt &&
    sameBytes(a.rootKey, b.rootKey)
  );
}

/** Kept by this device for itself; after a restart it is asked anew, and this is what it falls back on. */
export function encodeKnown(known: KnownOrganisation): Uint8Array {
  const { rootKey, level, natoCapable, until, notAfter, suspect, endedAt } = known;
  const kept: Kept = { rootKey: toBase64Url(rootKey), level, natoCapable, until, notAfter, suspect };
  return utf8(JSON.stringify(endedAt === undefined ? kept : { ...kept, endedAt }));
}

export function decodeKnown(org: Domain, bytes: Uint8Array): KnownOrganisation {
  const value: Kept = JSON.parse(decodeUtf8(bytes) ?? '');
  const { level, natoCapable = false, until = 0, notAfter, suspect = false, endedAt } = value;
  const rootKey = fromBase64Url(value.rootKey) ?? new Uint8Array();
  const dates = { until: instant(until), notAfter: instant(notAfter), checkedAt: instant(0) };
  const ended = endedAt === undefined ? {} : { endedAt: instant(endedAt) };
  return { org, rootKey, level, natoCapable, ...dates, suspect, ...ended };
}
