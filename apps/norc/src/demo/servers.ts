import type { AdminClient } from '../admin-client.ts';
import { EXIT } from '../command.ts';
import { adminClientOf } from '../commands/shared.ts';
import { type ChildServer, ChildServerError, startChildServer } from '../server/child-server.ts';
import { freePorts, type Side, writeConfig } from './organisations.ts';

/** A side whose server runs. */
export interface RunningSide extends Side {
  readonly server: ChildServer;
  readonly admin: AdminClient;
}

export type Pair<T> = readonly [alpha: T, bravo: T];

const ATTEMPTS_MAX = 3;

/** Starts both servers. Another program may take one of the chosen ports first: then both try others. */
export async function startServers([alpha, bravo]: Pair<Side>): Promise<Pair<RunningSide>> {
  for (let attempt = 1; ; attempt += 1) {
    const [alphaPorts, bravoPorts] = await freePorts();
    await writeConfig(alpha, alphaPorts, bravo, bravoPorts);
    await writeConfig(bravo, bravoPorts, alpha, alphaPorts);
    const started = await Promise.allSettled(
      [alpha, bravo].map((side) => startChildServer(['--config', side.paths.config])),
    );
    const [first, second] = started;
    if (first?.status === 'fulfilled' && second?.status === 'fulfilled') {
      return [running(alpha, first.value), running(bravo, second.value)];
    }
    await Promise.all(started.map((one) => (one.status === 'fulfilled' ? one.value.stop() : undefined)));
    const cause: unknown = started.find((one) => one.status === 'rejected')?.reason;
    const isTaken = cause instanceof ChildServerError && cause.exitCode === EXIT.inUse;
    if (!isTaken || attempt === ATTEMPTS_MAX) throw cause;
  }
}

function running(side: Side, server: ChildServer): RunningSide {
  return { ...side, server, admin: adminClientOf(side.paths.organisation) };
}
