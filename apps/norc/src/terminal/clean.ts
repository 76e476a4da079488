/**
 * The choke point between other people's text and this user's terminal. A message,
 * a name or a title may hold escape sequences that move the cursor, change colors,
 * set the window title, write the clipboard (OSC 52) or answer questions of the
 * terminal as if the user typed; and invisible or reordering characters that make a
 * line read as something else. Every text goes through here, whoever wrote it: the
 * grid (grid.ts) and the line output (output.ts, plain.ts) call it themselves.
 */

/** Controls of C0 except LF, then DEL and C1: nothing left can begin an escape sequence. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;

/**
 * Characters that reorder (bidirectional controls), hide or separate without being
 * seen: zero-width space, joiners of words, line and paragraph separators, byte order
 * mark, annotation marks, fillers, tags and supplementary variation selectors. Tags
 * also spell three flags: losing those is accepted.
 */
const UNSEEN =
  /\u034f|\u17b4|\u17b5|[\u180b-\u180f]|[\u00ad\u061c\u115f\u1160\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]|[\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

/** More marks on one letter than any language writes: they would climb over the lines above. */
const MARKS_MAX = 6;
const MARK_FLOOD = new RegExp(`(\\p{M}{${MARKS_MAX}})\\p{M}+`, 'gu');

/** Text of a message: lines stay, everything else that is not a character to look at goes. */
export function clean(text: string): string {
  return text
    .toWellFormed()
    .replaceAll('\r\n', '\n')
    .replaceAll('\t', '    ')
    .replace(CONTROLS, '\ufffd')
    .replace(UNSEEN, '')
    .replace(MARK_FLOOD, '$1');
}

/** On one line: a line end becomes a visible mark, so that no text can pretend to be two lines of ours. */
export function cleanLine(text: string): string {
  return clean(text).replaceAll('\n', ' ⏎ ');
}

const NAME_LENGTH_MAX = 64;

/**
 * A name, a title or a file name: one line, without the joiners and selectors that
 * let two different names look the same, without white space to hide in.
 */
export function cleanName(text: string): string {
  const line = clean(text)
    .replace(/\u200c|\u200d|[\ufe00-\ufe0f]/g, '')
    .replace(/\s+/g, ' ')
    .trim();
  const letters = [...line];
  if (letters.length === 0) return '?';
  return letters.length > NAME_LENGTH_MAX ? `${letters.slice(0, NAME_LENGTH_MAX - 1).join('')}…` : line;
}

/** Like JSON.stringify, with whatever `clean` would take away written as an escape: still the same JSON. */
export function cleanJson(value: unknown, indent?: number): string {
  const escaped = (character: string) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join('');
  const text = JSON.stringify(value, undefined, indent) ?? 'null';
  // Line ends and tabs outside strings are the indentation; inside strings JSON escapes them itself.
  return text.replace(UNSEEN, escaped).replace(/[\u007f-\u009f]/g, escaped);
}
