import { print, printStyled } from '../output.ts';
import { pad, textWidth, wrap } from '../terminal/width.ts';

/** For terminals of 80 columns. */
const TEXT_WIDTH = 70;
const TIME_WIDTH = 9;
const INDENT = '   ';

/** Tells a person what happens, while it happens: numbered steps, and lines with how long each thing took. */
export class Stage {
  readonly #begin = performance.now();
  #steps = 0;

  /** Milliseconds since the demo began. */
  get elapsed(): number {
    return performance.now() - this.#begin;
  }

  step(title: string): void {
    this.#steps += 1;
    print('');
    printStyled(['bold', `${this.#steps}  ${title}`]);
  }

  /** One fact; `milliseconds` stands at the right. */
  say(text: string, milliseconds?: number): void {
    const time = milliseconds === undefined ? '' : durationText(milliseconds);
    const room = TEXT_WIDTH - INDENT.length;
    const line = time === '' || textWidth(text) > room ? text : pad(text, room);
    printStyled(`${INDENT}${line}`, ['dim', time === '' ? '' : ` ${time.padStart(TIME_WIDTH)}`]);
  }

  /** What somebody wrote. */
  quote(who: string, text: string): void {
    const head = `${INDENT}${who}  `;
    const [first = '', ...rest] = wrap(text, TEXT_WIDTH + TIME_WIDTH - textWidth(head));
    printStyled(head, ['cyan', first]);
    for (const line of rest) printStyled(' '.repeat(textWidth(head)), ['cyan', line]);
  }

  blank(): void {
    print('');
  }
}

/** `12 ms`, `1.4 s` */
export function durationText(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Runs `work` and gives its result with the milliseconds it took. */
export async function timed<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
  const begin = performance.now();
  const value = await work();
  return { value, ms: performance.now() - begin };
}
