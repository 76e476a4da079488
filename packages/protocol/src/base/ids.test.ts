import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  domainOf,
  idFromBytes,
  localPartOf,
  parseConversationId,
  parseDeviceId,
  parseDomain,
  parseMessageId,
  parseUserAddress,
} from './index.ts';

test('[CONV-2] a domain is taken as it is or not at all', () => {
  for (const good of ['alpha.example', 'a', '1.2', 'xn--bcher-kva.example', `${'a'.repeat(63)}.b`]) {
    assert.deepEqual(parseDomain(good), { ok: true, value: good });
  }
  const bad = [
    '',
    '.',
    'Alpha.example',
    'alpha.example.',
    '.alpha',
    'a..b',
    '-a',
    'a-',
    'a_b',
    'bücher.example',
    'a b',
  ];
  for (const text of [...bad, 'a\n', `${'a'.repeat(64)}.b`, `${'a.'.repeat(126)}ab`]) {
    assert.ok(!parseDomain(text).ok, text);
  }
});

test('[CONV-2] a user is taken as it is or not at all', () => {
  for (const good of ['ann@alpha.example', 'a@b', 'a.b_c-d@x.y', `${'a'.repeat(64)}@b`]) {
    assert.deepEqual(parseUserAddress(good), { ok: true, value: good });
  }
  const bad = ['', 'ann', '@alpha', 'ann@', 'Ann@alpha', 'ann@Alpha', 'a@b@c', '.a@b', 'a.@b', 'a b@c', 'ä@b'];
  for (const text of [...bad, 'ann@b\n', `${'a'.repeat(65)}@b`]) assert.ok(!parseUserAddress(text).ok, text);
});

test('the parts of a user address', () => {
  const user = parseUserAddress('ann.b@alpha.example');
  assert.ok(user.ok);
  assert.equal(localPartOf(user.value), 'ann.b');
  assert.equal(domainOf(user.value), 'alpha.example');
});

test('an id is 32 digits in lower case, and nothing else', () => {
  const id = '00112233445566778899aabbccddeeff';
  for (const parse of [parseDeviceId, parseConversationId, parseMessageId]) {
    assert.deepEqual(parse(id), { ok: true, value: id });
    for (const bad of ['', id.slice(1), `${id}0`, id.toUpperCase(), `${id}\n`, id.replace('0', 'g')]) {
      assert.ok(!parse(bad).ok, bad);
    }
  }
  assert.equal(idFromBytes(Uint8Array.from(Buffer.from(id, 'hex'))), id);
  assert.throws(() => idFromBytes(new Uint8Array(15)), RangeError);
});

test('an error detail never quotes what was refused', () => {
  const refused = parseUserAddress('SECRET@x');
  assert.ok(!refused.ok && !refused.error.detail.includes('SECRET'));
});
