import { XWing } from '@noble/post-quantum/hybrid.js';
import { nodeCrypto } from '@norc/crypto/node';
import type { MlsProvider } from '@norc/mls';
import { encodeAuthenticatedData } from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import {
  type ConversationId,
  concatBytes,
  idFromBytes,
  type Label,
  type MessageId,
  toHex,
  utf8,
} from '@norc/protocol/base';
import { encodeContent, type MessageContent } from '@norc/protocol/norc-c';
import { deriveSecret } from '../../packages/mls/src/library.ts';
import { createHkdf } from '../../packages/mls/src/provider/hkdf.ts';
import { createHpke } from '../../packages/mls/src/provider/hpke.ts';
import { createNorcSuite } from '../../packages/mls/src/suite.ts';
import { seededRandom } from '../../tests/mls/fixtures.ts';
import { type VectorFile, writeWhenRun } from './files.ts';
import { badCommitVectors, keyPackageVectors, runVectors } from './mls/groups.ts';

/**
 * Encapsulation takes its randomness from the seed, by the one implementation that
 * allows that: everything else is what the program runs.
 */
function repeatable(seed: string): MlsProvider {
  const provider = createNodeMlsProvider(nodeCrypto, seededRandom(seed));
  const encapsulate: MlsProvider['xWing']['encapsulate'] = (publicKey, random) => {
    const { cipherText, sharedSecret } = XWing.encapsulate(publicKey.slice(), random(64));
    return { encapsulation: cipherText, sharedSecret };
  };
  return { ...provider, xWing: { ...provider.xWing, encapsulate } };
}

const random = seededRandom('vectors/mls');
const provider = repeatable('vectors/mls/primitives');
const hkdf = createHkdf(nodeCrypto, 'blake3');
const hpke = createHpke({ kem: provider.xWing, kdf: hkdf, aead: { id: 3, ...nodeCrypto.aead['chacha20-poly1305'] } });
const suite = createNorcSuite(provider);

const xWing: VectorFile = {
  outcome: 'valid',
  kind: 'x-wing',
  about:
    'X-Wing (draft-connolly-cfrg-xwing-kem-10). seed: private key. eseed: randomness of the encapsulation. ikm gives derived_seed by DeriveKeyPair.',
  cases: ['first', 'second', 'third'].map((name) => {
    const seed = random(32);
    const eseed = random(64);
    const ikm = random(48);
    const publicKey = provider.xWing.publicKeyOf(seed);
    const { cipherText, sharedSecret } = XWing.encapsulate(publicKey.slice(), eseed);
    return {
      name,
      seed: toHex(seed),
      public_key: toHex(publicKey),
      eseed: toHex(eseed),
      encapsulation: toHex(cipherText),
      shared_secret: toHex(sharedSecret),
      ikm: toHex(ikm),
      derived_seed: toHex(provider.xWing.derive(ikm).privateKey),
    };
  }),
};

const kdf: VectorFile = {
  outcome: 'valid',
  kind: 'hkdf-blake3',
  about:
    'HKDF (RFC 5869) with HMAC over BLAKE3-256 (block 64): prk = extract(salt, ikm), okm = expand(prk, info, length).',
  cases: (
    [
      ['one block', 32],
      ['a part of a block', 12],
      ['three blocks', 80],
    ] as const
  ).map(([name, length]) => {
    const [salt, ikm, info] = [random(length), random(32), random(20)];
    const prk = hkdf.extract(salt, ikm);
    const okm = hkdf.expand(prk, info, length);
    return { name, salt: toHex(salt), ikm: toHex(ikm), info: toHex(info), length, prk: toHex(prk), okm: toHex(okm) };
  }),
};

const hpkeCases: VectorFile = {
  outcome: 'valid',
  kind: 'hpke',
  about: 'HPKE (RFC 9180) base mode, single shot: KEM 0x647a, KDF 0xff01, AEAD 0x0003. Opening gives plaintext.',
  cases: [['empty', 0] as const, ['a path secret', 32] as const].map(([name, length]) => {
    const seed = random(32);
    const [info, aad, plaintext] = [random(30), random(length), random(length)];
    const sealed = hpke.seal(provider.xWing.publicKeyOf(seed), info, aad, plaintext, provider.random);
    if (sealed === undefined) throw new Error('sealing to an own key cannot fail');
    return {
      name,
      private_key: toHex(seed),
      info: toHex(info),
      aad: toHex(aad),
      encapsulation: toHex(sealed.encapsulation),
      ciphertext: toHex(sealed.ciphertext),
      plaintext: toHex(plaintext),
    };
  }),
};

const secret = random(32);
const labels: VectorFile = {
  outcome: 'valid',
  kind: 'derive-secret',
  about: "MLS DeriveSecret (RFC 9420 section 8) in suite 0xf101: ExpandWithLabel(secret, label, '', 32).",
  cases: await Promise.all(
    ['epoch', 'path', 'norc:call'].map(async (label) => ({
      name: label,
      secret: toHex(secret),
      derived: toHex(await deriveSecret(secret, label, suite.impl.kdf)),
    })),
  ),
};

const conversation = idFromBytes<ConversationId>(random(16));
const messageId = idFromBytes<MessageId>(random(16));
const labelled = (label: Label) => encodeAuthenticatedData({ label, conversation, messageId });

const authenticatedData: VectorFile = {
  outcome: 'valid',
  kind: 'authenticated-data',
  about: 'The envelope in MLS authenticated_data.',
  cases: (['unclassified', 'nato_restricted', 'top_secret'] as const).map((label) => ({
    name: label,
    label,
    conversation,
    message_id: messageId,
    bytes: toHex(labelled(label)),
  })),
};

const plain = labelled('secret');
const bad = (name: string, bytes: Uint8Array, error: string) => ({ name, bytes: toHex(bytes), error });
const badAuthenticatedData: VectorFile = {
  outcome: 'invalid',
  kind: 'authenticated-data',
  about: 'Bytes that are no envelope.',
  cases: [
    bad('empty', new Uint8Array(0), 'truncated'),
    bad('a byte after the end', concatBytes(plain, Uint8Array.of(0)), 'trailing_bytes'),
    bad('the last byte missing', plain.subarray(0, -1), 'truncated'),
    bad('another version', concatBytes(Uint8Array.of(2), plain.subarray(1)), 'malformed'),
    bad('a longer length than needed', concatBytes(Uint8Array.of(1, 0x40, 6), plain.subarray(2)), 'not_canonical'),
    bad(
      'a label that is not known',
      concatBytes(Uint8Array.of(1, 5), utf8('cosmic').subarray(0, 5), new Uint8Array(32)),
      'label_not_allowed',
    ),
    bad(
      'a label in capitals',
      concatBytes(Uint8Array.of(1, 6), utf8('SECRET'), new Uint8Array(32)),
      'label_not_allowed',
    ),
  ],
};

const target = idFromBytes<MessageId>(random(16));
const head = { message_id: messageId, sent_at: 1_800_000_000_000 };
const contents: readonly MessageContent[] = [
  { kind: 'text', ...head, body: { text: 'Guten Morgen, 你好' } },
  { kind: 'text', ...head, reply_to: target, expires_at: 1_800_000_060_000, body: { text: '' } },
  { kind: 'reaction', ...head, body: { target, emoji: '👍' } },
  { kind: 'edit', ...head, body: { target, text: 'corrected' } },
  { kind: 'delete', ...head, body: { target } },
  { kind: 'receipt', ...head, body: { targets: [target] } },
  { kind: 'typing', ...head, body: { active: false } },
  { kind: 'control', ...head, body: { action: 'rename', text: 'Liaison' } },
];
const content: VectorFile = {
  outcome: 'valid',
  kind: 'content',
  about: 'Message content in deterministic CBOR. value: the content, ids in hexadecimal.',
  cases: contents.map((value, i) => ({ name: `${value.kind} ${i}`, value, bytes: toHex(encodeContent(value)) })),
};

const text = encodeContent({ kind: 'text', ...head, body: { text: 'x' } });
const badContent: VectorFile = {
  outcome: 'invalid',
  kind: 'content',
  about: 'Bytes that are no message content.',
  cases: [
    bad('empty', new Uint8Array(0), 'truncated'),
    bad('a byte after the end', concatBytes(text, Uint8Array.of(0)), 'trailing_bytes'),
    bad('the last byte missing', text.subarray(0, -1), 'truncated'),
    bad(
      'a kind that is not known',
      concatBytes(Uint8Array.of(0xa1, 0x64), utf8('kind'), Uint8Array.of(0x65), utf8('smell')),
      'unsupported_type',
    ),
    bad(
      'only a kind',
      concatBytes(Uint8Array.of(0xa1, 0x64), utf8('kind'), Uint8Array.of(0x64), utf8('text')),
      'missing_field',
    ),
  ],
};

export const mlsVectors: readonly VectorFile[] = [
  xWing,
  kdf,
  hpkeCases,
  labels,
  authenticatedData,
  badAuthenticatedData,
  content,
  badContent,
  ...(await keyPackageVectors(repeatable)),
  ...(await runVectors(repeatable)),
  await badCommitVectors(repeatable),
];

writeWhenRun(import.meta, 'mls', mlsVectors);
