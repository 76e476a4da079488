import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Sandbox } from './sandbox.ts';

let sandbox: Sandbox;
before(async () => {
  sandbox = await Sandbox.create();
});
after(() => sandbox.close());

const COUNT = 60;
const KILL_AT = 25;

test('a server that is killed loses nothing that it acknowledged, nobody gets anything twice, and the chats go on', async () => {
  const first = await sandbox.server();
  await Promise.all([sandbox.enroll('anna@dev.example', 'anna'), sandbox.enroll('ben@dev.example', 'ben')]);
  const anna = sandbox.start(['chat', '--profile', 'anna', '--to', 'ben@dev.example']);
  await anna.line(/^-- ben\./);
  const ben = sandbox.start(['chat', '--profile', 'ben', '--to', 'anna@dev.example']);
  await ben.line(/^-- anna\./);
  const texts = Array.from({ length: COUNT }, (_, i) => `message ${i}.`);
  for (const text of texts) anna.write(text);
  await anna.line(new RegExp(`\\[Sent\\] {2}message ${KILL_AT}\\.$`));
  await first.running.kill('SIGKILL');

  const again = sandbox.start(['server', '--json', '--listen', `127.0.0.1:${first.port}`]);
  await again.line(/^\{"ready"/);
  await ben.line(new RegExp(`anna {2}message ${COUNT - 1}\\.$`));
  anna.end();
  assert.equal(await anna.ended, 0, anna.err);
  ben.end();
  await ben.ended;
  const received = [...ben.out.matchAll(/anna {2}(message \d+\.)$/gm)].map((match) => match[1]);
  assert.deepEqual(received, texts, 'all of them, each once, in the order in which they were written');
  assert.match(await sandbox.must(['audit', 'verify']), /is sound/);
});
