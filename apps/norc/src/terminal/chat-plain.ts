import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { type ChatPort, matching } from './chat-model.ts';
import { COMMAND_HELP } from './chat-state.ts';
import { cleanLine } from './clean.ts';
import { type Command, isAddress, parseEntered } from './commands.ts';
import { conversationLines, NOTHING_PRINTED, type PlainMemory, plainStep } from './plain-lines.ts';
import type { Words } from './words.ts';

export interface PlainOptions {
  readonly input: Readable;
  readonly output: Writable;
  readonly port: ChatPort;
  readonly words: Words;
}

/** The chat as lines. Resolves with the exit code at `/quit` or at the end of the input. */
export function runPlain(options: PlainOptions): Promise<number> {
  return new Promise((resolve, reject) => new PlainChat(options, resolve, reject).start());
}

class PlainChat {
  readonly #options: PlainOptions;
  readonly #resolve: (exitCode: number) => void;
  readonly #reject: (cause: unknown) => void;
  #memory: PlainMemory = NOTHING_PRINTED;
  #unsubscribe: () => void = () => {};
  #stopReading: () => void = () => {};
  #printIsDue = false;
  #isDone = false;
  /** Lines take effect in their order: a message goes where the command before it led. */
  #tail: Promise<void> = Promise.resolve();

  constructor(options: PlainOptions, resolve: (exitCode: number) => void, reject: (cause: unknown) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { input, port } = this.#options;
    this.#unsubscribe = port.subscribe(() => this.#changed());
    const lines = createInterface({ input, terminal: false, crlfDelay: Number.POSITIVE_INFINITY });
    // An input that is still open must not keep the process after `/quit`.
    this.#stopReading = () => {
      lines.close();
      input.destroy();
    };
    lines.on('line', (line) => this.#enqueue(() => this.#entered(line)));
    // What was asked before the end of the input is still answered, and what was written still leaves.
    lines.on('close', () => {
      this.#enqueue(() => port.settled());
      this.#enqueue(async () => this.#finish(() => this.#resolve(0)));
    });
    this.#print();
  }

  #enqueue(step: () => Promise<void>): void {
    this.#tail = this.#tail
      .then(() => (this.#isDone ? undefined : step()))
      .catch((cause: unknown) => this.#finish(() => this.#reject(cause)));
  }

  /** The one way to the output: a line is clean and is one line. */
  #write(lines: readonly string[]): void {
    for (const line of lines) this.#options.output.write(`${cleanLine(line)}\n`);
  }

  #changed(): void {
    if (this.#printIsDue) return;
    this.#printIsDue = true;
    setImmediate(() => this.#print());
  }

  #print(): void {
    this.#printIsDue = false;
    if (this.#isDone) return;
    const { port, words } = this.#options;
    const model = port.model();
    const { memory, lines } = plainStep(this.#memory, model, words);
    this.#memory = memory;
    this.#write(lines);
    if ((model.open?.unread.count ?? 0) > 0) port.seen();
  }

  async #entered(line: string): Promise<void> {
    const { port } = this.#options;
    // What happened so far is told before the answer, and before another conversation opens.
    this.#print();
    const entered = parseEntered(line);
    if (entered.type === 'mistake') this.#write([`-- ${entered.hint}`]);
    else if (entered.type === 'command') await this.#command(entered.command);
    else if (entered.type === 'message') {
      if (port.model().open === undefined)
        this.#write(['-- Open a conversation first: /list shows them, /to NAME opens one.']);
      else await port.send(entered.text);
    }
  }

  async #command(command: Command): Promise<void> {
    const { port } = this.#options;
    const model = port.model();
    switch (command.name) {
      case 'quit':
        this.#finish(() => this.#resolve(0));
        break;
      case 'help':
        this.#write(COMMAND_HELP.map((line) => `-- ${line}`));
        break;
      case 'list':
        this.#write(conversationLines(model));
        break;
      case 'to': {
        const [first] = matching(model.conversations, command.whom);
        if (first !== undefined) await port.open(first.conversationId);
        else if (isAddress(command.whom)) await this.#ask({ name: 'new', people: [command.whom] });
        else this.#write([`-- No conversation matches “${command.whom}”. /to NAME@DOMAIN starts one.`]);
        break;
      }
      default:
        await this.#ask(command);
    }
  }

  async #ask(command: Command): Promise<void> {
    const lines = await this.#options.port.run(command);
    this.#write(lines.map((line) => `-- ${line}`));
  }

  #finish(tell: () => void): void {
    if (this.#isDone) return;
    this.#print();
    this.#isDone = true;
    this.#unsubscribe();
    this.#stopReading();
    tell();
  }
}
