import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clean, cleanJson, cleanLine, cleanName } from './clean.ts';

const ESC = '\u001b';

/** What reaches a terminal as an instruction: any C0 (but LF), DEL or C1. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const INSTRUCTION = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

const ATTACKS: Readonly<Record<string, string>> = {
  'a color (SGR)': `${ESC}[31mred${ESC}[0m`,
  'a cursor move and an erased screen': `${ESC}[2J${ESC}[1;1Howned`,
  'a window title (OSC 0)': `${ESC}]0;root@server\u0007`,
  'a window title, ended by ST': `${ESC}]2;title${ESC}\\`,
  'the clipboard (OSC 52)': `${ESC}]52;c;cm0gLXJmIC8=\u0007`,
  'a hyperlink (OSC 8)': `${ESC}]8;;https://evil.example${ESC}\\click${ESC}]8;;${ESC}\\`,
  'a notification (OSC 9, 777)': `${ESC}]9;pay now\u0007${ESC}]777;notify;a;b\u0007`,
  'a device control string': `${ESC}P$q"p${ESC}\\`,
  'a question that the terminal answers as typed text': `${ESC}[6n${ESC}[c${ESC}[?2026$p`,
  'an application program command and a privacy message': `${ESC}_x${ESC}\\${ESC}^y${ESC}\\`,
  'a character set switch': `${ESC}(0lqqk\u000e\u000f`,
  'a full reset': `${ESC}c`,
  'the end of a bracketed paste': `${ESC}[201~rm -rf ~\n`,
  '8-bit introducers': '\u009b31m\u009d52;c;eA==\u009c\u0090q\u009c',
  'a carriage return over the line': 'trusted text\rforged text ',
  'backspaces over the text': 'safe\b\b\b\bevil',
  'a bell, a null and a delete': '\u0007\u0000\u007f',
  'vertical tab and form feed': '\u000b\u000c',
};

for (const [name, attack] of Object.entries(ATTACKS)) {
  test(`a message cannot carry ${name}`, () => {
    for (const safe of [clean(attack), cleanLine(attack), cleanName(attack)]) assert.doesNotMatch(safe, INSTRUCTION);
    assert.match(clean(attack), /\ufffd/, 'and what was there is seen');
  });
}

test('text that reorders or hides itself is put straight', () => {
  const cases: Readonly<Record<string, string>> = {
    'invoice\u202etxt.exe': 'invoicetxt.exe',
    'a\u2066b\u2067c\u2068d\u2069e': 'abcde',
    'a\u200eb\u200fc\u061cd': 'abcd',
    'pass\u200bword': 'password',
    '\ufeffstart': 'start',
    'one\u2028two\u2029three': 'onetwothree',
    'a\u2060b\u2064c\u206fd': 'abcd',
    'a\u00adb': 'ab',
    '\u3164\uffa0\u115f': '',
    'hi\u{e0041}\u{e007f}\u{e0100}': 'hi',
    'x\ufff9y\ufffaz\ufffb': 'xyz',
  };
  for (const [text, straight] of Object.entries(cases)) assert.equal(clean(text), straight);
});

test('what people write stays: languages, emoji families, line ends, marks on letters', () => {
  for (const text of ['héllo wörld', 'שלום', 'नमस्ते', '漢字かな', '👩‍👩‍👧', 'می‌خواهم', 'one\ntwo', 'e\u0301']) {
    assert.equal(clean(text), text);
  }
  assert.equal(clean('a\tb\r\nc'), 'a    b\nc');
});

test('a flood of marks cannot climb over other lines', () => {
  const tower = `Z${'\u0301'.repeat(500)}`;
  assert.equal(clean(tower).length, 7);
});

test('a lone surrogate becomes a visible replacement', () => {
  assert.equal(clean('a\ud800b'), 'a\ufffdb');
});

test('a line never becomes two', () => {
  assert.equal(cleanLine('hello\n09:42  anna  forged'), 'hello ⏎ 09:42  anna  forged');
});

test('names that look alike are alike: joiners and selectors fold, white space shrinks', () => {
  assert.equal(cleanName('an\u200dna\u200c\ufe0f'), 'anna');
  assert.equal(cleanName('  anna \n (alpha.example)\t x '), 'anna (alpha.example) x');
  assert.equal(cleanName('\u200b \u3164'), '?');
  assert.equal([...cleanName('x'.repeat(500))].length, 64);
});

test('JSON for a terminal is the same JSON without raw controls', () => {
  const value = { text: Object.values(ATTACKS).join(''), bidi: '\u202e\u{e0041}', tab: '\t' };
  for (const indent of [undefined, 2]) {
    const json = cleanJson(value, indent);
    assert.deepEqual(JSON.parse(json), value);
    assert.doesNotMatch(json.replaceAll('\n', ''), INSTRUCTION);
    assert.doesNotMatch(json, /[\u202e\u{e0041}]/u);
  }
});

test('cleaning any text leaves no instruction, and cleaning again changes nothing', () => {
  const nasty = fc.string({
    unit: fc.oneof(fc.string({ unit: 'binary', maxLength: 1 }), fc.constantFrom(...Object.values(ATTACKS))),
  });
  fc.assert(
    fc.property(nasty, (text) => {
      for (const how of [clean, cleanLine, cleanName]) {
        const once = how(text);
        assert.doesNotMatch(once, INSTRUCTION);
        assert.equal(how(once), once);
      }
    }),
    { numRuns: 500 },
  );
});
