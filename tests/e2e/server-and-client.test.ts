import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { freePort, Sandbox, type ServerProcess } from './sandbox.ts';

describe("the seed's two commands", () => {
  let sandbox: Sandbox;
  let server: ServerProcess;
  before(async () => {
    sandbox = await Sandbox.create();
    server = await sandbox.server();
    sandbox.environment['NORC_SERVER'] = `127.0.0.1:${server.port}`;
  });
  after(() => sandbox.close());

  test('the client shows what was negotiated and registers the device, once', async () => {
    const first = await sandbox.norc(['client']);
    assert.equal(first.code, 0, first.err);
    assert.match(first.out, /Version +2\.0\n/);
    assert.match(first.out, /Suite +0x0101 \(X25519 \+ ML-KEM-768/);
    assert.match(first.out, /Transcript +([0-9a-f]{4} ){3}[0-9a-f]{4}\n/);
    assert.match(first.out, /Compatibility mode +no\n/);
    const [, device] = /^registered: .*, device ([0-9a-f]{32})/m.exec(first.out) ?? [];
    assert.ok(device !== undefined, first.out);

    const second = await sandbox.norc(['client']);
    assert.equal(second.code, 0, second.err);
    assert.match(second.out, new RegExp(`^already registered: .*, device ${device}`, 'm'));
  });

  test('without a code and without the server of one’s own it shows the hello, and says what is needed', async () => {
    await mkdir(sandbox.path('elsewhere'));
    const client = sandbox.start(['client'], sandbox.path('elsewhere'));
    assert.equal(await client.ended, 0, client.err);
    assert.match(client.out, /Version +2\.0/);
    assert.match(client.out, /^not registered$/m);
    assert.match(client.err, /norc enroll USER/);
  });

  test('a server that is not there is 69, at once', async () => {
    const port = await freePort();
    const { code, err } = await sandbox.norc(['client', '--profile', 'new', '--server', `127.0.0.1:${port}`]);
    assert.equal(code, 69);
    assert.match(err, /No NORC server answers.*\nnext: .*npm run server/);
  });

  test('a code of a wrong spelling is refused before anything is asked or made', async () => {
    const { code, err } = await sandbox.norc(['enroll', 'norc1-aaaaa-bbbbb', '--profile', 'new']);
    assert.equal(code, 65);
    assert.match(err, /mistyped/);
  });

  test('a code works once', async () => {
    await sandbox.must(['user', 'add', 'eve@dev.example']);
    const { code } = JSON.parse(await sandbox.must(['enroll', 'eve@dev.example', '--json'])) as { code: string };
    await sandbox.must(['enroll', code, '--profile', 'one', '--unlock-file', 'one.key']);
    const second = await sandbox.norc(['enroll', code, '--profile', 'two', '--unlock-file', 'two.key']);
    assert.equal(second.code, 1);
    assert.match(second.err, /wrong, used or too old/);
  });

  test('a second server on the same data is 75, and the first one goes on', async () => {
    const { code, err } = await sandbox.norc(['server', '--listen', '127.0.0.1:0']);
    assert.equal(code, 75);
    assert.match(err, /norc\.db/);
    await sandbox.must(['user', 'list']);
  });

  test('SIGTERM drains it and ends it with 0; the next one finds everything', async () => {
    assert.equal(await server.running.kill('SIGTERM'), 0);
    server = await sandbox.server();
    assert.match(await sandbox.must(['user', 'list']), /eve@dev\.example +1 /);
    assert.match(await sandbox.must(['audit', 'verify']), /is sound: \d+ entries/);
  });
});

describe('a server that cannot start says why, and what to do', () => {
  let sandbox: Sandbox;
  before(async () => {
    sandbox = await Sandbox.create();
  });
  after(() => sandbox.close());

  test('a port in use is 75, for devices and for servers', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const address = taken.address();
    const place = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
    for (const options of [
      ['--listen', place],
      ['--listen', '127.0.0.1:0', '--federation', place],
    ]) {
      const { code, err } = await sandbox.norc(['server', ...options]);
      assert.equal(code, 75, err);
      assert.match(err, new RegExp(`already listens on ${place}`));
      assert.match(err, /next: .*--listen/);
    }
    taken.close();
  });

  test('wrong settings are 78, each of them named', async () => {
    await writeFile(sandbox.path('wrong.toml'), '[organisation]\ndomains = ["UPPER"]\n[listen]\nprot = 1\n');
    const { code, err } = await sandbox.norc(['server', '--config', 'wrong.toml']);
    assert.equal(code, 78);
    assert.match(err, /organisation\.domains/);
    assert.match(err, /listen\.prot.*did you mean "port"/);
  });

  test('an organisation that was never made is 78, and is not made by itself where there is a configuration', async () => {
    await writeFile(sandbox.path('real.toml'), '[organisation]\ndomains = ["real.example"]\ndata = "real"\n');
    const { code, err } = await sandbox.norc(['server', '--config', 'real.toml']);
    assert.equal(code, 78);
    assert.match(err, /norc org init real\.example/);
  });

  test('a database of a newer version is 65, and is not touched', async () => {
    const server = await sandbox.server('--data', 'newer');
    await server.running.kill('SIGTERM');
    const file = sandbox.path('newer', 'dev.example', 'norc.db');
    changeVersion(file, 1000);
    const { code, err } = await sandbox.norc(['server', '--data', 'newer', '--listen', '127.0.0.1:0']);
    assert.equal(code, 65, err);
    assert.match(err, /newer version/);
    const doctor = await sandbox.norc(['doctor', '--data', 'newer']);
    assert.equal(doctor.code, 1);
    assert.match(doctor.out, /^fail .*newer version \(schema 1000/m);
    assert.equal(changeVersion(file, 1), 1000);
  });

  test('a key that others can read is 78, and named', { skip: process.platform === 'win32' }, async () => {
    const server = await sandbox.server('--data', 'open');
    await server.running.kill('SIGTERM');
    const key = sandbox.path('open', 'dev.example', 'keys', 'server.key');
    await chmod(key, 0o644);
    const { code, err } = await sandbox.norc(['server', '--data', 'open', '--listen', '127.0.0.1:0']);
    assert.equal(code, 78);
    assert.match(err, /server\.key is readable by others/);
  });
});

/** Gives the version that was there. */
function changeVersion(file: string, version: number): unknown {
  const database = new DatabaseSync(file);
  const before = database.prepare('PRAGMA user_version').get()?.['user_version'];
  database.exec(`PRAGMA user_version = ${version}`);
  database.close();
  return before;
}
