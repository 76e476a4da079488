import { join } from 'node:path';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { createNodeMlsProvider } from '@norc/mls/node';
import type { Result } from '@norc/protocol/base';
import { NorcClient } from '../../client.ts';
import type { NorcClientOptions } from '../../client-types.ts';
import { type Enrolled, type EnrolmentReject, type EnrolOptions, enrol } from '../../enrolment/enrol.ts';
import type { Timers } from '../../session/timers.ts';
import { openNodeStore } from './store.ts';
import type { Unlock, VaultTools } from './vault.ts';
import { type WebSocketTransportOptions, webSocketTransport } from './websocket.ts';

/** Node's timers. They never keep a process alive: an open connection does that. */
export const systemTimers: Timers = {
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Where the profile is, and what opens it. */
export interface NodeProfile {
  /** Made when it is missing, for its owner alone. */
  readonly profileFolder: string;
  readonly unlock: Unlock;
  /** Weaker than the default only in tests. */
  readonly vaultCost?: VaultTools['cost'];
}

type Configured = Pick<NorcClientOptions, 'versions' | 'allowOlderServer' | 'readReceipts' | 'policy'>;

export interface NodeClientOptions extends NodeProfile, WebSocketTransportOptions, Configured {}

export interface NodeEnrolOptions extends NodeProfile, WebSocketTransportOptions, Pick<NorcClientOptions, 'versions'> {
  readonly code: string;
  readonly deviceName: string;
}

/** The file inside a profile's folder. */
export function profilePath(profileFolder: string): string {
  return join(profileFolder, 'profile.norc');
}

const world = { crypto: nodeCrypto, random: nodeRandom, clock: nodeClock, timers: systemTimers };

/**
 * Opens the profile of an enrolled device; `connect` dials. Closing the client closes the
 * profile. Throws StoreError: `absent`, `wrong_passphrase`, `in_use`, ….
 */
export async function openNodeClient(options: NodeClientOptions): Promise<NorcClient> {
  const store = await openProfile(options, false);
  try {
    const transport = webSocketTransport(options);
    const mlsProvider = createNodeMlsProvider();
    return await NorcClient.open({ ...options, ...world, transport, mlsProvider, store, closeStore: true });
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}

/** Makes a profile, or goes on with one whose enrolment got no answer. Errors: as `enrol`. */
export async function enrolNodeDevice(options: NodeEnrolOptions): Promise<Result<Enrolled, EnrolmentReject>> {
  const store = await openProfile(options, true);
  try {
    const transport = webSocketTransport(options);
    const { versions, allowPlain, code, deviceName } = options;
    const more: Pick<EnrolOptions, 'versions' | 'allowPlain'> = {
      ...(versions === undefined ? {} : { versions }),
      ...(allowPlain === undefined ? {} : { allowPlain }),
    };
    return await enrol({ ...world, transport, store, code, deviceName, ...more });
  } finally {
    await store.close();
  }
}

function openProfile({ profileFolder, unlock, vaultCost }: NodeProfile, create: boolean) {
  const cost = vaultCost === undefined ? {} : { cost: vaultCost };
  return openNodeStore({
    path: profilePath(profileFolder),
    unlock,
    create,
    crypto: nodeCrypto,
    random: nodeRandom,
    ...cost,
  });
}
