import { fromHex, toHex, utf8 } from '@norc/protocol/base';
import { type CborValue, canonicalJsonText, encodeCbor, parseJson } from '@norc/protocol/wire';
import type { VectorFile } from '../files.ts';

export function unhex(digits: string): Uint8Array {
  const decoded = fromHex(digits.replaceAll(' ', ''));
  if (decoded === undefined) throw new RangeError('not hexadecimal');
  return decoded;
}

/** A value of the CBOR profile in the notation of the vector files. */
function notation(value: CborValue): unknown {
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (value instanceof Map) return { map: [...value].map(([key, item]) => [key, notation(item)]) };
  return Array.isArray(value) ? value.map(notation) : value;
}

function nested(depth: number): CborValue {
  return depth === 0 ? 0 : [nested(depth - 1)];
}

const cborValues: readonly (readonly [string, CborValue])[] = [
  ['zero', 0],
  ['the largest integer in the initial byte', 23],
  ['the smallest one-byte integer', 24],
  ['the largest one-byte integer', 255],
  ['the smallest two-byte integer', 256],
  ['the smallest four-byte integer', 65536],
  ['the largest four-byte integer', 4294967295],
  ['the smallest eight-byte integer', 4294967296],
  ['the largest integer', Number.MAX_SAFE_INTEGER],
  ['false', false],
  ['true', true],
  ['an empty byte string', new Uint8Array()],
  ['a byte string', unhex('00ff10')],
  ['an empty text', ''],
  ['text with two-, three- and four-byte characters', 'é€😀'],
  ['text that starts with a byte order mark', '\ufeffa'],
  ['an empty array', []],
  ['an array of all kinds', [1, unhex('02'), '3', [], new Map(), true]],
  ['an empty map', new Map()],
  [
    'map keys in the order of their encoded bytes: shorter first',
    new Map<string, CborValue>([
      ['b', 1],
      ['aa', 2],
      ['__proto__', 3],
      ['é', 4],
    ]),
  ],
  ['sixteen arrays inside one another', nested(16)],
];

const cborInvalid: readonly (readonly [string, string, string])[] = [
  ['nothing', '', 'truncated'],
  ['an integer with a longer head than needed, one byte', '1817', 'not_canonical'],
  ['an integer with a longer head than needed, two bytes', '1900ff', 'not_canonical'],
  ['an integer with a longer head than needed, four bytes', '1a0000ffff', 'not_canonical'],
  ['an integer with a longer head than needed, eight bytes', '1b00000000ffffffff', 'not_canonical'],
  ['a length with a longer head than needed', '580161', 'not_canonical'],
  ['the integer 2^53', '1b0020000000000000', 'limit_exceeded'],
  ['the integer 2^64 - 1', '1bffffffffffffffff', 'limit_exceeded'],
  ['a negative integer', '20', 'malformed'],
  ['null', 'f6', 'malformed'],
  ['undefined', 'f7', 'malformed'],
  ['a half-precision float', 'f93c00', 'malformed'],
  ['a double-precision float', 'fb3ff0000000000000', 'malformed'],
  ['true in two bytes', 'f815', 'malformed'],
  ['a tag', 'c000', 'malformed'],
  ['a break outside everything', 'ff', 'malformed'],
  ['a reserved length form', '1c', 'malformed'],
  ['an indefinite-length byte string', '5f4101ff', 'not_canonical'],
  ['an indefinite-length text', '7f6161ff', 'not_canonical'],
  ['an indefinite-length array', '9f01ff', 'not_canonical'],
  ['an indefinite-length map', 'bf616101ff', 'not_canonical'],
  ['keys out of order', 'a2616201616102', 'not_canonical'],
  ['keys in the order of their text instead of their bytes', 'a262616101616202', 'not_canonical'],
  ['a key twice', 'a2616101616102', 'duplicate_key'],
  ['a key that is not a text', 'a10101', 'wrong_type'],
  ['a map without its last value', 'a16161', 'truncated'],
  ['an array without its last item', '8201', 'truncated'],
  ['an integer without its last byte', '1a000100', 'truncated'],
  ['a byte string of 2^32 - 1 bytes in five bytes of input', '5affffffff', 'truncated'],
  ['an array of 2^53 - 1 items in nine bytes of input', '9b001fffffffffffff', 'truncated'],
  ['a map of 2^32 - 1 entries in five bytes of input', 'baffffffff', 'truncated'],
  ['text: a sequence in a longer form than needed', '62c080', 'malformed'],
  ['text: a surrogate', '63eda080', 'malformed'],
  ['text: above U+10FFFF', '64f4908080', 'malformed'],
  ['text: a cut sequence', '62e282', 'malformed'],
  ['text: a continuation byte alone', '6180', 'malformed'],
  ['a byte after the item', '0000', 'trailing_bytes'],
  ['seventeen arrays inside one another', `${'81'.repeat(17)}00`, 'limit_exceeded'],
];

const jsonInputs: readonly (readonly [string, string])[] = [
  ['keys sort by UTF-16 code units', '{"\\ufb33":1,"😀":2,"€":3,"é":4,"1":5,"":6}'],
  ['white space goes', ' { "b" : [ 1 , 2 ] ,\n\t"a" : null }\r\n'],
  ['needless escapes go', '"\\u0041\\/\\u00e9\\ud83d\\ude00"'],
  ['needed escapes stay, in their short form', '"\\u0008\\t\\n\\u000c\\r\\"\\\\\\u001F\\u007f"'],
  ['the largest and the smallest integer', '[9007199254740991,-9007199254740991,0]'],
  ['literals', '[true,false,null]'],
  ['empty containers', '{"a":{},"b":[],"c":""}'],
  ['a key named __proto__ is a key', '{"__proto__":{"admin":true},"constructor":1}'],
  ['a scalar is a document', '"norc"'],
];

const jsonInvalid: readonly (readonly [string, string | Uint8Array, boolean, string])[] = [
  ['nothing', '', false, 'truncated'],
  ['an object that ends early', '{"a":1', false, 'truncated'],
  ['a string that ends early', '"abc', false, 'truncated'],
  ['a byte order mark', '\ufeff{}', false, 'malformed'],
  ['a trailing comma', '[1,]', false, 'malformed'],
  ['a key without quotes', '{a:1}', false, 'malformed'],
  ['a leading zero', '01', false, 'malformed'],
  ['a plus sign', '+1', false, 'malformed'],
  ['a comment', '/**/1', false, 'malformed'],
  ['NaN', 'NaN', false, 'malformed'],
  ['a control character in a string', '"a\nb"', false, 'malformed'],
  ['an unknown escape', '"\\x41"', false, 'malformed'],
  ['an escaped lone surrogate', '"\\ud800"', false, 'malformed'],
  ['escaped surrogates in the wrong order', '"\\ude00\\ud83d"', false, 'malformed'],
  ['text that is not UTF-8', unhex('22 c0 80 22'), false, 'malformed'],
  ['a fraction', '1.5', false, 'not_canonical'],
  ['an exponent', '1e3', false, 'not_canonical'],
  ['negative zero', '-0', false, 'not_canonical'],
  ['the integer 2^53', '9007199254740992', false, 'limit_exceeded'],
  ['a key twice', '{"a":1,"a":2}', false, 'duplicate_key'],
  ['a key twice, once escaped', '{"a":1,"\\u0061":2}', false, 'duplicate_key'],
  ['the key __proto__ twice', '{"__proto__":1,"__proto__":2}', false, 'duplicate_key'],
  ['two documents', '{}{}', false, 'trailing_bytes'],
  ['seventeen arrays inside one another', '['.repeat(17) + ']'.repeat(17), false, 'limit_exceeded'],
  ['canonical form asked for: white space', '{"a": 1}', true, 'not_canonical'],
  ['canonical form asked for: white space at the end', '1\n', true, 'not_canonical'],
  ['canonical form asked for: keys out of order', '{"b":1,"a":2}', true, 'not_canonical'],
  ['canonical form asked for: an escaped solidus', '"\\/"', true, 'not_canonical'],
  ['canonical form asked for: an escaped letter', '"\\u0041"', true, 'not_canonical'],
  ['canonical form asked for: a long escape with a short form', '"\\u000a"', true, 'not_canonical'],
  ['canonical form asked for: an escape in capitals', '"\\u001F"', true, 'not_canonical'],
];

function canonicalOf(input: string): string {
  const parsed = parseJson(input, { bytesMax: 1000 });
  if (!parsed.ok) throw new RangeError(parsed.error.detail);
  return canonicalJsonText(parsed.value);
}

export const encodingVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'cbor',
    about:
      'value: what encoded is the only accepted form of. {"bytes": hex} is a byte string, {"map": [[key, value]]} a map ' +
      'in any order, an array an array; numbers, texts and booleans are their own.',
    cases: cborValues.map(([name, value]) => ({ name, value: notation(value), encoded: toHex(encodeCbor(value)) })),
  },
  {
    outcome: 'invalid',
    kind: 'cbor',
    about: 'encoded: bytes that a decoder of one item must refuse.',
    cases: cborInvalid.map(([name, encoded, error]) => ({ name, encoded, error })),
  },
  {
    outcome: 'valid',
    kind: 'json',
    about: 'input: JSON text that is read where canonical form is not asked for. canonical: its canonical form.',
    cases: jsonInputs.map(([name, input]) => ({ name, input, canonical: canonicalOf(input) })),
  },
  {
    outcome: 'invalid',
    kind: 'json',
    about: 'input: bytes of JSON text in hexadecimal. canonical: whether the reader asks for canonical form.',
    cases: jsonInvalid.map(([name, input, canonical, error]) => ({
      name,
      input: toHex(typeof input === 'string' ? utf8(input) : input),
      canonical,
      error,
    })),
  },
];
