import { type MessageId, parseMessageId, toHex } from '@norc/protocol/base';
import { encodeFrame, type FrameHeader, frameAad, frameNonce, padBody } from '@norc/protocol/wire';
import type { VectorFile } from '../files.ts';

function messageId(digits: string): MessageId {
  const parsed = parseMessageId(digits);
  if (!parsed.ok) throw new RangeError(parsed.error.detail);
  return parsed.value;
}

const counting = (length: number, from: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (from + i) & 255);

const frameInputs: readonly (readonly [string, FrameHeader, Uint8Array])[] = [
  [
    'version 2.0, the first frame of a direction',
    {
      version: { major: 2, minor: 0 },
      type: 0x10,
      messageId: messageId('000102030405060708090a0b0c0d0e0f'),
      sequence: 0xabcdef,
      prevHash: new Uint8Array(32),
    },
    counting(20, 0xe0),
  ],
  [
    'version 1.2, the largest sequence, an empty plaintext',
    {
      version: { major: 1, minor: 2 },
      type: 0xff,
      messageId: messageId('ffeeddccbbaa99887766554433221100'),
      sequence: Number.MAX_SAFE_INTEGER,
      prevHash: counting(32, 0x40),
    },
    counting(16, 0),
  ],
  [
    'a type that no registry has',
    {
      version: { major: 15, minor: 15 },
      type: 0x7f,
      messageId: messageId('11111111111111111111111111111111'),
      sequence: 4294967296,
      prevHash: counting(32, 0x80),
    },
    counting(17, 0x20),
  ],
];

const IV = counting(12, 0xa0);
const TRANSCRIPT_HASH = counting(32, 0xc0);

function frameCase([name, header, ciphertext]: (typeof frameInputs)[number]) {
  return {
    name,
    major: header.version.major,
    minor: header.version.minor,
    type: header.type,
    message_id: header.messageId,
    sequence: header.sequence,
    prev_hash: toHex(header.prevHash),
    ciphertext: toHex(ciphertext),
    frame: toHex(encodeFrame(header, ciphertext)),
    transcript_hash: toHex(TRANSCRIPT_HASH),
    aad: toHex(frameAad(header, ciphertext.length, TRANSCRIPT_HASH)),
    iv: toHex(IV),
    nonce: toHex(frameNonce(IV, header.sequence)),
  };
}

/** A frame of 62 + 16 bytes with the given length field and sequence. */
const rawFrame = (length: string, sequence: string): string =>
  `2010${length}${'11'.repeat(16)}${sequence}${'00'.repeat(32)}${'ee'.repeat(16)}`;
const SEQUENCE = '0000000000000001';
const frameInvalid: readonly (readonly [string, string, string])[] = [
  ['nothing', '', 'truncated'],
  ['a header alone', rawFrame('00000000', SEQUENCE).slice(0, 124), 'truncated'],
  ['a ciphertext that is shorter than a tag', rawFrame('0000000f', SEQUENCE).slice(0, 154), 'truncated'],
  ['fewer bytes than the length says', rawFrame('00000011', SEQUENCE), 'truncated'],
  ['more bytes than the length says', rawFrame('0000000f', SEQUENCE), 'trailing_bytes'],
  ['a length above the limit', rawFrame('ffffffff', SEQUENCE), 'frame_too_large'],
  ['the sequence 2^53', rawFrame('00000010', '0020000000000000'), 'limit_exceeded'],
];

/** Body lengths on both sides of every edge that matters. */
const paddingInputs: readonly (readonly [string, number, number?])[] = [
  ['an empty body', 0],
  ['the longest body of the smallest bucket', 252],
  ['one byte more', 253],
  ['the longest body of the largest power-of-two bucket', 65532],
  ['one byte more: multiples of 64 KiB', 65533],
  ['the largest body', 4194304],
  ['the first frame of a direction: an empty body', 0, 0x123456],
  ['the first frame of a direction: the longest body of the smallest bucket', 244, 1],
  ['the first frame of a direction: one byte more', 245, 0],
];

function paddingCase([name, bodyLength, sequenceOffset]: (typeof paddingInputs)[number]) {
  const plaintext = padBody(new Uint8Array(bodyLength).fill(0xbb), sequenceOffset);
  return {
    name,
    body_byte: 'bb',
    body_length: bodyLength,
    ...(sequenceOffset === undefined ? {} : { sequence_offset: sequenceOffset }),
    plaintext_length: plaintext.length,
    plaintext_start: toHex(plaintext.subarray(0, 16)),
  };
}

const paddingInvalid: readonly (readonly [string, boolean, string, number, string])[] = [
  ['shorter than the length field', false, '000000', 0, 'truncated'],
  ['a first frame shorter than its two fields', true, '0000000000000001000000', 0, 'truncated'],
  ['a length beyond the plaintext', false, '000000fd', 252, 'truncated'],
  ['a length above the largest body', false, '00400001', 252, 'frame_too_large'],
  ['padding that is not zero', false, '00000001 aa', 251, 'not_canonical'],
  ['not a bucket', false, '00000001 aa', 252, 'not_canonical'],
  ['a larger bucket than the body needs', false, '00000001 aa', 507, 'not_canonical'],
  ['no padding at all', false, '00000001 aa', 0, 'not_canonical'],
  ['the sequence offset 2^53', true, '0020000000000000 00000000', 244, 'limit_exceeded'],
];

function paddingInvalidCase([name, first, start, zeros, error]: (typeof paddingInvalid)[number]) {
  const last = name === 'padding that is not zero' ? '01' : '';
  const filled = '00'.repeat(zeros - last.length / 2) + last;
  return { name, first, plaintext: start.replaceAll(' ', '') + filled, error };
}

export const frameVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'frame',
    about: 'frame: the header fields and the ciphertext as sent. aad, nonce: what the frame is sealed with.',
    cases: frameInputs.map(frameCase),
  },
  {
    outcome: 'invalid',
    kind: 'frame',
    about: 'frame: bytes that are refused before any key is used.',
    cases: frameInvalid.map(([name, frame, error]) => ({ name, frame, error })),
  },
  {
    outcome: 'valid',
    kind: 'padding',
    about:
      'The body is body_length times body_byte. plaintext_length, plaintext_start: the padded plaintext and its first ' +
      '16 bytes. sequence_offset: only in the first encrypted frame of a direction.',
    cases: paddingInputs.map(paddingCase),
  },
  {
    outcome: 'invalid',
    kind: 'padding',
    about: 'plaintext: of an authentic frame. first: whether it is the first encrypted frame of its direction.',
    cases: paddingInvalid.map(paddingInvalidCase),
  },
];
