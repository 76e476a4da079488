import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { type Running, Sandbox, type ServerProcess } from './sandbox.ts';

let sandbox: Sandbox;
let server: ServerProcess;
before(async () => {
  sandbox = await Sandbox.create();
  server = await sandbox.server();
  await Promise.all([sandbox.enroll('anna@dev.example', 'anna'), sandbox.enroll('ben@dev.example', 'ben')]);
});
after(() => sandbox.close());

const chat = (profile: string, ...args: readonly string[]): Running =>
  sandbox.start(['chat', '--profile', profile, ...args]);

test('two people talk on two terminals, with delivered and read marks, and find it all again', async () => {
  const anna = chat('anna', '--to', 'ben@dev.example');
  await anna.line(/^-- ben\. UNCLASSIFIED/);
  anna.write('Hello Ben');
  const ben = chat('ben', '--to', 'anna@dev.example');
  await ben.line(/^\d\d:\d\d {2}anna {2}Hello Ben$/);
  await anna.line(/\[Read\] {2}Hello Ben$/);
  ben.write('Hello Anna');
  await anna.line(/^\d\d:\d\d {2}ben {2}Hello Anna$/);
  anna.write('/members');
  await anna.line(/^-- anna@dev\.example {2}one device, this one among them$/);
  anna.write('/info');
  await anna.line(/^-- {3}(\d{5} ){5}\d{5}$/);
  anna.write('/quit');
  ben.end();
  assert.deepEqual(await Promise.all([anna.ended, ben.ended]), [0, 0]);

  const later = await sandbox.norc(['chat', '--profile', 'anna']);
  assert.equal(later.code, 0, later.err);
  assert.match(later.out, /You {2}Hello Ben {3}\[Read\]\n.*ben {2}Hello Anna\n/);
});

test('lines from a pipe are all with the server when the chat ends', async () => {
  const lines = Array.from({ length: 20 }, (_, i) => `line ${i} of 20`);
  const { code, out, err } = await sandbox.norc(
    ['chat', '--profile', 'anna', '--to', 'ben@dev.example'],
    `${lines.join('\n')}\n`,
  );
  assert.equal(code, 0, `${out}\n${err}`);
  const ben = chat('ben', '--to', 'anna@dev.example');
  await ben.line(/anna {2}line 19 of 20$/);
  ben.end();
  await ben.ended;
  const received = [...ben.out.matchAll(/anna {2}(line \d+ of 20)$/gm)].map((match) => match[1]);
  assert.deepEqual(received, lines, 'each once, in order');
});

test('what is written while the server is away is kept: exit 2 says so, and the next chat sends it', async () => {
  await server.running.kill('SIGTERM');
  const away = chat('anna', '--to', 'ben@dev.example');
  away.write('written in the dark');
  await away.line(/written in the dark {3}\[Sending\]/);
  away.write('/quit');
  assert.equal(await away.ended, 2);
  assert.match(away.err, /One message is not sent yet/);

  const restarted = sandbox.start(['server', '--json', '--listen', `127.0.0.1:${server.port}`]);
  await restarted.line(/^\{"ready"/);
  server = { running: restarted, port: server.port };
  const anna = await sandbox.norc(['chat', '--profile', 'anna']);
  assert.equal(anna.code, 0, anna.err);
  const ben = chat('ben', '--to', 'anna@dev.example');
  await ben.line(/anna {2}written in the dark$/);
  ben.end();
  assert.equal(await ben.ended, 0);
});

test("no escape sequence of another person's message reaches the terminal", async () => {
  const hostile = 'a\u001b]0;owned\u0007\u001b[31mred\u202egnp.exe\u009b2J end';
  await sandbox.must(['chat', '--profile', 'anna', '--to', 'ben@dev.example'], `${hostile}\n`);
  const ben = chat('ben', '--to', 'anna@dev.example');
  await ben.line(/ end$/);
  ben.end();
  await ben.ended;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(ben.out, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
});

test('somebody who is not there cannot be reached, and that is said', async () => {
  const { code, err } = await sandbox.norc(['chat', '--profile', 'anna', '--to', 'nobody@dev.example']);
  assert.equal(code, 1);
  assert.match(err, /nobody@dev\.example can't be reached/);
});

test('an organisation without trust cannot be reached, and that is said', async () => {
  const { code, err } = await sandbox.norc(['chat', '--profile', 'anna', '--to', 'ben@other.example']);
  assert.equal(code, 1);
  assert.match(err, /Your organisation and other\.example have no agreement/);
});

test('a profile that another chat has open is 75; a folder without a device is 73', async () => {
  const anna = chat('anna');
  await anna.line(/Connected/);
  const second = await sandbox.norc(['chat', '--profile', 'anna']);
  assert.equal(second.code, 75);
  anna.end();
  await anna.ended;
  assert.equal((await sandbox.norc(['chat', '--profile', 'nobody'])).code, 73);
});

test('a wrong passphrase or secret is 77, and opens nothing', async () => {
  await sandbox.must(['user', 'add', 'paula@dev.example']);
  const { code } = JSON.parse(await sandbox.must(['enroll', 'paula@dev.example', '--json'])) as { code: string };
  await writeFile(sandbox.path('right.txt'), 'correct horse battery staple\n', { mode: 0o600 });
  await writeFile(sandbox.path('wrong.txt'), 'correct horse battery maple\n', { mode: 0o600 });
  await sandbox.must(['enroll', code, '--profile', 'paula', '--passphrase-file', 'right.txt']);
  const wrong = await sandbox.norc(['chat', '--profile', 'paula', '--passphrase-file', 'wrong.txt']);
  assert.equal(wrong.code, 77);
  assert.match(wrong.err, /The passphrase is wrong/);
  assert.doesNotMatch(wrong.err, /maple/);
  assert.equal((await sandbox.norc(['chat', '--profile', 'paula', '--passphrase-file', 'right.txt'])).code, 0);
  const other = await sandbox.norc(['chat', '--profile', 'anna', '--unlock-file', 'ben.key']);
  assert.equal(other.code, 77);
});

test('without a terminal a passphrase is not asked for: the option is named', async () => {
  const { code, err } = await sandbox.norc(['chat', '--profile', 'paula']);
  assert.equal(code, 64);
  assert.match(err, /--unlock-file FILE or --passphrase-file FILE/);
});

test('a device that was put out is told so', async () => {
  const [device] = JSON.parse(await sandbox.must(['device', 'list', 'paula@dev.example', '--json'])) as [
    { device_id: string },
  ];
  const paula = chat('paula', '--passphrase-file', 'right.txt');
  await paula.line(/Connected/);
  await sandbox.must(['device', 'revoke', device.device_id, '--yes']);
  await paula.line(/Stopped: .*not accepted by your server/);
  paula.end();
  await paula.ended;
});
