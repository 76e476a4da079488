import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { verifyAuditChain } from '@norc/protocol/audit';
import { type DeviceId, type Domain, idFromBytes, instant, parseUserAddress } from '@norc/protocol/base';
import type { Signer } from '@norc/protocol/crypto';
import type { AuditEvent } from '../services.ts';
import { MemoryDisk, openMemoryStore } from '../storage/memory.ts';
import type { Store } from '../storage/port.ts';
import { AuditService } from './audit-service.ts';

const ORG = 'alpha.example' as Domain; // well formed
const NOW = instant(1_800_000_000_000);
const KEYS = nodeCrypto.ed25519.keyPair((length) => new Uint8Array(length).fill(7));
const SIGNER: Signer = {
  algorithm: 'ed25519',
  publicKey: KEYS.publicKey,
  sign: async (message: Uint8Array) => nodeCrypto.ed25519.sign(KEYS.privateKey, message),
};

const event = (subject: string): AuditEvent => ({ type: 'user_added', actor: 'officer:one', subject, outcome: 'ok' });

function service(store: Store, waiting: (() => void)[] = []): AuditService {
  return new AuditService({
    ...{
      store,
      org: ORG,
      crypto: nodeCrypto,
      clock: { now: () => NOW },
      signer: SIGNER,
      pseudonymKey: new Uint8Array(32),
    },
    after: (_, run) => void waiting.push(run),
    onFault: (fault: unknown) => assert.fail(String(fault)),
  });
}

async function chain(store: Store) {
  const records = await store.read.auditEntries(0, 100);
  const signers = [{ publicKey: KEYS.publicKey, notBefore: instant(0), notAfter: instant(NOW + 1) }];
  return { records, report: verifyAuditChain(nodeCrypto, records, { org: ORG, signers }) };
}

test('events that come at the same time make one chain', async () => {
  const store = openMemoryStore();
  const audit = service(store);
  await Promise.all(Array.from({ length: 20 }, (_, i) => audit.commit([], [event(`user:u${i}@alpha.example`)])));
  const { records, report } = await chain(store);
  assert.ok(report.kind === 'sound' && records.length === 20);
});

test('an entry that somebody else appended first is chained after', async () => {
  const store = openMemoryStore();
  const [audit, other] = [service(store), service(store)];
  for (let i = 0; i < 4; i += 1) {
    assert.ok((await audit.commit([], [event(`user:a${i}@alpha.example`)])).ok);
    assert.ok((await other.commit([], [event(`user:b${i}@alpha.example`)])).ok);
  }
  const { records, report } = await chain(store);
  assert.ok(report.kind === 'sound' && records.length === 8);
});

test('a failing disk keeps neither the event nor its entry, and the next one works', async () => {
  const disk = new MemoryDisk();
  const store = openMemoryStore(disk);
  const audit = service(store);
  const user = parseUserAddress('ann@alpha.example');
  assert.ok(user.ok);
  const write = { op: 'user.add', user: { user: user.value, createdAt: NOW } } as const;
  disk.failNext(1, 'disk_full');
  await assert.rejects(audit.commit([write], [event(`user:${user.value}`)]));
  assert.equal(await store.read.user(user.value), undefined);
  assert.equal(await store.read.auditHead(), undefined);
  assert.ok((await audit.commit([write], [event(`user:${user.value}`)])).ok);
  assert.equal((await chain(store)).report.kind, 'sound');
});

test('a write that conflicts leaves no entry', async () => {
  const store = openMemoryStore();
  const deviceId = idFromBytes<DeviceId>(new Uint8Array(16));
  const write = { op: 'enrolment.use', codeHash: new Uint8Array(32), usedAt: NOW, deviceId } as const;
  const outcome = await service(store).commit([write], [event('user:one')]);
  assert.deepEqual(outcome, { ok: false, conflict: 'enrolment.use' });
  assert.equal(await store.read.auditHead(), undefined);
});

test('a flood of one kind is one entry with its count', async () => {
  const store = openMemoryStore();
  const waiting: (() => void)[] = [];
  const audit = service(store, waiting);
  for (let i = 0; i < 1000; i += 1)
    audit.note({ type: 'enrolment_refused', actor: 'user:eve', subject: 'device:d', outcome: 'refused' });
  audit.note({ type: 'enrolment_refused', actor: 'user:eve', subject: 'device:e', outcome: 'refused' });
  assert.equal(waiting.length, 1);
  assert.equal(await store.read.auditHead(), undefined);
  await audit.flush();
  const { records, report } = await chain(store);
  assert.ok(report.kind === 'sound' && records.length === 2);
  assert.ok(
    Buffer.from(records[0]?.entry ?? [])
      .toString()
      .includes('"count":1000'),
  );
});

test('people and devices are in the log by pseudonym only', async () => {
  const store = openMemoryStore();
  await service(store).commit([], [event('user:ann@alpha.example'), event('device:0123')]);
  const { records } = await chain(store);
  const text = records.map(({ entry }) => Buffer.from(entry).toString()).join();
  assert.ok(!text.includes('ann') && !text.includes('0123') && !text.includes('officer:one'));
});
