import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import fc from 'fast-check';
import type { UserAddress } from '../base/index.ts';
import {
  decodeEnrolmentCode,
  type EnrolmentCode,
  type EnrolmentCodeFault,
  encodeEnrolmentCode,
} from './enrolment-code.ts';

const crypto = { blake3: (data: Uint8Array) => blake3(data) };
const user = (text: string) => text as UserAddress; // well-formed in these tests

const CODE: EnrolmentCode = {
  secret: Uint8Array.from({ length: 16 }, (_, i) => i),
  user: user('anna@alpha.example'),
  server: { host: '127.0.0.1', port: 8080, tls: false },
  rootFingerprint: Uint8Array.from({ length: 32 }, (_, i) => 255 - i),
};
const TEXT = encodeEnrolmentCode(crypto, CODE);

const decode = (text: string) => decodeEnrolmentCode(crypto, text);

function faultOf(text: string): EnrolmentCodeFault | 'none' {
  const result = decode(text);
  return result.ok ? 'none' : result.error.reason;
}

const anyCode: fc.Arbitrary<EnrolmentCode> = fc
  .tuple(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.constantFrom('anna@alpha.example', 'a@b', 'x.y-z_1@very.long.name.of.an.organisation.example'),
    fc.constantFrom('localhost', '127.0.0.1', '::1', 'fe80::1:2', 'norc.alpha.example'),
    fc.integer({ min: 1, max: 65535 }),
    fc.boolean(),
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
  )
  .map(([secret, address, host, port, tls, rootFingerprint]) => {
    return { secret, user: user(address), server: { host, port, tls }, rootFingerprint };
  });

test('[ENROL-1] a code comes back as it was made, in groups that a person can read aloud', () => {
  assert.match(TEXT, /^norc1(-[0-9a-hjkmnp-tv-z]{5})+(-[0-9a-hjkmnp-tv-z]{1,5})$/);
  fc.assert(
    fc.property(anyCode, (code) => {
      assert.deepEqual(decode(encodeEnrolmentCode(crypto, code)), { ok: true, value: code });
    }),
  );
});

test('[ENROL-2] case, spaces, line ends, dashes and look-alike letters do not matter', () => {
  const lines = TEXT.replace(/(.{40})/g, '$1\n  ');
  const forms = [
    TEXT.toUpperCase(),
    ` ${TEXT}\r\n`,
    TEXT.replaceAll('-', ''),
    TEXT.replaceAll('-', ' '),
    TEXT.replaceAll('-', ' – '),
    TEXT.replaceAll('-', '\u2011'),
    TEXT.replaceAll('-', '\u00ad-\u200b'),
    lines,
    TEXT.replaceAll('0', 'O').replaceAll('1', 'l'),
    TEXT.replaceAll('0', 'o').replaceAll('1', 'I'),
  ];
  for (const form of forms) assert.deepEqual(decode(form), { ok: true, value: CODE }, form);
});

test('[ENROL-3] any one wrong, missing, doubled or swapped character is named as mistyped', () => {
  const start = 'norc1-'.length;
  const digits = '0123456789abcdefghjkmnpqrstvwxyz';
  fc.assert(
    fc.property(fc.integer({ min: start, max: TEXT.length - 1 }), fc.nat(31), fc.nat(3), (at, pick, how) => {
      const here = TEXT.charAt(at);
      fc.pre(here !== '-');
      const other = digits.charAt(pick);
      const next = TEXT.charAt(at + 1);
      fc.pre(other !== here && next !== here && next !== '-' && next !== '');
      const rest = TEXT.slice(at + 1);
      const wrong = [other + rest, rest, here + here + rest, next + here + TEXT.slice(at + 2)][how];
      assert.equal(faultOf(TEXT.slice(0, at) + wrong), 'mistyped');
    }),
  );
});

test('[ENROL-4] what is no code, a newer form and a foreign character are told apart', () => {
  assert.equal(faultOf(''), 'not_a_code');
  assert.equal(faultOf('norc'), 'not_a_code');
  assert.equal(faultOf('hello'), 'not_a_code');
  assert.equal(faultOf('anna@alpha.example'), 'not_a_code');
  assert.equal(faultOf(`norc1-${'0'.repeat(3000)}`), 'not_a_code');
  assert.equal(faultOf(TEXT.replace('norc1', 'norc2')), 'newer');
  assert.equal(faultOf(`${TEXT}u`), 'character');
  assert.equal(faultOf(`${TEXT}!`), 'character');
  assert.equal(faultOf('norc1'), 'mistyped');
  assert.equal(faultOf('norc1-00000'), 'mistyped');
});

test('[ENROL-5] contents that no organisation issues are refused even with a right checksum', () => {
  const broken: readonly Partial<EnrolmentCode>[] = [
    { user: user('Anna@alpha.example') },
    { user: user('anna') },
    { server: { host: '', port: 1, tls: true } },
    { server: { host: 'a b', port: 1, tls: true } },
    { server: { host: 'h', port: 0, tls: true } },
    { server: { host: 'h', port: 65536, tls: true } },
    { secret: new Uint8Array(15) },
    { secret: new Uint8Array(17), rootFingerprint: new Uint8Array(31) },
    { rootFingerprint: new Uint8Array(31) },
  ];
  for (const part of broken) assert.throws(() => encodeEnrolmentCode(crypto, { ...CODE, ...part }), RangeError);
  const payload = (at: number, value: number) => {
    const bytes = rawBytes(TEXT).slice(0, -4);
    bytes[at] = value;
    return withChecksum(bytes);
  };
  assert.equal(faultOf(payload(48, 2)), 'contents', 'an unknown flag');
  assert.equal(faultOf(payload(52, 200)), 'contents', 'a user longer than the code');
  assert.equal(faultOf(withChecksum(rawBytes(TEXT).slice(0, 30))), 'contents', 'cut');
  assert.equal(faultOf(withChecksum(Uint8Array.of(...rawBytes(TEXT).slice(0, -4), 0))), 'contents', 'a byte too many');
  assert.equal(faultOf(payload(53, 0xff)), 'contents', 'not UTF-8');
});

test('decoding any text neither throws nor gives what does not encode back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (text, prefixed) => {
      const result = decode(prefixed ? `norc1-${text}` : text);
      if (result.ok) assert.equal(decode(encodeEnrolmentCode(crypto, result.value)).ok, true);
    }),
  );
});

/** An independent base32, through BigInt. */
function rawBytes(text: string): Uint8Array {
  const digits = text.slice('norc1-'.length).replaceAll('-', '');
  const bits = [...digits]
    .map((digit) => Number.parseInt(digit, 36) - shift(digit))
    .map((value) => value.toString(2).padStart(5, '0'));
  const octets = bits.join('').match(/.{8}/g) ?? [];
  return Uint8Array.from(octets, (octet) => Number.parseInt(octet, 2));
}

/** How many of i, l, o, u come before a letter. */
function shift(digit: string): number {
  return ['i', 'l', 'o', 'u'].filter((left) => left < digit).length;
}

function withChecksum(payload: Uint8Array): string {
  const label = Buffer.from('norc-enrolment-v1');
  const bytes = Buffer.concat([payload, blake3(Buffer.concat([label, payload])).subarray(0, 4)]);
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const groups = bits.padEnd(Math.ceil(bits.length / 5) * 5, '0').match(/.{5}/g) ?? [];
  return `norc1${groups.map((group) => '0123456789abcdefghjkmnpqrstvwxyz'.charAt(Number.parseInt(group, 2))).join('')}`;
}
