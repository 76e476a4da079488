import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { CommandError, EXIT } from '../command.ts';
import { type Asking, askNewPassphrase, askSecret, askYes, readPassphraseFile } from './prompt.ts';

/** A terminal on which somebody types. */
function typing(...typed: string[]) {
  const written: string[] = [];
  const raw: boolean[] = [];
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => raw.push(on) });
  const output = {
    isTTY: true,
    write: (text: string) => {
      written.push(text);
      if (!text.includes('passphrase') && !text.includes('again') && !text.includes('Type yes')) return;
      const next = typed.shift();
      if (next !== undefined) setImmediate(() => input.write(next));
    },
  };
  const asking: Asking = { input, output };
  return { asking, written, raw };
}

test('a passphrase is typed unseen, with corrections, and the terminal is put back', async () => {
  const { asking, written, raw } = typing('hunter3\u007f2 é\u001b[200~ pasted\u001b[201~\r');
  assert.equal(await askSecret(asking, 'Your passphrase:', '--passphrase-file FILE'), 'hunter2 é pasted');
  assert.deepEqual(written, ['Your passphrase: ', '\n']);
  assert.deepEqual(raw, [true, false]);
});

test('Ctrl+C at a question changes nothing and says so', async () => {
  const { asking, raw } = typing('abc\u0003');
  const stopped = (error: unknown) => error instanceof CommandError && error.exitCode === EXIT.interrupted;
  await assert.rejects(askSecret(asking, 'Your passphrase:', 'x'), stopped);
  assert.deepEqual(raw, [true, false]);
});

test('a new passphrase is asked twice, and again when it is short or different', async () => {
  const { asking, written } = typing(
    'short\r',
    'correct horse\r',
    'other horse\r',
    'correct horse\r',
    'correct horse\r',
  );
  assert.equal(await askNewPassphrase(asking, 'x'), 'correct horse');
  const said = written.join('');
  assert.match(said, /Too short: at least 10 characters/);
  assert.match(said, /not the same/);
});

test('without a terminal a question fails and names the flag', async () => {
  const { asking } = typing();
  const piped: Asking = { ...asking, output: { ...asking.output, isTTY: false } };
  const named = (error: unknown) =>
    error instanceof CommandError &&
    error.exitCode === EXIT.usage &&
    error.next === 'answer on the command line: --yes';
  await assert.rejects(askYes(piped, 'Revoke?', '--yes'), named);
});

test('yes is the whole word', async () => {
  assert.equal(await askYes(typing('YES\n').asking, 'Revoke?', '--yes'), true);
  assert.equal(await askYes(typing('y\n').asking, 'Revoke?', '--yes'), false);
});

test('a passphrase file gives its first line; an empty or absent one is named', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'norc-prompt-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'passphrase');
  writeFileSync(path, 'correct horse\r\nsecond\n', { mode: 0o644 });
  if (process.platform !== 'win32') await assert.rejects(readPassphraseFile(path), /Others can read/);
  chmodSync(path, 0o600);
  assert.equal(await readPassphraseFile(path), 'correct horse');
  assert.equal(await readPassphraseFile(path, { isNew: true }), 'correct horse');
  writeFileSync(path, 'hunter2\n');
  assert.equal(await readPassphraseFile(path), 'hunter2', 'of a key that was sealed before');
  await assert.rejects(readPassphraseFile(path, { isNew: true }), /too short/);
  writeFileSync(path, '\n');
  await assert.rejects(readPassphraseFile(path), /is empty/);
  await assert.rejects(readPassphraseFile(join(folder, 'absent')), /cannot be read/);
});
