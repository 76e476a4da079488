import type { Clock, Domain, EvidenceKind, Instant } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import type { Finding, TrustPolicy } from '@norc/protocol/norc-t';
import type { Resolver } from '../../transport/port.ts';
import type { CertificateFetch } from './web-fetch.ts';

/** What checks of evidence ask of the world around them. */
export interface EvidenceWorld {
  /** Our own organisation: what it says of others tells it nothing new. */
  readonly self: Domain;
  readonly resolver: Resolver;
  /** Whether `resolver` has the domain's proof from the operator rather than from DNS. */
  readonly isStatic: (domain: Domain) => boolean;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly policy: () => TrustPolicy;
  /** Root key of an organisation that is trusted now; undefined for every other, also for one whose trust ended. */
  readonly rootKey: (domain: Domain) => Uint8Array | undefined;
  readonly fetch: CertificateFetch;
  /** A passing fault of a name service, for the log. */
  readonly onFault: (what: string, error: unknown) => void;
}

interface FindingParts {
  readonly hash?: Uint8Array;
  readonly method?: string;
  readonly expiresAt?: number | undefined;
}

export function held(
  kind: EvidenceKind,
  checkedAt: Instant,
  detail: string,
  { weight = 1, ...parts }: FindingParts & { readonly weight?: number },
): Finding {
  return { kind, result: 'held', weight, checkedAt, detail, ...given(parts) };
}

export function failed(kind: EvidenceKind, checkedAt: Instant, detail: string, parts: FindingParts): Finding {
  return { kind, result: 'failed', weight: 0, checkedAt, detail, ...given(parts) };
}

export function absent(kind: EvidenceKind, checkedAt: Instant, detail: string): Finding {
  return { kind, result: 'absent', weight: 0, checkedAt, detail };
}

function given({ hash, method, expiresAt }: FindingParts): Pick<Finding, 'hash' | 'method' | 'expiresAt'> {
  return {
    ...(hash === undefined ? {} : { hash }),
    ...(method === undefined ? {} : { method }),
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt as Instant }), // whole milliseconds since 1970
  };
}
