/** What came from the keyboard, or from the terminal itself. */
export type InputEvent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'key'; readonly key: Key }
  /** Pasted text, whole: it is never taken for keys. */
  | { readonly type: 'paste'; readonly text: string; readonly cut: boolean }
  /** The terminal's answer to a question of ours: `CSI ? values final`. */
  | { readonly type: 'report'; readonly report: string };

/** Modifiers first, in this order: `ctrl+alt+shift+left`. */
export type Key = string;

const ESC = '\u001b';
const PASTE_END = `${ESC}[201~`;
/** More than any message may hold: the rest of a paste is dropped, and said so. */
export const PASTE_LENGTH_MAX = 65_536;
const SEQUENCE_LENGTH_MAX = 64;

/**
 * Turns what a terminal sends into events. Feed it text as it arrives: a sequence may
 * be split anywhere. Call `flush` when nothing followed for about 30 ms: a lone escape
 * is then the Escape key.
 */
export class KeyParser {
  #rest = '';
  #paste: string | undefined;
  #cut = false;

  feed(text: string): readonly InputEvent[] {
    this.#rest += text;
    const events: InputEvent[] = [];
    for (;;) {
      const event = this.#paste === undefined ? this.#next() : this.#pasted();
      if (event === undefined) return events;
      if (event !== 'nothing') events.push(event);
    }
  }

  /** Whether an escape waits for more. */
  get isWaiting(): boolean {
    return this.#paste === undefined && this.#rest !== '';
  }

  flush(): readonly InputEvent[] {
    if (!this.isWaiting) return [];
    const rest = this.#rest;
    this.#rest = '';
    if (rest === ESC) return [key('escape')];
    return rest.startsWith(`${ESC}${ESC}`) ? [key('escape')] : [];
  }

  #next(): InputEvent | 'nothing' | undefined {
    if (this.#rest === '') return undefined;
    if (!this.#rest.startsWith(ESC)) return this.#plain();
    if (this.#rest.length === 1) return undefined;
    const second = this.#rest.charAt(1);
    if (second === '[') return this.#csi();
    if (second === 'O') return this.#take(3, (sequence) => functionKey(sequence.charAt(2), ''));
    if (second === ESC) return this.#take(1, () => key('escape'));
    // Alt sends an escape before the key.
    const [letter = ''] = this.#rest.slice(1);
    return this.#take(1 + letter.length, () => key(`alt+${plainKey(letter) ?? letter}`));
  }

  /** Everything up to the next control character is text. */
  #plain(): InputEvent {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are keys
    const end = this.#rest.search(/[\u0000-\u001f\u007f]/);
    const length = end < 0 ? this.#rest.length : end;
    if (length > 0) {
      const text = this.#rest.slice(0, length);
      this.#rest = this.#rest.slice(length);
      return { type: 'text', text };
    }
    const control = this.#rest.charAt(0);
    this.#rest = this.#rest.slice(1);
    return key(plainKey(control) ?? 'unknown');
  }

  #csi(): InputEvent | 'nothing' | undefined {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ESC begins the sequence
    const match = /^\u001b\[([0-?]*)([ -/]*)([@-~])/.exec(this.#rest);
    if (match === null) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: ESC begins the sequence
      const isPartial = /^\u001b\[[0-?]*[ -/]*$/.test(this.#rest) && this.#rest.length <= SEQUENCE_LENGTH_MAX;
      if (isPartial) return undefined;
      this.#rest = this.#rest.slice(2);
      return 'nothing';
    }
    const [whole, values = '', between = '', final = ''] = match;
    this.#rest = this.#rest.slice(whole.length);
    if (whole === `${ESC}[200~`) {
      this.#paste = '';
      this.#cut = false;
      return 'nothing';
    }
    if (values.startsWith('?')) return { type: 'report', report: `${values}${between}${final}` };
    return between === '' ? functionKey(final, values) : 'nothing';
  }

  #pasted(): InputEvent | undefined {
    const end = this.#rest.indexOf(PASTE_END);
    // The end mark may arrive in two pieces: its possible beginning is kept back.
    const upTo = end >= 0 ? end : Math.max(0, this.#rest.length - PASTE_END.length + 1);
    const paste = (this.#paste ?? '') + this.#rest.slice(0, upTo);
    this.#cut ||= paste.length > PASTE_LENGTH_MAX;
    this.#paste = paste.slice(0, PASTE_LENGTH_MAX);
    this.#rest = this.#rest.slice(upTo);
    if (end < 0) return undefined;
    const text = this.#paste.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
    this.#rest = this.#rest.slice(PASTE_END.length);
    this.#paste = undefined;
    return { type: 'paste', text, cut: this.#cut };
  }

  #take(length: number, make: (sequence: string) => InputEvent | 'nothing'): InputEvent | 'nothing' | undefined {
    if (this.#rest.length < length) return undefined;
    const sequence = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    return make(sequence);
  }
}

function key(name: Key): InputEvent {
  return { type: 'key', key: name };
}

/** Control characters and space; `undefined` for a letter. */
function plainKey(character: string): Key | undefined {
  const code = character.charCodeAt(0);
  if (code === 13) return 'enter';
  if (code === 10) return 'ctrl+j';
  if (code === 9) return 'tab';
  if (code === 127 || code === 8) return 'backspace';
  if (code === 0) return 'ctrl+space';
  if (code < 27) return `ctrl+${String.fromCharCode(code + 96)}`;
  return code < 32 ? `ctrl+${String.fromCharCode(code + 64)}` : undefined;
}

const BY_LETTER: Readonly<Record<string, Key>> = {
  A: 'up',
  B: 'down',
  C: 'right',
  D: 'left',
  H: 'home',
  F: 'end',
  P: 'f1',
  Q: 'f2',
  R: 'f3',
  S: 'f4',
  Z: 'shift+tab',
};

const BY_NUMBER: Readonly<Record<string, Key>> = {
  1: 'home',
  2: 'insert',
  3: 'delete',
  4: 'end',
  5: 'pageup',
  6: 'pagedown',
  7: 'home',
  8: 'end',
  11: 'f1',
  12: 'f2',
  13: 'f3',
  14: 'f4',
  15: 'f5',
  17: 'f6',
  18: 'f7',
  19: 'f8',
  20: 'f9',
  21: 'f10',
  23: 'f11',
  24: 'f12',
};

/** `CSI number ; modifiers ~` or `CSI 1 ; modifiers letter` (xterm). */
function functionKey(final: string, values: string): InputEvent | 'nothing' {
  const [number = '', modifiers = ''] = values.split(';');
  const name = final === '~' ? BY_NUMBER[number] : BY_LETTER[final];
  if (name === undefined) return 'nothing';
  const bits = Math.max(0, (Number.parseInt(modifiers, 10) || 1) - 1);
  const held = [
    [4, 'ctrl+'],
    [2, 'alt+'],
    [1, 'shift+'],
  ] as const;
  return key(held.map(([bit, word]) => ((bits & bit) === 0 ? '' : word)).join('') + name);
}
