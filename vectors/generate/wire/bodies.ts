import { toHex } from '@norc/protocol/base';
import {
  bool,
  bytes,
  type CborValue,
  choice,
  conversationId,
  domain,
  encodeBody,
  encodeCbor,
  fixedBytes,
  list,
  optional,
  type Schema,
  struct,
  text,
  uint,
  userAddress,
} from '@norc/protocol/wire';
import type { VectorFile } from '../files.ts';
import { unhex } from './encodings.ts';

const SAMPLE = struct({
  conversation: conversationId(),
  author: userAddress(),
  org: domain(),
  count: uint(1000),
  data: bytes(8),
  key: fixedBytes(4),
  label: choice(['low', 'high']),
  name: text(8),
  note: optional(text(8)),
  marks: list(struct({ on: bool() }), 2),
});
const CONVERSATION = '0123456789abcdef0123456789abcdef';
const SAMPLE_JSON =
  '{"author":"ann@alpha.example","conversation":"ASNFZ4mrze8BI0VniavN7w","count":7,"data":"AP8","key":"AQIDBA",' +
  '"label":"high","marks":[{"on":true}],"name":"é","org":"alpha.example"}';

interface BodyInput {
  readonly name: string;
  readonly schema: Schema<unknown>;
  readonly json: string;
  readonly cbor: CborValue;
}

/** Both forms are written out here by hand: neither is made from the other by the code under test. */
const bodyInputs: readonly BodyInput[] = [
  {
    name: 'every kind of field, one optional field absent',
    schema: SAMPLE,
    json: SAMPLE_JSON,
    cbor: new Map<string, CborValue>([
      ['conversation', unhex(CONVERSATION)],
      ['author', 'ann@alpha.example'],
      ['org', 'alpha.example'],
      ['count', 7],
      ['data', unhex('00ff')],
      ['key', unhex('01020304')],
      ['label', 'high'],
      ['name', 'é'],
      ['marks', [new Map([['on', true]])]],
    ]),
  },
  { name: 'a struct without fields', schema: struct({}), json: '{}', cbor: new Map() },
  {
    name: 'values at their limits',
    schema: struct({ count: uint(1000), data: bytes(8), name: text(8), marks: list(bool(), 2) }),
    json: '{"count":1000,"data":"AAAAAAAAAAA","marks":[true,false],"name":"12345678"}',
    cbor: new Map<string, CborValue>([
      ['count', 1000],
      ['data', new Uint8Array(8)],
      ['name', '12345678'],
      ['marks', [true, false]],
    ]),
  },
];

const one = (name: string, schema: Schema<unknown>): Schema<unknown> => struct({ [name]: schema });
const field = (name: string, value: CborValue): Uint8Array => encodeCbor(new Map([[name, value]]));

const bodyInvalid: readonly (readonly [string, Schema<unknown>, Uint8Array, string, string])[] = [
  ['not a struct', struct({}), encodeCbor([]), '[]', 'wrong_type'],
  ['a required field is absent', one('a', uint()), encodeCbor(new Map()), '{}', 'missing_field'],
  ['a text where a number belongs', one('a', uint()), field('a', '1'), '{"a":"1"}', 'wrong_type'],
  ['a number where a text belongs', one('a', text(8)), field('a', 1), '{"a":1}', 'wrong_type'],
  ['a number where a boolean belongs', one('a', bool()), field('a', 1), '{"a":1}', 'wrong_type'],
  ['a struct where a list belongs', one('a', list(uint(), 4)), field('a', new Map()), '{"a":{}}', 'wrong_type'],
  ['a number above its limit', one('a', uint(10)), field('a', 11), '{"a":11}', 'limit_exceeded'],
  ['a text above its limit, in bytes', one('a', text(3)), field('a', 'éé'), '{"a":"éé"}', 'limit_exceeded'],
  ['a byte string above its limit', one('a', bytes(2)), field('a', unhex('010203')), '{"a":"AQID"}', 'limit_exceeded'],
  ['a list above its limit', one('a', list(uint(), 1)), field('a', [1, 2]), '{"a":[1,2]}', 'limit_exceeded'],
  ['a key of a wrong length', one('a', fixedBytes(2)), field('a', unhex('010203')), '{"a":"AQID"}', 'wrong_type'],
  ['an id of a wrong length', one('a', conversationId()), field('a', unhex('01')), '{"a":"AQ"}', 'wrong_type'],
  [
    'a value that is not one of the choices',
    one('a', choice(['low', 'high'])),
    field('a', 'mid'),
    '{"a":"mid"}',
    'wrong_type',
  ],
  ['a domain in capitals', one('a', domain()), field('a', 'Alpha.example'), '{"a":"Alpha.example"}', 'wrong_type'],
  ['a user without a domain', one('a', userAddress()), field('a', 'ann'), '{"a":"ann"}', 'wrong_type'],
];

/** Faults that only one of the encodings has. */
const bodyCborInvalid: readonly (readonly [string, Schema<unknown>, string, string])[] = [
  ['null for an absent optional field', struct({ a: optional(uint()) }), 'a16161f6', 'malformed'],
  ['a known field twice', one('a', uint()), 'a2616101616101', 'duplicate_key'],
  ['an unknown field twice', struct({}), 'a2617801617801', 'duplicate_key'],
  ['known fields out of order', struct({ a: uint(), b: uint() }), 'a2616201616101', 'not_canonical'],
  ['an unknown field out of order', one('b', uint()), 'a2616201616101', 'not_canonical'],
  ['a float in an unknown field', struct({}), 'a16178f93c00', 'malformed'],
  ['keys out of order inside an unknown field', struct({}), 'a16178a2616201616102', 'not_canonical'],
  ['a byte after the body', struct({}), 'a000', 'trailing_bytes'],
];
const bodyJsonInvalid: readonly (readonly [string, Schema<unknown>, string, string])[] = [
  ['null for an absent optional field', struct({ a: optional(uint()) }), '{"a":null}', 'wrong_type'],
  ['a known field twice', one('a', uint()), '{"a":1,"a":1}', 'duplicate_key'],
  ['known fields out of order', struct({ a: uint(), b: uint() }), '{"b":1,"a":1}', 'not_canonical'],
  ['a fraction in an unknown field', struct({}), '{"x":1.5}', 'not_canonical'],
  ['white space', one('a', uint()), '{"a": 1}', 'not_canonical'],
  ['base64url with padding', one('a', bytes(8)), '{"a":"AP8="}', 'wrong_type'],
  ['base64url with stray bits', one('a', bytes(8)), '{"a":"AP9"}', 'wrong_type'],
  ['standard base64', one('a', bytes(8)), '{"a":"+/+/"}', 'wrong_type'],
  ['a negative number', one('a', uint()), '{"a":-1}', 'wrong_type'],
  ['a byte after the body', struct({}), '{}0', 'trailing_bytes'],
];

const SCHEMA_ABOUT =
  'schema: what the body holds. bytes: length from lengthMin to lengthMax. id: 16 bytes. text: at most bytesMax bytes of ' +
  'UTF-8. domain, user: texts (spec/conventions). uint: 0 to max. choice: one of values. list: at most lengthMax items. ' +
  'struct: a map; every field is required unless it is optional.';

export const bodyVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'body',
    about: `${SCHEMA_ABOUT} cbor: the body in version 2.0. json: the same body in version 1.2.`,
    cases: bodyInputs.map(({ name, schema, json, cbor }) => ({ name, schema, cbor: toHex(encodeCbor(cbor)), json })),
  },
  {
    outcome: 'valid',
    kind: 'unknown-fields',
    about: `${SCHEMA_ABOUT} cbor, json: bodies with fields that the schema does not know; they read as known_cbor.`,
    cases: [
      {
        name: 'unknown fields before, between and after known ones',
        schema: struct({ bb: uint(), d: uint() }),
        cbor: toHex(
          encodeCbor(
            new Map<string, CborValue>([
              ['a', [unhex('01'), new Map([['x', 1]])]],
              ['d', 1],
              ['ba', true],
              ['bb', 2],
              ['ccc', 'x'],
            ]),
          ),
        ),
        json: '{"a":[null,{"x":-1}],"ba":true,"bb":2,"ccc":"x","d":1}',
        known_cbor: toHex(encodeBody(struct({ bb: uint(), d: uint() }), { bb: 2, d: 1 }, 'cbor')),
      },
    ],
  },
  {
    outcome: 'invalid',
    kind: 'body-cbor',
    about: `${SCHEMA_ABOUT} body: bytes that are refused in version 2.0.`,
    cases: [
      ...bodyInvalid.map(([name, schema, cbor, , error]) => ({ name, schema, body: toHex(cbor), error })),
      ...bodyCborInvalid.map(([name, schema, body, error]) => ({ name, schema, body, error })),
    ],
  },
  {
    outcome: 'invalid',
    kind: 'body-json',
    about: `${SCHEMA_ABOUT} body: text that is refused in version 1.2.`,
    cases: [
      ...bodyInvalid.map(([name, schema, , body, error]) => ({ name, schema, body, error })),
      ...bodyJsonInvalid.map(([name, schema, body, error]) => ({ name, schema, body, error })),
    ],
  },
];
