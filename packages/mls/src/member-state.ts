import { zeroBytes } from '@norc/protocol/base';
import { createEpochKeys, type EpochKeys } from './epoch-keys.ts';
import type { KeySchedule } from './library.ts';
import { membersOf, type PublicGroup } from './public-group.ts';
import type { MlsSuite } from './suite.ts';

/** The secrets of one epoch that a member keeps beside its message keys. */
export interface EpochSecrets {
  readonly exporterSecret: Uint8Array;
  readonly confirmationKey: Uint8Array;
  readonly membershipKey: Uint8Array;
  readonly initSecret: Uint8Array;
  readonly epochAuthenticator: Uint8Array;
}

/** A member's place in one epoch. A commit makes the next one beside it; `confirm` chooses. */
export interface MemberState {
  readonly group: PublicGroup;
  readonly ownLeafIndex: number;
  /** HPKE private keys of the nodes that this member knows, by node index. */
  readonly privateKeys: ReadonlyMap<number, Uint8Array>;
  readonly secrets: EpochSecrets;
  readonly keys: EpochKeys;
}

/** From the library's key schedule. Consumes it: secrets without a use in the profile are erased. */
export async function createMemberState(
  suite: MlsSuite,
  group: PublicGroup,
  ownLeafIndex: number,
  privateKeys: ReadonlyMap<number, Uint8Array>,
  schedule: KeySchedule,
  encryptionSecret: Uint8Array,
): Promise<MemberState> {
  const { exporterSecret, confirmationKey, membershipKey, initSecret, epochAuthenticator } = schedule;
  zeroBytes(schedule.externalSecret, schedule.resumptionPsk); // no external commits, no resumption
  const keys = await createEpochKeys(
    suite,
    group.context,
    schedule.senderDataSecret,
    encryptionSecret,
    membersOf(group),
    group.hashed.tree.length,
  );
  const secrets = { exporterSecret, confirmationKey, membershipKey, initSecret, epochAuthenticator };
  return { group, ownLeafIndex, privateKeys, secrets, keys };
}

/**
 * Erases what one state holds and the other does not: with the epoch that was left as
 * the first, or with a commit that lost as the first. Message keys are not touched.
 */
export function eraseDifference(suite: MlsSuite, left: MemberState, kept: MemberState | undefined): void {
  const { exporterSecret, confirmationKey, membershipKey, initSecret } = left.secrets;
  zeroBytes(exporterSecret, confirmationKey, membershipKey, initSecret);
  for (const [node, key] of left.privateKeys) if (kept?.privateKeys.get(node) !== key) suite.kem.erase(key);
}

/** Drops the keys of nodes that are blank now: they open nothing that will come. */
export function livePrivateKeys(
  privateKeys: ReadonlyMap<number, Uint8Array>,
  group: Pick<PublicGroup, 'hashed'>,
): Map<number, Uint8Array> {
  const live = new Map<number, Uint8Array>();
  for (const [node, key] of privateKeys) if (group.hashed.tree[node] !== undefined) live.set(node, key);
  return live;
}
