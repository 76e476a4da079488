import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Domain } from '@norc/protocol/base';
import { mustBe } from '@norc/testkit';
import { refusalOf, SessionRefused, TestDevice, type TestServer, TestServers, trustBetween } from '@norc/testkit/live';

let world: TestServers;
let server: TestServer;

before(async () => {
  world = await TestServers.start({ domains: ['alpha.example', 'bravo.example'] });
  server = world.at(0);
});
after(() => world.dispose());

test('two organisations on one server are as far apart as on two', async () => {
  const ann = await TestDevice.enrol(server, 'ann@alpha.example');
  const bob = await TestDevice.enrol(server, 'bob@bravo.example');
  await assert.rejects(ann.claim(bob.user), /not_trusted/);
  const conversation = await ann.create([]);
  assert.equal(
    await bob.session.refused({ type: 'log_request', body: { conversation: conversation.id, after: 0 } }),
    'forbidden',
  );
  const { body } = await conversation.encrypt('mine');
  assert.equal(
    refusalOf(await bob.session.request({ type: 'message_send', body: { conversation: conversation.id, body } })),
    'forbidden',
  );
  assert.deepEqual(await server.node(bob.domain).store.read.conversationIds(), []);
  assert.deepEqual(
    (await server.node(bob.domain).store.read.users()).map((row) => row.user),
    [bob.user],
  );
});

test('a device of one is unknown at the other', async () => {
  const cid = await TestDevice.enrol(server, 'cid@alpha.example', { stock: 0 });
  const stranger = new TestDevice(server, 'cid@bravo.example');
  await assert.rejects(
    stranger.connect(undefined, cid.own),
    (error) => error instanceof SessionRefused && error.code === 'auth_failed',
  );
});

test('they can agree on trust, over a real link, and talk', async () => {
  const [alpha, bravo] = server.domains;
  assert.ok(alpha !== undefined && bravo !== undefined);
  await trustBetween(server.node(alpha), server.node(bravo));
  const ann = await TestDevice.enrol(server, 'dan@alpha.example');
  const bob = await TestDevice.enrol(server, 'eva@bravo.example');
  const conversation = await ann.create([bob.user]);
  await conversation.say('hello neighbor');
  await bob.conversation(conversation.id).read('hello neighbor');
  await bob.conversation(conversation.id).say('hello back');
  await conversation.read('hello back');
  assert.deepEqual(server.faults, []);
});

test('trust, keys, logs and admin sockets of one are invisible to the other', async () => {
  const [first, second] = server.domains;
  assert.ok(first !== undefined && second !== undefined);
  const [alpha, bravo] = [server.node(first), server.node(second)];
  mustBe(await alpha.trust.request('carol.example' as Domain, 'basic', 'officer:test')); // well formed
  assert.deepEqual(
    bravo.trust.summaries().map(({ peer }) => peer),
    [first],
  );
  assert.equal(bravo.trust.rootKey('carol.example' as Domain), undefined);
  await Promise.all([alpha.audit.flush(), bravo.audit.flush()]);
  const entries = (await bravo.store.read.auditEntries(0, 1000)).map(({ entry }) => Buffer.from(entry).toString());
  assert.ok(entries.length > 0 && entries.every((entry) => !entry.includes('carol')));
  assert.notDeepEqual(alpha.identity.rootKey, bravo.identity.rootKey);
  assert.notDeepEqual(alpha.identity.tls.spkiSha256, bravo.identity.tls.spkiSha256);
  // Each officer speaks to the socket of their own organisation, which knows nothing of the other.
  const partners = async (domain: Domain) => {
    const socketPath = join(server.folder, domain, 'admin.sock');
    assert.equal((await stat(socketPath)).mode & 0o777, 0o600);
    return await new Promise<string>((resolve, reject) => {
      get({ socketPath, path: '/trust' }, (response) => {
        response.setEncoding('utf8');
        let text = '';
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve(text));
      }).on('error', reject);
    });
  };
  assert.match(await partners(first), /carol\.example/);
  const told = await partners(second);
  assert.ok(told.includes(first) && !told.includes('carol'), told);
});
