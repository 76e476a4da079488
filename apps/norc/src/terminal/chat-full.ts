import type { ChatPort } from './chat-model.ts';
import { type Look, type Picture, renderChat } from './chat-screen.ts';
import { type ChatEffect, type ChatEvent, type ChatState, chatStep, startChat } from './chat-state.ts';
import { openTty, type Tty, type TtyStreams } from './tty.ts';

export interface FullScreenOptions extends Look {
  readonly streams: TtyStreams;
  readonly port: ChatPort;
  /** BEL when unread messages come in. */
  readonly bell: boolean;
}

/** The chat on the whole terminal. Resolves with the exit code when the user leaves; rejects, with the terminal given back, on a bug. */
export function runFullScreen(options: FullScreenOptions): Promise<number> {
  return new Promise((resolve, reject) => new FullScreenChat(options, resolve, reject).start());
}

/** Runs the effects of chat-state.ts and shows its pictures. */
class FullScreenChat {
  readonly #options: FullScreenOptions;
  readonly #resolve: (exitCode: number) => void;
  readonly #reject: (cause: unknown) => void;
  #state: ChatState;
  #picture: Picture | undefined;
  #tty: Tty | undefined;
  #unsubscribe: () => void = () => {};
  #drawIsDue = false;

  constructor(options: FullScreenOptions, resolve: (exitCode: number) => void, reject: (cause: unknown) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#state = startChat(options.port.model());
  }

  start(): void {
    const { port, streams, palette } = this.#options;
    this.#tty = openTty(streams, palette, {
      input: (event) => this.#step(event),
      redraw: () => this.#draw(),
      ended: (exitCode) => this.#finish(() => this.#resolve(exitCode)),
    });
    const update = () => this.#step({ type: 'model', model: port.model() });
    this.#unsubscribe = port.subscribe(update);
    update();
  }

  #step(event: ChatEvent): void {
    if (this.#tty === undefined) return;
    const { log = [], logHeight = 0 } = this.#picture ?? {};
    const { state, effects } = chatStep(this.#state, event, { log, logHeight });
    this.#state = state;
    this.#draw();
    for (const effect of effects) this.#run(effect);
  }

  #run(effect: ChatEffect): void {
    const { port, bell } = this.#options;
    switch (effect.do) {
      case 'send':
        this.#await(port.send(effect.text));
        break;
      case 'open':
        this.#await(port.open(effect.conversationId));
        break;
      case 'seen':
        port.seen();
        break;
      case 'older':
        port.older();
        break;
      case 'bell':
        if (bell) this.#tty?.bell();
        break;
      case 'repaint':
        this.#tty?.forget();
        break;
      case 'quit':
        this.#finish(() => this.#resolve(0));
        break;
      case 'run': {
        const { command } = effect;
        port.run(command).then(
          (lines) => this.#step({ type: 'answer', command, lines }),
          (cause: unknown) => this.#finish(() => this.#reject(cause)),
        );
        break;
      }
    }
  }

  #await(work: Promise<void>): void {
    work.catch((cause: unknown) => this.#finish(() => this.#reject(cause)));
  }

  /** Many changes of one turn make one picture. */
  #draw(): void {
    if (this.#drawIsDue) return;
    this.#drawIsDue = true;
    setImmediate(() => {
      this.#drawIsDue = false;
      if (this.#tty === undefined) return;
      this.#picture = renderChat(this.#state.screen, this.#tty, this.#options);
      this.#tty.show(this.#picture.grid, this.#picture.cursor);
    });
  }

  #finish(tell: () => void): void {
    this.#unsubscribe();
    this.#tty?.close();
    this.#tty = undefined;
    tell();
  }
}
