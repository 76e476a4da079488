import type { EvidenceKind, Instant } from '../../base/index.ts';
import type { EvidenceMaterial } from '../exchange/messages.ts';
import type { GrantedLevel } from '../levels.ts';
import type { Party } from '../party.ts';

/**
 * What one check of a partner gave (spec/norc-t section 3). Findings that hold become the
 * evidence of the certificate; all of them, with the reasons of those that do not, are
 * what officers see before they decide.
 */
export interface Finding {
  readonly kind: EvidenceKind;
  /** `absent`: the partner gave nothing to check. `failed`: what it gave does not hold. */
  readonly result: 'held' | 'failed' | 'absent';
  /** BLAKE3 of the material that was checked; absent when there was none. */
  readonly hash?: Uint8Array;
  /** How, e.g. `dns`, `https`, `static`, `x509`, `documents`. */
  readonly method?: string;
  /** How much of the kind's points it is worth, 0 to 1: a chain whose revocation is not known is worth less. */
  readonly weight: number;
  readonly checkedAt: Instant;
  /** When it holds no longer, whatever else happens. */
  readonly expiresAt?: Instant;
  /** One sentence for officers: what was found, or exactly what is wrong. No secrets, no names of people. */
  readonly detail: string;
}

/** What is to be checked about a partner; the server answers with findings, one or more for each kind that it can check. */
export interface EvidenceQuestion {
  readonly peer: Party;
  readonly level: GrantedLevel;
  /** What the partner sent along. Unknown kinds are ignored. */
  readonly material: readonly EvidenceMaterial[];
}
