import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COMMANDS, parseEntered } from './commands.ts';
import { type InputEvent, KeyParser, PASTE_LENGTH_MAX } from './keys.ts';
import {
  EMPTY_LINE,
  edit,
  insert,
  type Line,
  lineOf,
  lineText,
  lineWindow,
  NO_HISTORY,
  recall,
  remember,
} from './line-editor.ts';

const ESC = '\u001b';

function parse(...pieces: string[]): readonly InputEvent[] {
  const parser = new KeyParser();
  return [...pieces.flatMap((piece) => parser.feed(piece)), ...parser.flush()];
}

const keys = (...pieces: string[]) => parse(...pieces).map((event) => (event.type === 'key' ? event.key : event.type));

test('keys of the usual terminals are told apart', () => {
  const cases: Readonly<Record<string, string>> = {
    '\r': 'enter',
    '\t': 'tab',
    '\u007f': 'backspace',
    '\u0003': 'ctrl+c',
    '\u001a': 'ctrl+z',
    [`${ESC}[A`]: 'up',
    [`${ESC}OA`]: 'up',
    [`${ESC}[1;5D`]: 'ctrl+left',
    [`${ESC}[1;3C`]: 'alt+right',
    [`${ESC}[1;8B`]: 'ctrl+alt+shift+down',
    [`${ESC}[5~`]: 'pageup',
    [`${ESC}[3;5~`]: 'ctrl+delete',
    [`${ESC}OP`]: 'f1',
    [`${ESC}[12~`]: 'f2',
    [`${ESC}[Z`]: 'shift+tab',
    [`${ESC}b`]: 'alt+b',
    [`${ESC}\r`]: 'alt+enter',
    [ESC]: 'escape',
    [`${ESC}${ESC}`]: 'escape',
  };
  for (const [bytes, name] of Object.entries(cases)) assert.equal(keys(bytes)[0], name, JSON.stringify(bytes));
});

test('a paste is one event whatever is in it, and its end mark may be split', () => {
  const pasted = `rm -rf ~\r\n${ESC}[A\u0003text`;
  const whole = parse(`${ESC}[200~${pasted}${ESC}[201~x`);
  assert.deepEqual(whole, [
    { type: 'paste', text: `rm -rf ~\n${ESC}[A\u0003text`, cut: false },
    { type: 'text', text: 'x' },
  ]);
  const bytes = `${ESC}[200~${pasted}${ESC}[201~x`;
  assert.deepEqual(parse(...bytes), whole);
});

test('a paste without end is bounded', () => {
  const parser = new KeyParser();
  parser.feed(`${ESC}[200~`);
  for (let i = 0; i < 20; i += 1) parser.feed('x'.repeat(10_000));
  const [paste] = parser.feed(`${ESC}[201~`);
  assert.deepEqual(paste, { type: 'paste', text: 'x'.repeat(PASTE_LENGTH_MAX), cut: true });
});

test('answers of the terminal are reports, never text', () => {
  assert.deepEqual(parse(`${ESC}[?2026;2$y`), [{ type: 'report', report: '?2026;2$y' }]);
});

test('wherever the bytes are split, the events are the same, and nothing throws', () => {
  const unit = fc.constantFrom(
    'a',
    'é',
    '🚚',
    '\r',
    ESC,
    '[',
    'A',
    '1;5D',
    '200~',
    `${ESC}[201~`,
    '~',
    '\u0003',
    `${ESC}[5~`,
  );
  fc.assert(
    fc.property(fc.array(unit), fc.array(fc.nat(60)), (units, cuts) => {
      const bytes = units.join('');
      // A decoder of UTF-8 never splits a character in two.
      const isWhole = (cut: number) => cut < bytes.length && bytes.slice(0, cut).isWellFormed();
      const places = [...new Set(cuts)].filter(isWhole).sort((a, b) => a - b);
      const pieces = [...places, bytes.length].map((end, i) => bytes.slice(i === 0 ? 0 : places[i - 1], end));
      const joined = (events: readonly InputEvent[]) =>
        events.map((event) => (event.type === 'text' ? event.text : JSON.stringify(event))).join('');
      assert.equal(joined(parse(...pieces)), joined(parse(bytes)));
    }),
    { numRuns: 500 },
  );
});

const typed = (...names: string[]): Line =>
  names.reduce<Line>((line, name) => edit(line, name) ?? insert(line, name), EMPTY_LINE);

test('a line is edited by characters that people see, and by words', () => {
  assert.equal(lineText(typed('👩‍👩‍👧', 'e\u0301', 'backspace', 'backspace')), '');
  assert.equal(typed('e', '\u0301').letters.length, 1);
  assert.equal(lineText(typed('hello big world', 'ctrl+w', 'X')), 'hello big X');
  assert.equal(lineText(typed('hello world', 'ctrl+left', 'ctrl+left', 'ctrl+d', 'H')), 'Hello world');
  assert.equal(lineText(typed('abc', 'home', 'right', 'ctrl+u')), 'bc');
  assert.equal(lineText(typed('abc', 'left', 'delete', 'delete', 'end', 'backspace')), 'a');
  assert.equal(lineText(typed('a', 'ctrl+j', 'b')), 'a\nb');
  assert.equal(edit(EMPTY_LINE, 'f5'), undefined);
});

test('what is pasted into a line cannot bring an escape', () => {
  assert.equal(lineText(insert(EMPTY_LINE, `${ESC}[31mx\u0007`)), '\ufffd[31mx\ufffd');
});

test('the history keeps the unsent line', () => {
  const history = remember(remember(remember(NO_HISTORY, 'one'), 'two'), 'two');
  assert.deepEqual(history.past, ['one', 'two']);
  const first = recall(history, lineOf('draft'), 1);
  assert.equal(lineText(first.line), 'two');
  const second = recall(first.history, first.line, 1);
  assert.equal(lineText(second.line), 'one');
  assert.equal(lineText(recall(second.history, second.line, 1).line), 'one');
  const back = recall(recall(second.history, second.line, -1).history, second.line, -1);
  assert.equal(lineText(back.line), 'draft');
});

test('the shown part of a long line always holds the cursor', () => {
  const line = lineOf('0123456789');
  assert.deepEqual(lineWindow(line, 5), { text: '6789', cursor: 4 });
  assert.deepEqual(lineWindow({ ...line, cursor: 0 }, 5), { text: '0123456789', cursor: 0 });
  assert.deepEqual(lineWindow(lineOf('漢字漢'), 5), { text: '字漢', cursor: 4 });
  assert.deepEqual(lineWindow(lineOf('a\nb'), 9), { text: 'a⏎b', cursor: 3 });
});

test('what begins with a slash is a command, two slashes are a message', () => {
  assert.deepEqual(parseEntered('hello /to'), { type: 'message', text: 'hello /to' });
  assert.deepEqual(parseEntered('//etc/hosts'), { type: 'message', text: '/etc/hosts' });
  assert.deepEqual(parseEntered('  '), { type: 'nothing' });
  assert.deepEqual(parseEntered('/to Anna Keller'), { type: 'command', command: { name: 'to', whom: 'Anna Keller' } });
  assert.deepEqual(parseEntered('/new a@x.example, b@y.example'), {
    type: 'command',
    command: { name: 'new', people: ['a@x.example', 'b@y.example'] },
  });
  assert.deepEqual(parseEntered('/QUIT'), { type: 'command', command: { name: 'quit' } });
  assert.deepEqual(parseEntered('/edit one\ntwo'), { type: 'command', command: { name: 'edit', text: 'one\ntwo' } });
});

test('a mistake says what to type instead, and nothing is sent', () => {
  const hint = (text: string) => {
    const entered = parseEntered(text);
    assert.equal(entered.type, 'mistake', text);
    return entered.type === 'mistake' ? entered.hint : '';
  };
  assert.match(hint('/qiut'), /Did you mean \/quit\?/);
  assert.match(hint('/membres'), /Did you mean \/members\?/);
  assert.match(hint('/frobnicate'), /^There is no \/frobnicate\. \/help shows all/);
  assert.match(hint('/to'), /Type \/to NAME/);
  assert.match(hint('/react two words'), /\/react EMOJI/);
  assert.match(hint('/quit now'), /stands alone/);
  for (const [name, { usage }] of Object.entries(COMMANDS)) assert.ok(usage.startsWith(`/${name}`));
});
