import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { NodeLog, ServerConfig } from '@norc/server';

const LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, silent: 60 } as const satisfies Record<
  ServerConfig['log']['level'],
  number
>;

export interface ServerLog extends NodeLog {
  /** Where it goes, for people. */
  readonly place: string;
  close(): void;
}

const STANDARD_ERROR = 2;

/**
 * One JSON object on a line: time (UTC), level, event, then what belongs to it. Written
 * at once, since the last lines before the end of a process are the ones that matter;
 * nothing is logged per message. The file is readable by the server's account alone.
 */
export function openServerLog({ level, file }: ServerConfig['log']): ServerLog {
  if (file !== undefined) mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const descriptor = file === undefined ? STANDARD_ERROR : openSync(file, 'a', 0o600);
  const write = (name: Exclude<keyof typeof LEVELS, 'silent'>, event: string, fields: object) => {
    if (LEVELS[name] < LEVELS[level]) return;
    const line = JSON.stringify({ time: new Date().toISOString(), level: name, event, ...fields });
    try {
      writeSync(descriptor, `${line}\n`);
    } catch {
      // A full disk must not stop what still works: the store reports it to those whose writes fail.
    }
  };
  return {
    place: file ?? 'standard error',
    info: (event, fields = {}) => write('info', event, fields),
    warn: (event, fields = {}) => write('warn', event, fields),
    fault: (event, error) => write('error', event, faultFields(error)),
    close: () => {
      if (descriptor !== STANDARD_ERROR) closeSync(descriptor);
    },
  };
}

/** Errors of this project name files, fields and codes, never content or secrets. */
function faultFields(error: unknown): object {
  if (!(error instanceof Error)) return { error: typeof error };
  const code = 'code' in error ? { code: String(error.code) } : {};
  const cause = error.cause instanceof Error ? { cause: `${error.cause.name}: ${error.cause.message}` } : {};
  return { error: error.name, message: error.message, ...code, ...cause, stack: error.stack };
}
