import { writeSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import type { ReadStream, WriteStream } from 'node:tty';
import { cursorAt, difference, type Grid, type Point } from './grid.ts';
import { type InputEvent, KeyParser } from './keys.ts';
import type { Palette } from './style.ts';

/** A terminal that shows pictures and gives keys. */
export interface Tty {
  readonly columns: number;
  readonly rows: number;
  show(grid: Grid, cursor: Point | undefined): void;
  /** The next picture is drawn whole: something else wrote on the screen. */
  forget(): void;
  /** BEL: a mark in the terminal's title or tab, as its owner set it up. */
  bell(): void;
  /** Gives the terminal back as it was found. May be called twice. */
  close(): void;
}

export interface TtyHandler {
  input(event: InputEvent): void;
  /** The size changed, or the screen must be drawn again. */
  redraw(): void;
  /** SIGTERM, SIGHUP or a closed input: the terminal is already given back. */
  ended(exitCode: number): void;
}

export interface TtyStreams {
  readonly input: ReadStream;
  readonly output: WriteStream & { readonly fd: number };
}

const ESC = '\u001b';
/** Alternate screen, bracketed paste, no automatic line wrap; and the question whether frames can be shown at once. */
const ENTER = `${ESC}[?1049h${ESC}[?2004h${ESC}[?7l${ESC}[H${ESC}[?2026$p`;
const LEAVE = `${ESC}[0m${ESC}[?2026l${ESC}[?7h${ESC}[?2004l${ESC}[?25h${ESC}[?1049l`;
const FRAME_BEGIN = `${ESC}[?2026h`;
const FRAME_END = `${ESC}[?2026l`;
/** Answer to the question: 1 set, 2 reset; anything else means that it is not known there. */
const FRAMES_KNOWN = /^\?2026;[12]\$y$/;
/** How long an escape may be the beginning of a sequence. */
const ESCAPE_WAIT_MS = 30;
const SIGNALS = { SIGTERM: 143, SIGHUP: 129 } as const;

export function openTty(streams: TtyStreams, palette: Palette, handler: TtyHandler): Tty {
  return new RawTty(streams, palette, handler);
}

class RawTty implements Tty {
  readonly #streams: TtyStreams;
  readonly #palette: Palette;
  readonly #handler: TtyHandler;
  readonly #parser = new KeyParser();
  readonly #decoder = new StringDecoder('utf8');
  #shown: Grid | undefined;
  #cursor: Point | undefined;
  #framesKnown = false;
  #isOpen = false;
  #escapeTimer: NodeJS.Timeout | undefined;

  constructor(streams: TtyStreams, palette: Palette, handler: TtyHandler) {
    this.#streams = streams;
    this.#palette = palette;
    this.#handler = handler;
    this.#enter();
    streams.input.on('data', this.#onData);
    streams.input.once('end', this.#onInputEnd);
    streams.output.on('resize', this.#onResize);
    process.on('SIGCONT', this.#onContinue);
    process.on('SIGTSTP', this.#onStop);
    for (const signal of Object.keys(SIGNALS)) process.on(signal, this.#onSignal);
    // An error's text belongs on the real screen, and a dead process must leave a usable terminal.
    process.on('uncaughtExceptionMonitor', this.#giveBack);
    process.on('exit', this.#giveBack);
  }

  get columns(): number {
    return this.#streams.output.columns || 80;
  }

  get rows(): number {
    return this.#streams.output.rows || 24;
  }

  show(grid: Grid, cursor: Point | undefined): void {
    if (!this.#isOpen) return;
    const cells = difference(this.#shown, grid, this.#palette);
    const sameCursor = cursor?.x === this.#cursor?.x && cursor?.y === this.#cursor?.y;
    if (cells === '' && sameCursor) return;
    this.#shown = grid;
    this.#cursor = cursor;
    const frame = cells + cursorAt(cursor);
    this.#streams.output.write(this.#framesKnown ? FRAME_BEGIN + frame + FRAME_END : frame);
  }

  forget(): void {
    this.#shown = undefined;
  }

  bell(): void {
    if (this.#isOpen) this.#streams.output.write('\u0007');
  }

  close(): void {
    this.#giveBack();
    const { input, output } = this.#streams;
    clearTimeout(this.#escapeTimer);
    input.off('data', this.#onData);
    input.off('end', this.#onInputEnd);
    output.off('resize', this.#onResize);
    process.off('SIGCONT', this.#onContinue);
    process.off('SIGTSTP', this.#onStop);
    for (const signal of Object.keys(SIGNALS)) process.off(signal, this.#onSignal);
    process.off('uncaughtExceptionMonitor', this.#giveBack);
    process.off('exit', this.#giveBack);
    input.pause();
    // A paused pipe would keep the process alive.
    input.unref();
  }

  #enter(): void {
    const { input, output } = this.#streams;
    input.ref();
    input.setRawMode(true);
    input.resume();
    output.write(ENTER);
    this.#shown = undefined;
    this.#isOpen = true;
  }

  /** Synchronously, since the process may be about to die. */
  readonly #giveBack = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      this.#streams.input.setRawMode(false);
      writeSync(this.#streams.output.fd, LEAVE);
    } catch {
      // The terminal itself is gone: there is nothing to give back.
    }
  };

  readonly #onData = (bytes: Buffer): void => {
    clearTimeout(this.#escapeTimer);
    this.#deliver(this.#parser.feed(this.#decoder.write(bytes)));
    if (!this.#parser.isWaiting) return;
    this.#escapeTimer = setTimeout(() => this.#deliver(this.#parser.flush()), ESCAPE_WAIT_MS);
  };

  #deliver(events: readonly InputEvent[]): void {
    for (const event of events) {
      if (event.type === 'report') this.#framesKnown ||= FRAMES_KNOWN.test(event.report);
      else if (event.type === 'key' && event.key === 'ctrl+z') this.#onStop();
      else this.#handler.input(event);
    }
  }

  readonly #onResize = (): void => {
    this.#shown = undefined;
    this.#handler.redraw();
  };

  /** Job control: the whole group stops, since a launcher (npm) may stand between this process and the shell. */
  readonly #onStop = (): void => {
    if (process.platform === 'win32') return;
    this.#giveBack();
    process.off('SIGTSTP', this.#onStop);
    process.kill(0, 'SIGTSTP');
  };

  readonly #onContinue = (): void => {
    if (this.#isOpen) return;
    process.off('SIGTSTP', this.#onStop);
    process.on('SIGTSTP', this.#onStop);
    this.#enter();
    this.#handler.redraw();
  };

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.close();
    this.#handler.ended(signal === 'SIGHUP' ? SIGNALS.SIGHUP : SIGNALS.SIGTERM);
  };

  readonly #onInputEnd = (): void => {
    this.close();
    this.#handler.ended(SIGNALS.SIGHUP);
  };
}
