import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import type { UserAddress } from '@norc/protocol/base';
import fc from 'fast-check';
import { type PersonDevices, safetyNumber, safetyNumberGroups } from './safety-number.ts';

const key = (n: number) => new Uint8Array(32).fill(n);
const person = (user: string, ...keys: Uint8Array[]): PersonDevices => ({ user: user as UserAddress, keys }); // well-formed
const ANNA = person('anna@alpha.example', key(1), key(2));
const BEN = person('ben@bravo.example', key(3));
const number = (a: PersonDevices, b: PersonDevices) => safetyNumber(nodeCrypto, a, b);

test('[SAFETY-2] [SAFETY-3] the example of spec/safety-number is true', () => {
  const spec = readFileSync(new URL('../../../../spec/safety-number.md', import.meta.url), 'utf8');
  const both = /^both +(.*)$/m.exec(spec)?.[1];
  assert.equal(safetyNumberGroups(number(ANNA, BEN)).join(' '), both);
});

test('[SAFETY-4] both people see one number, in twelve groups of five', () => {
  assert.equal(number(ANNA, BEN), number(BEN, ANNA));
  assert.equal(safetyNumberGroups(number(ANNA, BEN)).length, 12);
  assert.match(number(ANNA, BEN), /^[0-9]{60}$/);
  assert.throws(() => number(ANNA, ANNA), RangeError);
});

test('[SAFETY-2] the order of devices, and a device named twice, change nothing; any other device does', () => {
  const before = number(ANNA, BEN);
  assert.equal(number(person(ANNA.user, key(2), key(1), key(2)), BEN), before);
  const keys = fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 5 });
  fc.assert(
    fc.property(keys, (others) => {
      const same = new Set(others.map((one) => Buffer.from(one).toString('hex')));
      const known = new Set(ANNA.keys.map((one) => Buffer.from(one).toString('hex')));
      fc.pre([...same].some((one) => !known.has(one)) || same.size !== known.size);
      assert.notEqual(number(person(ANNA.user, ...others), BEN), before);
    }),
  );
  assert.notEqual(number(person('anna2@alpha.example', ...ANNA.keys), BEN), before);
});
