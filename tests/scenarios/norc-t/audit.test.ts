import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { type AuditRecord, auditSigner, verifyAuditChain } from '@norc/protocol/audit';
import { mustBe } from '@norc/testkit';
import { TestDevice, type TestServer, TestServers, trustState, until } from '@norc/testkit/live';

let world: TestServers;
let alpha: TestServer;
let bravo: TestServer;

before(async () => {
  world = await TestServers.start('alpha.example', 'bravo.example');
  [alpha, bravo] = [world.at(0), world.at(1)];
});
after(() => world.dispose());

async function entries(server: TestServer): Promise<readonly (AuditRecord & { readonly type: string })[]> {
  await server.node().audit.flush();
  return await server.node().store.read.auditEntries(0, 1000);
}

function verify(server: TestServer, records: readonly AuditRecord[]) {
  const { identity } = server.node();
  const pinned = { org: server.domain, rootKey: server.rootKey() };
  const signer = mustBe(auditSigner(nodeCrypto, pinned, identity.certificate.document.bytes));
  return verifyAuditChain(nodeCrypto, records, { org: server.domain, signers: [signer] });
}

test('what happens is in the log, chained and signed, without a name', async () => {
  await world.trust(alpha, bravo);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example', { stock: 0 });
  const second = await TestDevice.enrol(alpha, 'ann@alpha.example', { stock: 0 });
  await ann.session.ask({ type: 'device_revoke', body: { device_id: second.deviceId } }, 'device_list');
  assert.ok((await alpha.node().trust.revoke(bravo.domain, 'officer:test', 'test')).ok);
  await until('bravo knows', () => trustState(bravo.node(), alpha.domain) === 'revoked');
  const expected = {
    alpha: [
      'server_started',
      'trust_requested',
      'trust_established',
      'user_added',
      'enrolment_created',
      'device_registered',
      'device_revoked',
      'revocation_issued',
    ],
    bravo: ['server_started', 'trust_request_received', 'trust_approved', 'trust_established', 'revocation_received'],
  };
  for (const [server, types] of [
    [alpha, expected.alpha],
    [bravo, expected.bravo],
  ] as const) {
    const records = await entries(server);
    const seen = records.map((one) => one.type);
    for (const type of types) assert.ok(seen.includes(type), `${server.domain}: ${type} in ${seen.join(' ')}`);
    assert.equal(verify(server, records).kind, 'sound');
    const text = records.map((one) => Buffer.from(one.entry).toString()).join('\n');
    for (const secret of ['ann@', ann.deviceId, second.deviceId])
      assert.ok(!text.includes(secret), 'a plain id is in the log');
  }
});

test('verification names the first entry that somebody changed, took out or put in', async () => {
  const records = [...(await entries(alpha))];
  const at = (index: number) => records[index] ?? assert.fail();
  const changed = records.map((one, index) => (index === 3 ? { ...one, entry: rewritten(one.entry) } : one));
  const cases = [
    { name: 'changed', log: changed, sequence: 4 },
    { name: 'taken out', log: records.filter((_, index) => index !== 2), sequence: 3 },
    { name: 'swapped', log: [at(0), at(2), at(1), ...records.slice(3)], sequence: 2 },
    {
      name: 'signed by nobody',
      log: records.map((one, index) => (index === 1 ? { ...one, signature: new Uint8Array(64) } : one)),
      sequence: 2,
    },
  ];
  for (const { name, log, sequence } of cases) {
    const report = verify(
      alpha,
      log.map(({ entry, signature }) => ({ entry, signature })),
    );
    assert.ok(report.kind === 'broken' && report.sequence === sequence, name);
  }
});

function rewritten(entry: Uint8Array): Uint8Array {
  return Uint8Array.from(Buffer.from(Buffer.from(entry).toString().replace('"outcome":"ok"', '"outcome":"refused"')));
}

test('an event and its entry are stored together or not at all', async () => {
  const { disk } = alpha;
  const node = alpha.node();
  const before = await entries(alpha);
  const device = new TestDevice(alpha, 'bea@alpha.example');
  const enrolment = await device.invite();
  disk.fail('disk_full', (writes) => writes.some((write) => write.op === 'audit.append'));
  await assert.rejects(device.connect(enrolment));
  assert.equal(await node.directory.device(device.deviceId), undefined);
  await assert.rejects(node.directory.addUser(new TestDevice(alpha, 'cid@alpha.example').user, 'officer:test'));
  disk.repair();
  assert.deepEqual((await node.store.read.users()).map((row) => row.user).sort(), [
    'ann@alpha.example',
    'bea@alpha.example',
  ]);
  await device.connect(enrolment); // the code was not spent
  const later = await entries(alpha);
  assert.equal(verify(alpha, later).kind, 'sound');
  assert.deepEqual(
    later.slice(before.length).map((one) => one.type),
    ['user_added', 'enrolment_created', 'device_registered'],
  );
});
