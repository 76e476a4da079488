import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceId, UserAddress } from '@norc/protocol/base';
import type { KeyPackageRow, Store } from '../port.ts';
import {
  committed,
  conflicted,
  deviceRow,
  freshId,
  freshUser,
  keyPackage,
  later,
  plain,
  T0,
  type UseStore,
  viewOf,
} from './support.ts';

export function directoryContract(use: UseStore): void {
  test('a user is found by address and listed; adding it again changes nothing', async () => {
    const { store } = use();
    const user = freshUser();
    committed(await store.commit([{ op: 'user.add', user: { user, createdAt: T0 } }]));
    committed(await store.commit([{ op: 'user.add', user: { user, createdAt: later(5) } }]));
    assert.deepEqual(plain(await store.read.user(user)), { user, createdAt: T0 });
    assert.equal((await store.read.users()).filter((one) => one.user === user).length, 1);
    assert.equal(await store.read.user(freshUser()), undefined);
  });

  test('a device is found by id and by user, with every field', async () => {
    const { store } = use();
    const first = deviceRow();
    const second = deviceRow({ user: first.user, revokedAt: later(9) });
    committed(
      await store.commit([
        { op: 'device.add', device: first },
        { op: 'device.add', device: second },
      ]),
    );
    assert.deepEqual(plain(await store.read.device(first.deviceId)), plain(first));
    assert.deepEqual(plain(await store.read.devicesOf(first.user)), plain([first, second]));
    assert.equal(await store.read.device(freshId<DeviceId>()), undefined);
    assert.deepEqual(await store.read.devicesOf(freshUser()), []);
  });

  test('a second device with the same id is a conflict, and the first stays', async () => {
    const { store } = use();
    const device = deviceRow();
    committed(await store.commit([{ op: 'device.add', device }]));
    const impostor = { ...device, publicKey: viewOf(32), user: freshUser() };
    conflicted(await store.commit([{ op: 'device.add', device: impostor }]), 'device.add', 0);
    assert.deepEqual(plain(await store.read.device(device.deviceId)), plain(device));
  });

  test('a revocation keeps the time of the first one', async () => {
    const { store } = use();
    const device = deviceRow();
    committed(await store.commit([{ op: 'device.add', device }]));
    committed(await store.commit([{ op: 'device.revoke', deviceId: device.deviceId, revokedAt: later(1) }]));
    committed(await store.commit([{ op: 'device.revoke', deviceId: device.deviceId, revokedAt: later(2) }]));
    assert.equal((await store.read.device(device.deviceId))?.revokedAt, later(1));
  });

  enrolmentContract(use);
  keyPackageContract(use);
}

function enrolmentContract(use: UseStore): void {
  const useCode = (store: Store, codeHash: Uint8Array, usedAt = T0, deviceId = freshId<DeviceId>()) =>
    store.commit([{ op: 'enrolment.use', codeHash, usedAt, deviceId }]);

  test('an enrolment code works once, and remembers when and for whom', async () => {
    const { store } = use();
    const enrolment = { codeHash: viewOf(32), user: freshUser(), expiresAt: later(10) };
    const deviceId = freshId<DeviceId>();
    committed(await store.commit([{ op: 'enrolment.add', enrolment }]));
    assert.deepEqual(plain(await store.read.enrolment(enrolment.codeHash)), plain(enrolment));
    committed(await useCode(store, enrolment.codeHash, later(9), deviceId));
    conflicted(await useCode(store, enrolment.codeHash, later(9)), 'enrolment.use', 0);
    const used = { ...enrolment, usedAt: later(9), usedBy: deviceId };
    assert.deepEqual(plain(await store.read.enrolment(enrolment.codeHash)), plain(used));
  });

  test('an absent code and an expired one are conflicts', async () => {
    const { store } = use();
    const enrolment = { codeHash: viewOf(32), user: freshUser(), expiresAt: later(10) };
    committed(await store.commit([{ op: 'enrolment.add', enrolment }]));
    conflicted(await useCode(store, enrolment.codeHash, later(10)), 'enrolment.use', 0);
    conflicted(await useCode(store, viewOf(32)), 'enrolment.use', 0);
    assert.equal(await store.read.enrolment(viewOf(32)), undefined);
  });

  test('two devices that use one code at the same time: one is enrolled', async () => {
    const { store } = use();
    const enrolment = { codeHash: viewOf(32), user: freshUser(), expiresAt: later(10) };
    committed(await store.commit([{ op: 'enrolment.add', enrolment }]));
    const outcomes = await Promise.all([1, 2, 3].map(() => useCode(store, enrolment.codeHash)));
    assert.equal(outcomes.filter((outcome) => outcome.ok).length, 1);
  });
}

async function deviceWith(store: Store, user: UserAddress, packages: readonly KeyPackageRow[]): Promise<DeviceId> {
  const device = deviceRow({ user });
  const { deviceId } = device;
  committed(
    await store.commit([
      { op: 'device.add', device },
      { op: 'keyPackages.add', deviceId, packages },
    ]),
  );
  return deviceId;
}

function keyPackageContract(use: UseStore): void {
  test('a claim takes one package of each device, oldest first, and says what is left', async () => {
    const { store } = use();
    const user = freshUser();
    const packages = [keyPackage(), keyPackage(), keyPackage({ lastResort: true })];
    const deviceId = await deviceWith(store, user, packages);
    const other = await deviceWith(store, user, [keyPackage()]);
    const claimed = await store.read.claimKeyPackages(user, T0);
    assert.deepEqual(plain(claimed[0]), plain({ ...packages[0], deviceId, left: 1 }));
    assert.deepEqual(
      claimed.map((one) => [one.deviceId, one.left]),
      [
        [deviceId, 1],
        [other, 0],
      ],
    );
    assert.equal(await store.read.keyPackageCount(deviceId, T0), 1);
    assert.equal(await store.read.keyPackageCount(other, T0), 0);
  });

  test('the last-resort package is handed out only when nothing else is left, again and again', async () => {
    const { store } = use();
    const user = freshUser();
    const lastResort = keyPackage({ lastResort: true });
    await deviceWith(store, user, [lastResort, keyPackage()]);
    const claims = [];
    for (let i = 0; i < 3; i += 1) claims.push(...(await store.read.claimKeyPackages(user, T0)));
    assert.deepEqual(
      claims.map((one) => one.lastResort),
      [false, true, true],
    );
    assert.deepEqual(plain(claims[2]?.bytes), plain(lastResort.bytes));
  });

  test('a new last-resort package replaces the old one', async () => {
    const { store } = use();
    const user = freshUser();
    const deviceId = await deviceWith(store, user, [keyPackage({ lastResort: true })]);
    const renewed = keyPackage({ lastResort: true });
    committed(await store.commit([{ op: 'keyPackages.add', deviceId, packages: [renewed] }]));
    for (let i = 0; i < 2; i += 1) {
      const [claimed] = await store.read.claimKeyPackages(user, T0);
      assert.deepEqual(plain(claimed?.ref), plain(renewed.ref));
    }
  });

  test('expired packages are neither claimed nor counted', async () => {
    const { store } = use();
    const user = freshUser();
    const fresh = keyPackage({ expiresAt: later(20) });
    const expired = [keyPackage({ expiresAt: later(10) }), keyPackage({ expiresAt: later(10), lastResort: true })];
    const deviceId = await deviceWith(store, user, [...expired, fresh]);
    assert.equal(await store.read.keyPackageCount(deviceId, later(10)), 1);
    const [claimed] = await store.read.claimKeyPackages(user, later(10));
    assert.deepEqual(plain(claimed?.ref), plain(fresh.ref));
    assert.deepEqual(await store.read.claimKeyPackages(user, later(10)), [], 'an expired last resort is none');
  });

  test('revoked devices, devices without packages and unknown users give nothing', async () => {
    const { store } = use();
    const user = freshUser();
    const revoked = await deviceWith(store, user, [keyPackage(), keyPackage({ lastResort: true })]);
    await deviceWith(store, user, []);
    committed(await store.commit([{ op: 'device.revoke', deviceId: revoked, revokedAt: T0 }]));
    assert.deepEqual(await store.read.claimKeyPackages(user, T0), []);
    assert.deepEqual(await store.read.claimKeyPackages(freshUser(), T0), []);
  });

  test('claims at the same time never get the same one-time package', async () => {
    const { store } = use();
    const user = freshUser();
    const deviceId = await deviceWith(
      store,
      user,
      Array.from({ length: 20 }, () => keyPackage()),
    );
    const claims = await Promise.all(Array.from({ length: 30 }, () => store.read.claimKeyPackages(user, T0)));
    const refs = claims.flat().map((one) => Buffer.from(one.ref).toString('hex'));
    assert.equal(refs.length, 20);
    assert.equal(new Set(refs).size, 20);
    assert.equal(await store.read.keyPackageCount(deviceId, T0), 0);
  });

  test('the same package published twice is stored once; dropping takes all of a device', async () => {
    const { store } = use();
    const user = freshUser();
    const one = keyPackage();
    const deviceId = await deviceWith(store, user, [one, keyPackage({ lastResort: true })]);
    const neighbour = await deviceWith(store, user, [keyPackage()]);
    committed(await store.commit([{ op: 'keyPackages.add', deviceId, packages: [one] }]));
    assert.equal(await store.read.keyPackageCount(deviceId, T0), 1);
    committed(await store.commit([{ op: 'keyPackages.drop', deviceId }]));
    assert.deepEqual(
      (await store.read.claimKeyPackages(user, T0)).map((claimed) => claimed.deviceId),
      [neighbour],
    );
  });

  test('a claim is durable: a restart does not bring the package back', async () => {
    const under = use();
    const user = freshUser();
    await deviceWith(under.store, user, [keyPackage()]);
    assert.equal((await under.store.read.claimKeyPackages(user, T0)).length, 1);
    const reopened = await under.reopen();
    assert.deepEqual(await reopened.read.claimKeyPackages(user, T0), []);
  });
}
