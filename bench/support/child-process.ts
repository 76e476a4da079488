import { type ChildProcess, fork } from 'node:child_process';

/** What a process of the bench answers: one function for each name, with one argument. */
export type Handlers = Readonly<Record<string, (argument: never) => unknown>>;

interface Call {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

type Argument<H extends Handlers, K extends keyof H> = Parameters<H[K]>[0];

/** Answers the process that forked this one. When that one lets go or ends, `end` runs and this process is over. */
export function serveParent(handlers: Handlers, end: () => Promise<void>): void {
  process.on('disconnect', () => void end().finally(() => process.exit()));
  process.on('message', (call: Call) => {
    void answer(handlers, call).then((reply) => process.send?.(reply));
  });
}

async function answer(handlers: Handlers, { id, name, argument }: Call): Promise<Reply> {
  try {
    const handler = handlers[name];
    if (handler === undefined) throw new TypeError(`no handler ${name}`);
    return { id, value: await handler(argument as never) }; // the parent's type of `ask` is that of the handlers
  } catch (error) {
    return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** A forked process, by the handlers that it serves. */
export class Child<H extends Handlers> {
  readonly #process: ChildProcess;
  readonly #open = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #exited: Promise<void>;
  #next = 0;

  constructor(file: URL, execArguments: readonly string[] = []) {
    this.#process = fork(file, [], {
      serialization: 'advanced',
      execArgv: ['--disable-warning=ExperimentalWarning', ...execArguments],
    });
    this.#process.on('message', (reply: Reply) => this.#settle(reply));
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', (code) => {
        for (const { reject } of this.#open.values()) reject(new Error(`${file.pathname} ended with ${code}`));
        this.#open.clear();
        resolve();
      });
    });
  }

  ask<K extends keyof H & string>(name: K, argument: Argument<H, K>): Promise<Awaited<ReturnType<H[K]>>> {
    this.#next += 1;
    const call: Call = { id: this.#next, name, argument };
    return new Promise((resolve, reject) => {
      this.#open.set(call.id, { resolve: resolve as (value: unknown) => void, reject }); // what the handler of this name returns
      this.#process.send(call);
    });
  }

  #settle({ id, value, error }: Reply): void {
    const open = this.#open.get(id);
    this.#open.delete(id);
    if (error === undefined) open?.resolve(value);
    else open?.reject(new Error(error));
  }

  /** Ends it in order: profiles are written then. */
  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#exited;
  }
}
