import type { TrustLevel } from '@norc/protocol/base';
import { LEVELS } from '@norc/protocol/base';

/** Private-use identifiers of NORC's MLS profile (spec/mls-profile section 2). */
export const MLS_SUITE_ID = 0xf101;
/** KeyPackage extension (draft-ietf-mls-extensions): may be handed out more than once. */
export const EXTENSION_LAST_RESORT = 0x000a;
/** GroupContext extension: hub and trust floor of the conversation. */
export const EXTENSION_CONVERSATION = 0xf100;

export const GROUP_ID_BYTES = 16;
export const SIGNATURE_KEY_BYTES = 32;
export const CERTIFICATES_MAX = 4;
/** Bounds the tree that a peer can make us build: 4,096 leaves. */
export const TREE_NODES_MAX = 8191;
export const PROPOSALS_MAX = 2048;
export const EXTERNAL_SENDERS_MAX = 4;

/** How far a KeyPackage's lifetime may begin before it was made, so that a slow clock accepts it. */
export const LIFETIME_SKEW_SECONDS = 3600;

/** Keys of skipped messages that are kept, per sender: the hub orders, so few are ever needed. */
export const SKIPPED_KEYS_MAX = 32;

/** What is kept of the past for messages that come late (spec/mls-profile section 8). */
export interface Retention {
  readonly epochsRetained: number;
  readonly forwardRatchetMax: number;
}

export type GroupLevel = Exclude<TrustLevel, 'untrusted'>;
export type RetentionPolicy = Readonly<Record<GroupLevel, Retention>>;

export const DEFAULT_RETENTION: RetentionPolicy = LEVELS;

/** Throws RangeError for a policy that would keep nothing or everything: the operator's mistake, named. */
export function checkRetention(policy: RetentionPolicy): RetentionPolicy {
  for (const [level, { epochsRetained, forwardRatchetMax }] of Object.entries(policy)) {
    if (level === 'untrusted') continue;
    if (!Number.isInteger(epochsRetained) || epochsRetained < 1 || epochsRetained > 16) {
      throw new RangeError(`epochsRetained of ${level} is not 1 to 16`);
    }
    if (!Number.isInteger(forwardRatchetMax) || forwardRatchetMax < 1 || forwardRatchetMax > 10_000) {
      throw new RangeError(`forwardRatchetMax of ${level} is not 1 to 10000`);
    }
  }
  return policy;
}
