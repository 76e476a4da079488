import { type ErrorName, type Instant, toHex } from '@norc/protocol/base';
import { type HybridSuiteName, versionText } from '@norc/protocol/handshake';
import type { LinkFacts } from './session-link.ts';

/** Where the connection to the home server is, for people and programs. */
export type SessionStatus =
  /** Not asked to connect, or closed. */
  | { readonly state: 'offline' }
  | { readonly state: 'connecting'; readonly failures: number }
  | { readonly state: 'ready'; readonly facts: SessionFacts }
  /** `code`: what went wrong, where somebody said. */
  | { readonly state: 'waiting'; readonly retryAt: Instant; readonly failures: number; readonly code?: ErrorName }
  /** Trying again cannot help: a person has to do something about `code`. */
  | { readonly state: 'stopped'; readonly code: ErrorName };

export interface SessionFacts {
  /** `2.0` */
  readonly version: string;
  readonly suite: HybridSuiteName;
  /** One side's newest major is not spoken: shown to people. */
  readonly compatibilityMode: boolean;
  /** First 8 bytes of the transcript hash in groups: equal on both sides of an undisturbed session. */
  readonly transcript: string;
}

const SHORT_BYTES = 8;

export function sessionFacts(facts: LinkFacts): SessionFacts {
  const hex = toHex(facts.transcriptHash.subarray(0, SHORT_BYTES));
  return {
    version: versionText(facts.version),
    suite: facts.suite.name,
    compatibilityMode: facts.compatibilityMode,
    transcript: (hex.match(/.{4}/g) ?? []).join(' '),
  };
}
