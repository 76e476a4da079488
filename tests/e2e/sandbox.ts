import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The `norc` command in processes of its own, in a folder of its own. Nothing waits for
 * a time: tests wait for lines and for ends, each with a deadline that only a failure reaches.
 */

const MAIN = fileURLToPath(new URL('../../apps/norc/src/main.ts', import.meta.url));
const NODE_OPTIONS = ['--disable-warning=ExperimentalWarning'];
const DEADLINE_MS = 30_000;

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** How the command is started, for tests that need a command line. */
export const NORC_COMMAND: readonly string[] = [process.execPath, ...NODE_OPTIONS, MAIN];

export class Sandbox {
  readonly folder: string;
  readonly environment: Record<string, string | undefined>;
  readonly #running = new Set<Running>();

  private constructor(folder: string) {
    this.folder = folder;
    const own = Object.entries(process.env).filter(([name]) => !/^(NORC_|npm_|NODE_TEST)/.test(name));
    this.environment = { ...Object.fromEntries(own), NO_COLOR: '1', TZ: 'UTC' };
  }

  static async create(): Promise<Sandbox> {
    return new Sandbox(await mkdtemp(join(tmpdir(), 'norc-e2e-')));
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  /** Runs a command to its end, with `input` as its whole standard input. */
  async norc(args: readonly string[], input = ''): Promise<Outcome> {
    const running = this.start(args);
    running.end(input);
    const code = await running.ended;
    return { code, out: running.out, err: running.err };
  }

  /** As `norc`, for a command that must succeed: gives its standard output. */
  async must(args: readonly string[], input = ''): Promise<string> {
    const { code, out, err } = await this.norc(args, input);
    if (code !== 0) throw new Error(`norc ${args.join(' ')}: exit ${code}\n${out}\n${err}`);
    return out;
  }

  start(args: readonly string[], cwd = this.folder): Running {
    return this.spawn([...NORC_COMMAND, ...args], cwd);
  }

  spawn([command = '', ...args]: readonly string[], cwd = this.folder): Running {
    const child = spawn(command, args, { cwd, env: this.environment, stdio: 'pipe' });
    const running = new Running(child, () => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }

  /** A server for trying things out, on a free port, ready. */
  async server(...args: readonly string[]): Promise<ServerProcess> {
    const running = this.start(['server', '--json', '--listen', '127.0.0.1:0', ...args]);
    const ready = JSON.parse(await running.line(/^\{"ready"/)) as { device_address: { port: number } }; // our own command's
    return { running, port: ready.device_address.port };
  }

  /** A device of `user`, whose organisation's server runs on `data`. */
  async enroll(user: string, profile: string, data: readonly string[] = []): Promise<void> {
    await this.must(['user', 'add', user, ...data]);
    const { code } = JSON.parse(await this.must(['enroll', user, '--json', ...data])) as { code: string }; // our own command's
    await this.must(['enroll', code, '--profile', profile, '--unlock-file', `${profile}.key`, '--name', profile]);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((one) => one.kill('SIGKILL')));
    await rm(this.folder, { recursive: true, force: true });
  }
}

export interface ServerProcess {
  readonly running: Running;
  readonly port: number;
}

/** A process that runs, and what it has said so far. */
export class Running {
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #out = '';
  #err = '';

  constructor(child: ChildProcess, onEnd: () => void) {
    this.#child = child;
    child.stdin?.on('error', () => undefined); // it ended before it read everything
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#out += text;
      this.#wake();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#err += text;
      this.#wake();
    });
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        onEnd();
        resolve(code);
        this.#wake();
      });
    });
  }

  get processId(): number {
    return this.#child.pid ?? 0;
  }

  get out(): string {
    return this.#out;
  }

  get err(): string {
    return this.#err;
  }

  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  end(input = ''): void {
    this.#child.stdin?.end(input);
  }

  /** Resolves with the first line of standard output that matches; rejects with all output when it ends without. */
  line(pattern: RegExp): Promise<string> {
    const find = () => this.#out.split('\n').find((line, i, all) => i < all.length - 1 && pattern.test(line));
    return this.#until(find, `a line ${pattern}`);
  }

  #until<T>(find: () => T | undefined, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (tell: () => void) => {
        clearTimeout(deadline);
        this.#waiting.delete(look);
        tell();
      };
      const fail = (why: string) =>
        settle(() => reject(new Error(`${why} without ${what}:\n${this.#out}\n${this.#err}`)));
      const look = () => {
        const found = find();
        if (found !== undefined) settle(() => resolve(found));
        else if (this.#child.exitCode !== null || this.#child.signalCode !== null) fail('it ended');
      };
      const deadline = setTimeout(() => fail('too long'), DEADLINE_MS);
      this.#waiting.add(look);
      look();
    });
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }

  kill(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.ended;
  }
}

/** A port that was free a moment ago, for what cannot take port 0. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
