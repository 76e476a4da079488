import { join } from 'node:path';
import type { NorcClient } from '@norc/client';
import { enrolNodeDevice, openNodeClient } from '@norc/client/platform/node';
import { LIMITS, type UserAddress } from '@norc/protocol/base';
import { serveParent } from './support/child-process.ts';
import { must } from './support/organisation.ts';

/*
 * A few real devices in a process of their own: the client library with its profile on
 * disk, its MLS engine and its TLS session, as people run it.
 */

/** A device may look keys up so often in one session; with a new session it may again. */
const CREATIONS_PER_SESSION = LIMITS.keyLookupsPerMinute - 2;
const unlock = { passphrase: 'of the bench' };

const folders = new Map<string, string>();
const clients = new Map<string, NorcClient>();

interface Enrolment {
  readonly name: string;
  readonly code: string;
  readonly folder: string;
}

async function enrol({ name, code, folder }: Enrolment): Promise<UserAddress> {
  const profileFolder = join(folder, name);
  folders.set(name, profileFolder);
  const enrolled = must(await enrolNodeDevice({ profileFolder, unlock, code, deviceName: 'bench' }));
  await connect(name);
  return enrolled.user;
}

async function connect(name: string): Promise<NorcClient> {
  await clients.get(name)?.close();
  const client = await openNodeClient({ profileFolder: folders.get(name) ?? '', unlock });
  client.on('fault', (fault) => console.error('device:', name, fault));
  client.connect();
  must(await client.ready());
  await client.reachable();
  clients.set(name, client);
  return client;
}

interface Creation {
  readonly name: string;
  readonly users: readonly UserAddress[];
  readonly count: number;
}

async function create({ name, users, count }: Creation): Promise<void> {
  let client = clients.get(name) ?? (await connect(name));
  for (let made = 0; made < count; made += 1) {
    if (made > 0 && made % CREATIONS_PER_SESSION === 0) client = await connect(name);
    must(await client.createConversation({ users, title: `conversation ${made}` }));
  }
}

/** How many conversations a device holds in which it can take part. */
async function open({ name }: { readonly name: string }): Promise<number> {
  const all = (await clients.get(name)?.conversations()) ?? [];
  return all.filter(({ standing }) => standing === 'open').length;
}

/** CPU of all devices so far. */
function usage(_: undefined): { readonly cpuMicros: number } {
  const { user, system } = process.cpuUsage();
  return { cpuMicros: user + system };
}

const handlers = { enrol, create, open, usage };
export type DeviceHandlers = typeof handlers;

serveParent(handlers, async () => {
  await Promise.all([...clients.values()].map((client) => client.close()));
});
