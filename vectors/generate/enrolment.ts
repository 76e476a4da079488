import { nodeCrypto } from '@norc/crypto/node';
import { concatBytes, toHex, type UserAddress, utf8 } from '@norc/protocol/base';
import { type EnrolmentCode, encodeEnrolmentCode } from '@norc/protocol/norc-c';
import { type VectorFile, writeWhenRun } from './files.ts';

/** Test vectors for spec/enrolment-code. */

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const counting = (length: number, first: number) => Uint8Array.from({ length }, (_, i) => (first + i) & 0xff);

const LOCAL: EnrolmentCode = {
  secret: counting(16, 0),
  user: 'anna@alpha.example' as UserAddress, // well-formed
  server: { host: '127.0.0.1', port: 8080, tls: false },
  rootFingerprint: counting(32, 0x80),
};
const REMOTE: EnrolmentCode = {
  secret: counting(16, 0xf0),
  user: 'b.ruiz-2@bravo.example' as UserAddress, // well-formed
  server: { host: 'norc.bravo.example', port: 8843, tls: true },
  rootFingerprint: counting(32, 0),
};
const IPV6: EnrolmentCode = { ...LOCAL, server: { host: '2001:db8::1', port: 443, tls: true } };

const fields = (code: EnrolmentCode) => ({
  secret: toHex(code.secret),
  root_fingerprint: toHex(code.rootFingerprint),
  user: code.user,
  host: code.server.host,
  port: code.server.port,
  tls: code.server.tls,
});

const text = (code: EnrolmentCode) => encodeEnrolmentCode(nodeCrypto, code);
const local = text(LOCAL);

const spellings: readonly [string, string][] = [
  ['upper case', local.toUpperCase()],
  ['no dashes', local.replaceAll('-', '')],
  ['spaces and line ends', ` ${local.replaceAll('-', ' \r\n\t')}\n`],
  ['dashes of a word processor', local.replaceAll('-', '\u2013')],
  ['o for 0 and l for 1', local.replaceAll('0', 'o').replaceAll('1', 'l')],
  ['O for 0 and I for 1', local.replaceAll('0', 'O').replaceAll('1', 'I')],
];

/** The bytes of a code without its checksum, which `signed` puts back. */
function payload(user: string, host: string, port = 8080, flags = 0, secret = counting(16, 0)): Uint8Array {
  const [userBytes, hostBytes] = [utf8(user), utf8(host)];
  return concatBytes(
    secret,
    counting(32, 0x80),
    Uint8Array.of(flags, port >> 8, port & 0xff, userBytes.length >> 8, userBytes.length & 0xff),
    userBytes,
    Uint8Array.of(hostBytes.length),
    hostBytes,
  );
}

function signed(bytes: Uint8Array): string {
  const sum = nodeCrypto.blake3(concatBytes(utf8('norc-enrolment-v1'), bytes)).subarray(0, 4);
  const bits = [...bytes, ...sum].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const groups = bits.padEnd(Math.ceil(bits.length / 5) * 5, '0').match(/.{5}/g) ?? [];
  const digits = groups.map((group) => DIGITS.charAt(Number.parseInt(group, 2))).join('');
  return `norc1-${digits.match(/.{1,5}/g)?.join('-')}`;
}

const last = local.slice(-1);
const otherDigit = last === '0' ? '8' : '0';

export const enrolmentVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'code',
    about: 'code: exactly what an encoder writes for the other fields.',
    cases: [
      { name: 'a server on loopback', code: local, ...fields(LOCAL) },
      { name: 'a server with TLS', code: text(REMOTE), ...fields(REMOTE) },
      { name: 'an IPv6 address', code: text(IPV6), ...fields(IPV6) },
    ],
  },
  {
    outcome: 'valid',
    kind: 'spelling',
    about: 'typed: another spelling of code, which a decoder must read as the same.',
    cases: spellings.map(([name, typed]) => ({ name, typed, code: local })),
  },
  {
    outcome: 'invalid',
    kind: 'code',
    about: 'code: what a person may have pasted. reason: which of the sentences of spec/enrolment-code they see.',
    cases: [
      { name: 'nothing', code: '', reason: 'not_a_code', error: 'malformed' },
      { name: 'an address', code: 'anna@alpha.example', reason: 'not_a_code', error: 'malformed' },
      { name: 'far too long', code: `norc1-${'0'.repeat(2100)}`, reason: 'not_a_code', error: 'malformed' },
      { name: 'a later form', code: local.replace('norc1', 'norc2'), reason: 'newer', error: 'enrolment_invalid' },
      { name: 'the letter u', code: `${local}u`, reason: 'character', error: 'malformed' },
      { name: 'a punctuation mark', code: `${local}.`, reason: 'character', error: 'malformed' },
      {
        name: 'one digit wrong',
        code: local.slice(0, -1) + otherDigit,
        reason: 'mistyped',
        error: 'enrolment_invalid',
      },
      { name: 'one digit missing', code: local.slice(0, -1), reason: 'mistyped', error: 'enrolment_invalid' },
      { name: 'a group twice', code: `${local}${local.slice(5, 11)}`, reason: 'mistyped', error: 'enrolment_invalid' },
      { name: 'only the prefix', code: 'norc1', reason: 'mistyped', error: 'enrolment_invalid' },
      ...(
        [
          ['cut before the addresses', counting(50, 0)],
          ['an unknown flag', payload('anna@alpha.example', 'localhost', 8080, 2)],
          ['port 0', payload('anna@alpha.example', 'localhost', 0)],
          ['a user without a domain', payload('anna', 'localhost')],
          ['a user in upper case', payload('Anna@alpha.example', 'localhost')],
          ['no host', payload('anna@alpha.example', '')],
          ['a host with a space', payload('anna@alpha.example', 'local host')],
          ['a byte after the host', concatBytes(payload('anna@alpha.example', 'localhost'), Uint8Array.of(0))],
        ] as const
      ).map(([name, bytes]) => ({ name, code: signed(bytes), reason: 'contents', error: 'malformed' })),
    ],
  },
];

writeWhenRun(import.meta, 'enrolment', enrolmentVectors);
