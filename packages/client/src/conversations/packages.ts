import { type DeviceId, type Domain, domainOf, ok, type Result, reject, type UserAddress } from '@norc/protocol/base';
import type { AskFailure } from '../session/ask.ts';
import type { Problem } from '../timeline/causes.ts';
import type { EngineContext } from './context.ts';
import { mayOpenLater } from './dispositions.ts';

/** One device that may be added, its package verified. */
export interface ClaimedPackage {
  readonly user: UserAddress;
  readonly deviceId: DeviceId;
  readonly keyPackage: Uint8Array;
}

export interface ClaimedPackages {
  readonly packages: readonly ClaimedPackage[];
  /** Asked for, and without a device that may be added. The own user is never among them. */
  readonly unavailable: readonly UserAddress[];
}

/** `fate` as in AskFailure: what was lost is asked for again, which claims other packages. `org`, `problem`: as in EngineReject. */
export interface ClaimFailure extends Pick<AskFailure, 'fate' | 'code' | 'detail' | 'retryAfterMilliseconds'> {
  readonly org?: Domain;
  readonly problem?: Problem;
}

/**
 * Claims a KeyPackage of every device of these users but this one. What is offered is
 * checked one by one: a device that its organisation did not certify for this very
 * user is a ghost, is left out, and is reported.
 */
export async function claimPackages(
  ctx: EngineContext,
  users: readonly UserAddress[],
): Promise<Result<ClaimedPackages, ClaimFailure>> {
  const answer = await ctx.session.request('key_request', { users });
  if (!answer.ok) return answer;
  const packages: ClaimedPackage[] = [];
  for (const offered of answer.value.packages) {
    const claimed = { user: offered.user, deviceId: offered.device_id, keyPackage: offered.key_package };
    if (claimed.deviceId === ctx.self.deviceId) continue;
    const genuine = users.includes(claimed.user)
      ? await checkPackage(ctx, claimed)
      : reject('malformed', 'not asked for');
    if (genuine.ok) packages.push(claimed);
    else if (mayOpenLater(genuine.error.code)) return { ok: false, error: { fate: 'lost', ...genuine.error } };
    else warn(ctx, claimed.user);
  }
  const found = new Set(packages.map(({ user }) => user));
  const unavailable = users.filter((user) => !found.has(user) && user !== ctx.self.user);
  return ok({ packages, unavailable });
}

async function checkPackage(ctx: EngineContext, claimed: ClaimedPackage): Promise<Result<void>> {
  const info = await ctx.mls.verifyKeyPackage(claimed.keyPackage);
  if (!info.ok) return info;
  const { deviceId, user, org } = info.value.identity;
  const same = deviceId === claimed.deviceId && user === claimed.user && org === domainOf(user);
  return same ? ok(undefined) : reject('credential_invalid', 'KeyPackage of another device');
}

function warn(ctx: EngineContext, user: UserAddress): void {
  ctx.emit({ type: 'warning', warning: 'device_refused', problem: { cause: 'key.sender_unapproved', user } });
}
