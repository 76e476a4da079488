import assert from 'node:assert/strict';
import { test } from 'node:test';
import { factLines, fingerprintLines, tableLines } from './output.ts';

test('columns are aligned by what the terminal shows, not by the length of the text', () => {
  const lines = tableLines(
    ['NAME', 'STATE'],
    [
      ['日本', 'active'],
      ['anna', 'revoked'],
    ],
  );
  assert.deepEqual(lines, ['NAME  STATE', '日本  active', 'anna  revoked']);
});

test('a name with a line end or an escape sequence stays in its cell', () => {
  const [, row = ''] = tableLines(['NAME', 'STATE'], [['a\nb\u001b[31m', 'active']]);
  assert.ok(!row.includes('\n'));
  assert.ok(!row.includes('\u001b'));
});

test('facts stand in two columns, further values below the first', () => {
  assert.deepEqual(
    factLines([
      ['Root fingerprint', ['aaaa bbbb', 'cccc dddd']],
      ['Data', 'folder'],
    ]),
    ['  Root fingerprint  aaaa bbbb', '                    cccc dddd', '  Data              folder'],
  );
});

test('a fingerprint is two lines of eight groups', () => {
  const groups = Array.from({ length: 16 }, (_, i) => String(i).padStart(4, '0'));
  assert.deepEqual(fingerprintLines(groups.join(' ')), [groups.slice(0, 8).join(' '), groups.slice(8).join(' ')]);
});

test('a value that was written to look like more facts stays on its line', () => {
  const forged = 'Project X\n  Their root key  1111 2222\r\n\u001b[2K';
  const lines = factLines([
    ['Note', forged],
    ['Several\nlines', [forged, 'b']],
  ]);
  assert.equal(lines.length, 3);
  for (const line of lines) assert.ok(!['\r', '\n', '\u001b'].some((one) => line.includes(one)), line);
});
