import { runFullScreen } from './chat-full.ts';
import { type ChatPort, localTimeFormat } from './chat-model.ts';
import { runPlain } from './chat-plain.ts';
import { paletteOf } from './style.ts';
import { wordsFor } from './words.ts';

export interface ChatOptions {
  readonly port: ChatPort;
  /** `--plain`: lines only, for screen readers and logs. Chosen by itself where there is no terminal. */
  readonly plain: boolean;
  readonly bell: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The interactive chat on this process's terminal. Resolves with the exit code. */
export function runChat({ port, plain, bell, environment }: ChatOptions): Promise<number> {
  const { stdin, stdout } = process;
  const words = wordsFor(port.model().self, localTimeFormat());
  const isTerminal = stdin.isTTY && stdout.isTTY && environment['TERM'] !== 'dumb';
  if (plain || !isTerminal) return runPlain({ input: stdin, output: stdout, port, words });
  return runFullScreen({
    streams: { input: stdin, output: stdout },
    port,
    words,
    palette: paletteOf(environment),
    bell,
  });
}
