import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { filesBelow, filesWith } from './plaintext-search.ts';
import { Sandbox } from './sandbox.ts';

let sandbox: Sandbox;
before(async () => {
  sandbox = await Sandbox.create();
});
after(() => sandbox.close());

/** Two seconds here; fifteen are promised, on any machine that runs the tests. */
const READY_MS_MAX = 15_000;

test('npm start plays the whole path, and ends with 0 after the script', async () => {
  const begin = performance.now();
  const { code, out, err } = await sandbox.norc(['demo', '--once']);
  assert.equal(code, 0, `${out}\n${err}`);
  assert.ok(performance.now() - begin < READY_MS_MAX);
  for (const part of [
    'alpha.example asks for level basic',
    "bravo.example's officer approves",
    /in force until \d{4}-\d{2}-\d{2}; linked by NORC-F 2\.0/,
    'anna@alpha.example  phone   enrolled',
    'anna@alpha.example  laptop  enrolled',
    'ben@bravo.example  laptop   enrolled',
    /NORC-C 2\.0, suite 0x0101/,
    'an MLS group of 3 devices',
    /epoch 1, sent \d+ ms, delivered \d+ ms, read by ben \(laptop\) \d+ ms/,
    /These words are in none of the \d+ files/,
    /Done in [\d.]+ s: every step worked/,
  ]) {
    assert.ok(typeof part === 'string' ? out.includes(part) : part.test(out), `${part}\n${out}`);
  }
  // What the servers could see, beside the words as ben read them.
  assert.match(out, /sender\s+anna@alpha\.example\s+anna@alpha\.example/);
  const [, atAlpha, atBravo] = /content\s+([0-9a-f]{24})\s+([0-9a-f]{24})/.exec(out) ?? [];
  assert.ok(atAlpha !== undefined);
  assert.equal(atAlpha, atBravo);
  assert.match(out, /ben \(laptop\) read {2}“Good morning Ben/);
});

test('what was said is in no file of either server, in no form', () => {
  const words = 'The pumps leave our depot on Thursday';
  for (const side of ['alpha', 'bravo']) {
    const folder = sandbox.path('.norc', 'demo', side);
    const files = filesBelow(folder);
    assert.ok(files.some((file) => file.endsWith('norc.db')) && files.some((file) => file.endsWith('server.log')));
    assert.deepEqual(filesWith(folder, words), []);
  }
  // The search itself works, and the devices keep what they say sealed as well.
  assert.deepEqual(filesWith(sandbox.path('.norc', 'demo', 'devices'), words), []);
});

test('a folder that holds something else is left alone', async () => {
  await mkdir(sandbox.path('mine'));
  await writeFile(sandbox.path('mine', 'diary.txt'), 'dear diary');
  const { code, err } = await sandbox.norc(['demo', '--once', '--data', 'mine']);
  assert.equal(code, 73);
  assert.match(err, /holds something else/);
  assert.equal(await readFile(sandbox.path('mine', 'diary.txt'), 'utf8'), 'dear diary');
});

test('it stays until it is stopped, is joined with a printed command, and leaves no server behind when it is killed', async () => {
  const demo = sandbox.start(['demo', '--data', 'stay']);
  await demo.line(/Ctrl-C stops both servers/);
  const ports = [...demo.out.matchAll(/ports (\d+) \(devices\)/g)].map((match) => Number(match[1]));
  assert.equal(ports.length, 2);

  const again = await sandbox.norc(['demo', '--data', 'stay']);
  assert.equal(again.code, 75);
  assert.match(again.err, /A demo is running/);

  const ben = sandbox.start(['chat', '--profile', 'stay/devices/ben-laptop']);
  await ben.line(/You {2}Yes\. Gate 4/);
  ben.write('Is anybody there?');
  await ben.line(/\[Read\] {2}Is anybody there\?/);
  await ben.line(/anna \(alpha\.example\) {2}\(anna's phone is a script\) I read your 17 letters\./);
  ben.end();
  assert.equal(await ben.ended, 0);

  await demo.kill('SIGKILL');
  await Promise.all(ports.map(closed));
});

/** Resolves when nobody listens there any more: servers of a killed demo end by themselves. */
function closed(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('error', () => resolve());
    // Whoever still listens cuts the connection when it ends; then it is asked again.
    socket.on('close', (failed) => (failed ? resolve() : void closed(port).then(resolve)));
    socket.resume();
  });
}

test('Ctrl-C ends it with 0, and both servers with it', async () => {
  const demo = sandbox.start(['demo', '--data', 'interrupted']);
  await demo.line(/Ctrl-C stops both servers/);
  assert.equal(await demo.kill('SIGINT'), 0);
  assert.ok(!existsSync(sandbox.path('interrupted', 'alpha', 'data', 'alpha.example', 'admin.sock')));
  const log = await readFile(sandbox.path('interrupted', 'bravo', 'server.log'), 'utf8');
  assert.match(log, /"event":"server_stopped"/);
});
