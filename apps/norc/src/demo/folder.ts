import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Domain } from '@norc/protocol/base';
import { organisationPaths } from '@norc/server';
import { AdminClient } from '../admin-client.ts';
import { CommandError, EXIT } from '../command.ts';

/** Says that a folder was made by a demo and may be made anew by the next one. */
const MARKER = 'norc-demo.json';

/** Everything of one organisation's side in the demo's folder. */
export interface SidePaths {
  readonly config: string;
  /** Of the configuration. */
  readonly data: string;
  /** Of the organisation, in the data folder. */
  readonly organisation: string;
  readonly log: string;
}

export function sidePaths(folder: string, domain: Domain): SidePaths {
  const side = join(folder, domain.split('.')[0] ?? domain);
  const data = join(side, 'data');
  return { config: join(side, 'norc.toml'), data, organisation: join(data, domain), log: join(side, 'server.log') };
}

export function profilePath(folder: string, name: string): string {
  return join(folder, 'devices', name);
}

/**
 * Empties the folder of an earlier demo, or makes a new one. Never touches a folder that
 * holds anything else, or one whose demo still runs: throws CommandError then.
 */
export async function freshFolder(folder: string, domains: readonly Domain[]): Promise<void> {
  const isOurs = existsSync(join(folder, MARKER));
  const content = await readdir(folder).catch(() => []);
  if (content.length > 0 && !isOurs) {
    throw new CommandError(
      EXIT.cannotCreate,
      `${folder} holds something else. It was left as it is.`,
      'Name an empty or a new folder: norc demo --data FOLDER',
    );
  }
  for (const domain of domains) await refuseRunning(folder, domain);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, MARKER), `${JSON.stringify({ made_by: 'norc demo', process: process.pid })}\n`);
}

async function refuseRunning(folder: string, domain: Domain): Promise<void> {
  const socket = organisationPaths(sidePaths(folder, domain).organisation).adminSocket;
  const runs = await new AdminClient(socket).get('/status').then(
    () => true,
    () => false,
  );
  if (!runs) return;
  throw new CommandError(
    EXIT.inUse,
    `A demo is running in ${folder}.`,
    'Stop it with Ctrl-C in its terminal, or run a second one: norc demo --data FOLDER',
  );
}
