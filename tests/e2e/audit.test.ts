import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { fromHex } from '@norc/protocol/base';
import { verifyExport } from '../../apps/norc/src/audit/export-file.ts';
import { Sandbox } from './sandbox.ts';

let sandbox: Sandbox;
let root = '';
let lines: readonly string[] = [];

before(async () => {
  sandbox = await Sandbox.create();
  await sandbox.server();
  for (const name of ['anna', 'ben', 'carla']) await sandbox.must(['user', 'add', `${name}@dev.example`]);
  await sandbox.must(['audit', 'export', 'log']);
  lines = (await readFile(sandbox.path('log'), 'utf8')).trimEnd().split('\n');
  const shown = JSON.parse(await sandbox.must(['org', 'show', '--json'])) as { root_fingerprint: string }; // our own command's
  root = shown.root_fingerprint;
});
after(() => sandbox.close());

/** The exported log with some of its lines changed. */
async function changed(change: (lines: string[]) => void): Promise<string> {
  const all = [...lines];
  change(all);
  const file = sandbox.path('changed');
  await writeFile(file, `${all.join('\n')}\n`);
  return file;
}

const verify = (file: string, fingerprint: string) => sandbox.norc(['audit', 'verify', file, '--root', fingerprint]);

test('an exported log is verified without a server, by the root fingerprint alone', async () => {
  // Spaces and capitals of the fingerprint do not matter.
  const { code, out } = await verify('log', root.replaceAll(' ', '').toUpperCase());
  assert.equal(code, 0);
  assert.match(out, new RegExp(`dev\\.example is sound: ${lines.length - 1} entries`));
});

test('the first broken entry is named: changed, left out, put elsewhere, cut off in the middle', async () => {
  const cases: readonly (readonly [(lines: string[]) => void, number])[] = [
    [(all) => (all[2] = all[2]?.replace('"user_added"', '"user_admin"') ?? ''), 2],
    [(all) => all.splice(3, 1), 3],
    [(all) => all.splice(2, 2, all[3] ?? '', all[2] ?? ''), 2],
    [(all) => (all[4] = all[4]?.slice(0, 40) ?? ''), 4],
    [(all) => (all[3] = all[3]?.replace(/"signature":"...../, '"signature":"AAAAA') ?? ''), 3],
  ];
  const fingerprint = fromHex(root.replaceAll(' ', ''));
  assert.ok(fingerprint !== undefined);
  for (const [change, entry] of cases) {
    const { report } = await verifyExport(await changed(change), { fingerprint });
    assert.equal(report.kind === 'broken' ? report.sequence : 'sound', entry);
  }
  const { code, out } = await verify(await changed((all) => all.splice(3, 1)), root);
  assert.equal(code, 1);
  assert.match(out, /is broken at entry 3: entry 4 in place 3 \(log_gap\)/);
});

test('an end that was cut off shows when a later entry is known', async () => {
  const [, last = ''] = /Last entry +(\d+:[0-9a-f]{64})/.exec((await verify('log', root)).out) ?? [];
  const file = await changed((all) => all.pop());
  assert.equal((await verify(file, root)).code, 0, 'by itself it cannot show');
  const args = ['audit', 'verify', '--root', root, '--contains', last];
  const cut = await sandbox.norc([...args, file]);
  assert.equal(cut.code, 1);
  assert.match(cut.out, /\(truncated\)/);
  assert.equal((await sandbox.norc([...args, 'log'])).code, 0);
});

test('a log of another root key is refused, whatever it says about itself', async () => {
  const { code, err } = await verify('log', '00'.repeat(32));
  assert.equal(code, 1);
  assert.match(err, /belongs to another root key/);
});

test('what is no exported log is 65; a wrong fingerprint on the command line is 64', async () => {
  assert.equal((await verify(await changed((all) => all.shift()), root)).code, 65);
  assert.equal((await verify('absent', root)).code, 65);
  assert.equal((await verify('log', 'f00')).code, 64);
});

test('an export never overwrites a file', async () => {
  const { code, err } = await sandbox.norc(['audit', 'export', 'log']);
  assert.equal(code, 73);
  assert.match(err, /exists already/);
});

test('the log names no person: they are pseudonyms', async () => {
  const text = await readFile(sandbox.path('log'), 'utf8');
  for (const name of ['anna', 'ben@', 'carla']) assert.ok(!text.includes(name), name);
  const listed = await sandbox.must(['audit', 'list', '--limit', '2']);
  assert.equal(listed.trimEnd().split('\n').length, 3, 'a head and two entries');
});
