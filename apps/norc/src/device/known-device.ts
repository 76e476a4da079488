import { existsSync } from 'node:fs';
import type { DeviceRow } from '@norc/client';
import { openNodeStore, profilePath, type Unlock } from '@norc/client/platform/node';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';

/** A device whose certificate is stored. */
export type KnownDevice = DeviceRow & { readonly registration: NonNullable<DeviceRow['registration']> };

export function hasProfile(folder: string): boolean {
  return existsSync(profilePath(folder));
}

/** The device of a profile; undefined while its enrolment is not finished. Throws StoreError. */
export async function readDevice(folder: string, unlock: Unlock): Promise<KnownDevice | undefined> {
  const tools = { crypto: nodeCrypto, random: nodeRandom };
  const store = await openNodeStore({ path: profilePath(folder), unlock, create: false, ...tools });
  const device = await store.read.device().finally(() => store.close());
  return device?.registration === undefined ? undefined : { ...device, registration: device.registration };
}
