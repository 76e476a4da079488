import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What `norc server --json` says when it is ready. */
export interface ReadyLine {
  readonly version: string;
  readonly device_address: { readonly host: string; readonly port: number; readonly tls: boolean };
  readonly federation_address: { readonly host: string; readonly port: number } | null;
}

export interface ChildServer {
  readonly processId: number;
  readonly ready: ReadyLine;
  /** Resolves when the process is gone, with its exit code. */
  readonly ended: Promise<number | undefined>;
  /** Asks it to drain, and waits for that. A server that does not end in time is killed. */
  stop(): Promise<void>;
}

/** The server ended before it was ready; the message is what it said. */
export class ChildServerError extends Error {
  override readonly name = 'ChildServerError';
  readonly exitCode: number | undefined;
  constructor(message: string, exitCode: number | undefined) {
    super(message);
    this.exitCode = exitCode;
  }
}

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const STOP_MS_MAX = 10_000;

/**
 * Starts `norc server` as a process of its own. It stops when this process ends, in
 * whatever way: its standard input ends then.
 */
export async function startChildServer(args: readonly string[]): Promise<ChildServer> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', MAIN, 'server', '--json', '--until-input-ends', ...args],
    { stdio: ['pipe', 'pipe', 'pipe'], env: environmentWithoutSettings() },
  );
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  child.stdin.on('error', () => undefined); // it ended first: `exit` tells
  const ended = new Promise<number | undefined>((resolve) => {
    child.once('error', () => resolve(undefined));
    child.once('exit', (code) => resolve(code ?? undefined));
  });
  const ready = await Promise.race([firstLine(child), ended]);
  if (typeof ready !== 'object') throw new ChildServerError(complaint.trim(), ready);
  return { processId: child.pid ?? 0, ready, ended, stop: () => stop(child, ended) };
}

/** Its configuration file says everything: what is set here for another server is not for this one. */
function environmentWithoutSettings(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NORC_')));
}

function firstLine(child: ChildProcess): Promise<ReadyLine> {
  return new Promise((resolve) => {
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line) as ReadyLine)); // our own command wrote it
  });
}

async function stop(child: ChildProcess, ended: Promise<number | undefined>): Promise<void> {
  child.stdin?.end();
  const patience = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await ended;
  clearTimeout(patience);
}
