import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { NorcClient, SessionFacts } from '@norc/client';
import { enrollWith } from '../device/enroll-device.ts';
import { connectDevice, openDevice } from '../device/open-device.ts';
import { unlockBySecretFile } from '../device/profile.ts';
import { profilePath } from './folder.ts';
import type { RunningSide } from './servers.ts';

/** One device of the demo, connected. */
export interface DemoDevice {
  /** `phone`, `laptop`: also the name of its profile folder, after the person's. */
  readonly name: string;
  readonly profile: string;
  readonly client: NorcClient;
  readonly facts: SessionFacts;
}

export interface DeviceOrder {
  readonly folder: string;
  readonly side: RunningSide;
  readonly person: string;
  readonly name: string;
}

/** What `norc user add`, `norc enroll USER` and `norc enroll CODE` do. */
export async function enrollDemoDevice({ folder, side, person, name }: DeviceOrder): Promise<DemoDevice> {
  const user = `${person}@${side.domain}`;
  await side.admin.post('/users', { user });
  const { code } = await side.admin.post<{ code: string }>('/enrolments', { user });
  const profile = profilePath(folder, `${person}-${name}`);
  await mkdir(dirname(profile), { recursive: true, mode: 0o700 });
  const unlock = await unlockBySecretFile(profile, `${profile}.key`);
  await enrollWith(profile, unlock, code, name);
  const client = await openDevice(profile, unlock);
  try {
    const facts = await connectDevice(client);
    await client.reachable();
    return { name, profile, client, facts };
  } catch (error) {
    await client.close();
    throw error;
  }
}
