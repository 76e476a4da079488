import type { WriteStream } from 'node:tty';
import { PALETTE } from './chat.fixture.ts';
import { Grid } from './grid.ts';
import { openTty, type TtyStreams } from './tty.ts';

/** The program of tty.test.ts: pipes that claim to be a terminal, and keys that end it in every way. */
const input = Object.assign(process.stdin, {
  setRawMode(on: boolean) {
    process.stderr.write(on ? 'raw on\n' : 'raw off\n');
    return input;
  },
});
// A pipe has all that is used of a terminal: it writes, and its size is absent.
const streams = { input, output: process.stdout as WriteStream & { fd: 1 } } as unknown as TtyStreams;

const picture = (text: string) => {
  const grid = new Grid(20, 2);
  grid.put(0, 0, text);
  return grid;
};

const tty = openTty(streams, PALETTE, {
  input(event) {
    const key = event.type === 'text' ? event.text : event.type === 'key' ? event.key : '';
    if (key === 'r') tty.show(picture('again'), undefined);
    if (key === 'x') process.exit(7);
    if (key === 't') throw new Error('on purpose');
    if (key === 'ctrl+c') tty.close();
  },
  redraw() {
    // The size of a pipe does not change.
  },
  ended(exitCode) {
    process.exitCode = exitCode;
    process.exit();
  },
});
tty.show(picture('ready'), undefined);
