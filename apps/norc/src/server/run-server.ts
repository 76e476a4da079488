import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeClock, nodeRandom } from '@norc/crypto/node';
import type { Domain } from '@norc/protocol/base';
import { initOrganisation, organisationPaths, type RunningServer, startServer } from '@norc/server';
import { openServerLog, type ServerLog } from './log.ts';
import type { ServerSettings } from './settings.ts';
import { stopRequest } from './stop-request.ts';

export interface ServerRun extends ServerSettings {
  /** Called once, when everybody can connect. */
  readonly onReady: (server: RunningServer, facts: StartFacts) => void;
  readonly onStopping: () => void;
  /** Also stop when standard input ends: whoever started this process is gone. */
  readonly untilInputEnds: boolean;
}

export interface StartFacts {
  /** Organisations whose keys were made by this start. */
  readonly created: readonly Domain[];
  readonly log: ServerLog;
}

/** Runs a server until somebody asks for its end, then drains it. Rejects with the errors of `startServer`. */
export async function runServer(run: ServerRun): Promise<void> {
  const { config, development } = run;
  await mkdir(config.organisation.data, { recursive: true, mode: 0o700 });
  const log = openServerLog(config.log);
  const stopAsked = stopRequest({ untilInputEnds: run.untilInputEnds });
  const crashed = (error: unknown) => log.fault('crashed', error);
  process.on('uncaughtExceptionMonitor', crashed);
  try {
    const created = development ? await createMissing(config.organisation.data, config.organisation.domains) : [];
    const server = await startServer({ config, log, onStopAsked: stopAsked.stop });
    log.info('server_ready', { ...server.deviceAddress });
    run.onReady(server, { created, log });
    await stopAsked.promise;
    run.onStopping();
    log.info('server_stopping');
    await server.stop();
    log.info('server_stopped');
  } finally {
    process.off('uncaughtExceptionMonitor', crashed);
    stopAsked.close();
    log.close();
  }
}

/** Only for development: in real use the root key is made on purpose, once, by `norc org init`. */
async function createMissing(data: string, domains: readonly Domain[]): Promise<readonly Domain[]> {
  const missing = domains.filter((domain) => !existsSync(organisationPaths(join(data, domain)).keys));
  for (const domain of missing)
    await initOrganisation(join(data, domain), domain, { clock: nodeClock, random: nodeRandom });
  return missing;
}
