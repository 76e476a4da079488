import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDomain, parseUserAddress, utf8 } from '../base/index.ts';
import {
  type BodyEncoding,
  bool,
  bytes,
  type CborValue,
  canonicalJson,
  choice,
  conversationId,
  decodeBody,
  domain,
  encodeBody,
  encodeCbor,
  fixedBytes,
  type JsonValue,
  list,
  optional,
  type Schema,
  struct,
  text,
  uint,
  userAddress,
  withEncodedBody,
} from './index.ts';
import type { SchemaNode } from './schema.ts';

const ENCODINGS: readonly BodyEncoding[] = ['cbor', 'json'];

interface Sample {
  readonly schema: SchemaNode;
  readonly value: unknown;
}

const hex16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((id) => Buffer.from(id).toString('hex'));
const word = fc.string({ unit: 'grapheme', maxLength: 8 });
const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,11}$/);

/** Any schema together with a value that it allows. */
const { sample: anySample } = fc.letrec<{ sample: Sample; struct: Sample }>((tie) => ({
  sample: fc.oneof(
    { maxDepth: 4 },
    fc.uint8Array({ maxLength: 40 }).map((value) => ({ schema: bytes(40), value })),
    fc.uint8Array({ maxLength: 40 }).map((value) => ({ schema: fixedBytes(value.length), value })),
    hex16.map((value) => ({ schema: conversationId(), value })),
    word.map((value) => ({ schema: text(Buffer.byteLength(value)), value })),
    fc.constantFrom('a', 'alpha.example').map((value) => ({ schema: domain(), value })),
    fc.constantFrom('a@b', 'ann@alpha.example').map((value) => ({ schema: userAddress(), value })),
    fc.oneof(fc.maxSafeNat(), fc.nat(300)).map((value) => ({ schema: uint(value), value })),
    fc.boolean().map((value) => ({ schema: bool(), value })),
    fc.constantFrom('low', 'high').map((value) => ({ schema: choice(['low', 'high']), value })),
    fc.tuple(tie('sample'), fc.nat(3)).map(([item, count]) => ({
      schema: list(item.schema, 3),
      value: new Array(count).fill(item.value),
    })),
    tie('struct'),
  ),
  struct: fc
    .dictionary(name, fc.record({ sample: tie('sample'), optional: fc.boolean(), absent: fc.boolean() }), {
      maxKeys: 6,
    })
    .map((fields) => {
      const value: Record<string, unknown> = {};
      const specs: Record<string, Schema<unknown>> = {};
      for (const [key, field] of Object.entries(fields)) {
        specs[key] = field.sample.schema;
        if (!(field.optional && field.absent)) value[key] = field.sample.value;
      }
      const schema = struct(specs) as Extract<SchemaNode, { kind: 'struct' }>; // what struct() makes
      const marked = Object.entries(schema.fields).map(([key, node]) => [
        key,
        { ...node, optional: fields[key]?.optional ?? false },
      ]);
      return { schema: { kind: 'struct', fields: Object.fromEntries(marked) }, value };
    }),
}));

/** The naive way from a value to the generic form of each encoding. */
function toCbor({ schema, value }: Sample): CborValue {
  if (schema.kind === 'id') return Uint8Array.from(Buffer.from(String(value), 'hex'));
  if (schema.kind === 'list') return items(value).map((item) => toCbor({ schema: schema.item, value: item }));
  if (schema.kind === 'struct') return new Map(members(schema, value).map(([key, member]) => [key, toCbor(member)]));
  return value as CborValue; // bytes, text, numbers and booleans are their own
}

function toJson({ schema, value }: Sample): JsonValue {
  if (schema.kind === 'id') return Buffer.from(String(value), 'hex').toString('base64url');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64url');
  if (schema.kind === 'list') return items(value).map((item) => toJson({ schema: schema.item, value: item }));
  if (schema.kind === 'struct') {
    return Object.fromEntries(members(schema, value).map(([key, member]) => [key, toJson(member)]));
  }
  return value as JsonValue; // text, numbers and booleans are their own
}

const items = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function members(schema: Extract<SchemaNode, { kind: 'struct' }>, value: unknown): [string, Sample][] {
  return Object.entries(Object(value)).map(([key, member]) => {
    const field = schema.fields[key];
    assert.ok(field !== undefined);
    return [key, { schema: field.schema, value: member }];
  });
}

test('bodies are what a naive encoder gives, and come back', () => {
  fc.assert(
    fc.property(anySample, (sample) => {
      assert.deepEqual(encodeBody(sample.schema, sample.value, 'cbor'), encodeCbor(toCbor(sample)));
      assert.deepEqual(encodeBody(sample.schema, sample.value, 'json'), canonicalJson(toJson(sample)));
      for (const encoding of ENCODINGS) {
        const decoded = decodeBody(sample.schema, encodeBody(sample.schema, sample.value, encoding), encoding);
        assert.deepEqual(decoded, { ok: true, value: sample.value });
      }
    }),
    { numRuns: 400 },
  );
});

test('a changed byte is refused, or gives a value that encodes to exactly those bytes', () => {
  fc.assert(
    fc.property(anySample, fc.nat(), fc.integer({ min: 1, max: 255 }), (sample, where, change) => {
      for (const encoding of ENCODINGS) {
        const encoded = encodeBody(sample.schema, sample.value, encoding);
        encoded[where % encoded.length] = (encoded[where % encoded.length] ?? 0) ^ change;
        const decoded = decodeBody(sample.schema, encoded, encoding);
        // A key that became another one is an unknown field, which is dropped, not encoded again.
        if (decoded.ok && !holdsStruct(sample.schema)) {
          assert.deepEqual(encodeBody(sample.schema, decoded.value, encoding), encoded);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

function holdsStruct(schema: SchemaNode): boolean {
  return schema.kind === 'struct' || (schema.kind === 'list' && holdsStruct(schema.item));
}

test('[WIRE-14] unknown fields are dropped wherever they stand, and what is known is kept', () => {
  const known = struct({ bb: uint(), d: optional(text(3)), ee: list(struct({ x: bool() }), 2) });
  const value = { bb: 7, d: 'x', ee: [{ x: true }] };
  fc.assert(
    fc.property(fc.dictionary(name, fc.oneof(fc.nat(), word, fc.boolean(), fc.array(fc.nat()))), (extra) => {
      const all = { ...extra, ...value };
      const cbor = encodeCbor(new Map(Object.entries({ ...all, ee: [new Map([['x', true]])] })));
      assert.deepEqual(decodeBody(known, cbor, 'cbor'), { ok: true, value });
      assert.deepEqual(decodeBody(known, canonicalJson(all), 'json'), { ok: true, value });
    }),
  );
});

function refusal(schema: Schema<unknown>, body: Uint8Array, encoding: BodyEncoding): string {
  const decoded = decodeBody(schema, body, encoding);
  return decoded.ok ? 'accepted' : `${decoded.error.code} ${decoded.error.detail}`;
}

test('[WIRE-3] [WIRE-14] unknown fields are still checked', () => {
  const empty = struct({});
  const refused = (hex: string) => refusal(empty, Uint8Array.from(Buffer.from(hex, 'hex')), 'cbor').split(' ')[0];
  assert.equal(refused('a26178016178 01'.replace(' ', '')), 'duplicate_key');
  assert.equal(refused('a2617901617801'), 'not_canonical');
  assert.equal(refused('a161781801'), 'not_canonical');
  assert.equal(refused('a16178a2616201616101'), 'not_canonical');
  assert.equal(refused('a1617861ff'), 'malformed');
  assert.equal(refused(`a16178${'81'.repeat(16)}00`), 'limit_exceeded');
  assert.equal(refused(`a16178${'81'.repeat(15)}00`), 'accepted');
});

const NESTED = struct({ entries: list(struct({ seq: uint(9), name: text(3) }), 4) });

test('[WIRE-15] [WIRE-16] [WIRE-17] an error names the field, and only ours', () => {
  const cases: readonly (readonly [JsonValue, string])[] = [
    [
      {
        entries: [
          { seq: 1, name: 'abc' },
          { seq: 10, name: 'a' },
        ],
      },
      'limit_exceeded entries[].seq: number is too large',
    ],
    [{ entries: [{ seq: 1, name: 'abcd' }] }, 'limit_exceeded entries[].name: string is too long'],
    [{ entries: [{ seq: 1 }] }, 'missing_field entries[].name: required field is absent'],
    [{ entries: [{ seq: '1', name: 'a' }] }, 'wrong_type entries[].seq'],
    [{ entries: [1] }, 'wrong_type entries[]'],
    [{ secret: 1 }, 'missing_field entries: required field is absent'],
  ];
  for (const [json, expected] of cases) {
    assert.ok(refusal(NESTED, encodeCbor(asMaps(json)), 'cbor').startsWith(expected), expected);
    assert.ok(refusal(NESTED, canonicalJson(json), 'json').startsWith(expected), expected);
  }
});

function asMaps(json: JsonValue): CborValue {
  if (Array.isArray(json)) return json.map(asMaps);
  if (typeof json !== 'object' || json === null) return json as CborValue; // no null in these cases
  return new Map(Object.entries(json).map(([key, value]) => [key, asMaps(value)]));
}

test('[WIRE-19] an unknown key never shows in an error', () => {
  const body = encodeCbor(new Map<string, CborValue>([['TOP-SECRET', 1]]));
  const broken = Uint8Array.from([...body.subarray(0, -1), 0xf6]);
  assert.equal(refusal(struct({}), broken, 'cbor'), 'malformed ?: item outside the CBOR profile');
});

test('[WIRE-18] a refused body gives no value at all', () => {
  const body = encodeCbor(
    new Map<string, CborValue>([
      ['a', 1],
      ['b', 'x'],
    ]),
  );
  assert.deepEqual(Object.keys(decodeBody(struct({ a: uint(), b: uint() }), body, 'cbor')), ['ok', 'error']);
});

test('a value that its schema does not allow is our own fault, and the error names the field', () => {
  const wrong: readonly (readonly [Schema<unknown>, unknown, string])[] = [
    [bytes(2), new Uint8Array(3), 'a: byte string of a wrong length'],
    [bytes(2), 'AA', 'a: not a byte string'],
    [fixedBytes(2), new Uint8Array(1), 'a: byte string of a wrong length'],
    [conversationId(), '00', 'a: not an id'],
    [conversationId(), 'zz'.repeat(16), 'a: not an id'],
    [text(2), 'abc', 'a: text is too long'],
    [text(2), 'éé', 'a: text is too long'],
    [text(9), '\ud800', 'a: text holds a lone surrogate'],
    [text(9), 1, 'a: not a text'],
    [domain(), 'x'.repeat(254), 'a: text is too long'],
    [uint(3), 4, 'a: number is too large'],
    [uint(3), -1, 'a: not an unsigned integer'],
    [uint(), 1.5, 'a: not an unsigned integer'],
    [uint(), 2 ** 53, 'a: not an unsigned integer'],
    [bool(), 1, 'a: not a boolean'],
    [choice(['x']), 'y', 'a: not one of the values'],
    [list(uint(), 1), [1, 2], 'a: list is too long'],
    [list(uint(), 1), 1, 'a: not a list'],
    [list(uint(), 1), [-1], 'a[]: not an unsigned integer'],
    [struct({}), [], 'a: not a struct'],
    [uint(), undefined, 'a: required field is absent'],
  ];
  for (const [schema, value, message] of wrong) {
    for (const encoding of ENCODINGS) {
      assert.throws(() => encodeBody(struct({ a: schema }), { a: value }, encoding), { name: 'RangeError', message });
    }
  }
});

test('an encoder that failed leaves nothing behind for the next body', () => {
  const schema = struct({ a: text(100), b: uint(1) });
  assert.throws(() => encodeBody(schema, { a: 'secret', b: 2 }, 'cbor'), RangeError);
  assert.deepEqual(encodeBody(struct({}), {}, 'cbor'), Uint8Array.of(0xa0));
});

test('large bodies are encoded whole, and do not disturb later ones', () => {
  const schema = struct({ a: bytes(300_000), b: uint() });
  const value = { a: new Uint8Array(300_000).fill(7), b: 1 };
  const encoded = encodeBody(schema, value, 'cbor');
  assert.equal(encoded.length, 1 + 2 + 5 + 300_000 + 2 + 1);
  encoded.fill(0);
  assert.equal(encodeBody(schema, value, 'cbor')[10], 7);
});

test('byte strings of a decoded CBOR body are views; fields have their types', () => {
  const schema = struct({ data: bytes(4), org: domain(), user: userAddress() });
  const org = parseDomain('alpha.example');
  const user = parseUserAddress('ann@alpha.example');
  assert.ok(org.ok && user.ok);
  const input = encodeBody(schema, { data: Uint8Array.of(1, 2), org: org.value, user: user.value }, 'cbor');
  const decoded = decodeBody(schema, input, 'cbor');
  assert.ok(decoded.ok);
  assert.equal(decoded.value.data.buffer, input.buffer);
  assert.deepEqual(decoded.value.data, Uint8Array.of(1, 2));
});

test('a choice that is the start of another one is told apart', () => {
  const schema = struct({ a: choice(['sent', 'sent_late', 's']) });
  for (const a of ['sent', 'sent_late', 's'] as const) {
    assert.deepEqual(decodeBody(schema, encodeBody(schema, { a }, 'cbor'), 'cbor'), { ok: true, value: { a } });
  }
});

test('the two encodings are never taken for one another', () => {
  const schema = struct({ a: uint() });
  assert.ok(!decodeBody(schema, utf8('{"a":1}'), 'cbor').ok);
  assert.ok(!decodeBody(schema, Uint8Array.of(0xa1, 0x61, 0x61, 1), 'json').ok);
});

test('an encoded body for a moment has the same bytes, also inside another and after a fault', () => {
  const schema = struct({ a: bytes(2000), b: uint() });
  const value = (byte: number, length: number) => ({ a: new Uint8Array(length).fill(byte), b: byte });
  for (const encoding of ENCODINGS) {
    const [outer, inner] = [value(1, 2000), value(2, 10)];
    withEncodedBody(schema, outer, encoding, (first) => {
      const second = withEncodedBody(schema, inner, encoding, (encoded) => encoded.slice());
      assert.deepEqual(second, encodeBody(schema, inner, encoding));
      assert.deepEqual(first.slice(), encodeBody(schema, outer, encoding));
    });
    const fault = new RangeError('not ours to name');
    assert.throws(() => withEncodedBody(schema, inner, encoding, () => assert.fail(fault)), fault);
    assert.deepEqual(
      withEncodedBody(schema, inner, encoding, (encoded) => encoded.slice()),
      encodeBody(schema, inner, encoding),
    );
  }
});
