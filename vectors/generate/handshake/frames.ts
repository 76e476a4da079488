import { concatBytes, toHex, utf8 } from '@norc/protocol/base';
import type { VectorFile } from '../files.ts';
import { type Direction, named, ReferenceSealer, SUITES, type Suite } from './reference.ts';

const keys: Direction = { key: named('frame key'), iv: named('frame iv', 12) };
const transcriptHash = named('frame transcript hash');
const START = 0xabcdef;
const id = (index: number) => named(`frame ${index}`, 16);
const sealer = (suite: Suite = '0x0101', version = '2.0', start = START) =>
  new ReferenceSealer(suite, version, keys, transcriptHash, start);

const common = (suite: Suite, version: string) => ({
  suite,
  version,
  key: toHex(keys.key),
  iv: toHex(keys.iv),
  transcript_hash: toHex(transcriptHash),
});

/** Empty, the last that fits the smallest bucket after the first frame, and the first that does not. */
const bodies = [new Uint8Array(0), named('body', 252), named('body', 253), utf8('{"text":"é"}')];

function validFrames(suite: Suite, version: string) {
  const one = sealer(suite, version);
  return {
    name: `suite ${suite}, version ${version}`,
    ...common(suite, version),
    sequence: START,
    frames: bodies.map((body, index) => ({
      type: 0x10 + index,
      message_id: toHex(id(index)),
      body: toHex(body),
      frame: toHex(one.seal(0x10 + index, id(index), body)),
    })),
  };
}

function bad(name: string, frames: readonly Uint8Array[]) {
  return { name, ...common('0x0101', '2.0'), frames: frames.map(toHex), error: 'frame_rejected' };
}

/** Three good frames, and the third with one byte changed. */
function threeFrames(): readonly [Uint8Array, Uint8Array, Uint8Array] {
  const one = sealer();
  const seal = (index: number) => one.seal(0x10, id(index), Uint8Array.of(index));
  return [seal(0), seal(1), seal(2)];
}

function changed(name: string, at: number, bits: number) {
  const [first, second, third] = threeFrames();
  const other = Uint8Array.from(third, (byte, index) => (index === at ? byte ^ bits : byte));
  return bad(name, [first, second, other]);
}

function paddedBadly(name: string, plaintext: Uint8Array) {
  const one = sealer();
  const first = one.seal(0x10, id(0), utf8('x'));
  return bad(name, [first, one.seal(0x10, id(1), new Uint8Array(0), plaintext)]);
}

const [first, second, third] = threeFrames();
const zeros = (length: number) => new Uint8Array(length);
const wrongOffset = concatBytes(zeros(7), Uint8Array.of(1), Uint8Array.of(0, 0, 0, 1), utf8('x'), zeros(243));

export const frameVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'frames',
    about: 'The first frames of one direction, with its key and IV. `sequence` is that of the first.',
    cases: SUITES.flatMap((suite) => ['2.0', '1.2'].map((version) => validFrames(suite, version))),
  },
  {
    outcome: 'invalid',
    kind: 'frames',
    about:
      'The frames of one direction in the order in which they arrive; the last must be refused, those before it open.',
    cases: [
      bad('the second frame twice', [first, second, second]),
      bad('the second frame left out', [first, third]),
      bad('the direction does not begin with its first frame', [second]),
      bad('bytes cut off', [first, second, third.subarray(0, -1)]),
      bad('a byte more', [first, second, concatBytes(third, Uint8Array.of(0))]),
      bad('shorter than a header', [first, second.subarray(0, 61)]),
      changed('another version', 0, 0x31),
      changed('another type', 1, 1),
      changed('another length', 5, 1),
      changed('another message id', 6, 1),
      changed('another sequence', 29, 1),
      changed('another previous hash', 30, 1),
      changed('another ciphertext', 62, 1),
      changed('another tag', 62 + 256 + 15, 0x80),
      bad('a start above 24 bits', [sealer('0x0101', '2.0', 2 ** 24).seal(0x10, id(0), utf8('x'))]),
      bad('a first frame whose offset is not its sequence', [sealer().seal(0x10, id(0), zeros(0), wrongOffset)]),
      bad('a first frame without an offset', [
        sealer().seal(0x10, id(0), zeros(0), concatBytes(zeros(3), Uint8Array.of(1), utf8('x'), zeros(251))),
      ]),
      paddedBadly('padding that is not zero', concatBytes(zeros(255), Uint8Array.of(1))),
      paddedBadly('a bucket that is too large', zeros(512)),
      paddedBadly('a body longer than the plaintext', concatBytes(Uint8Array.of(0, 0, 0, 253), zeros(252))),
      bad('sealed under another transcript', [
        new ReferenceSealer('0x0101', '2.0', keys, zeros(32), START).seal(0x10, id(0), utf8('x')),
      ]),
      bad('sealed with the other suite', [sealer('0x0102').seal(0x10, id(0), utf8('x'))]),
    ],
  },
];
