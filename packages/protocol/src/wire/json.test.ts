import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../base/index.ts';
import { canonicalJson, canonicalJsonText, type JsonValue, parseJson } from './index.ts';

const LIMITS = { bytesMax: 100_000 };
const CANONICAL = { bytesMax: 100_000, requireCanonical: true };

const integer = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -20, max: 20 })).map((n) => n + 0); // no -0
const anyText = fc.string({ unit: 'binary', maxLength: 20 });
const { value: anyJson } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    integer,
    anyText,
    fc.constantFrom<JsonValue>(null, true, false),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(anyText, tie('value'), { maxKeys: 5 }),
  ),
}));

/** RFC 8785 for the values that NORC has: the platform's JSON with sorted keys. */
function reference(value: JsonValue): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(reference).join(',')}]`;
  const keys = Object.keys(value).sort((a, b) => Buffer.compare(utf16(a), utf16(b)));
  return `{${keys.map((key) => `${JSON.stringify(key)}:${reference(Object(value)[key])}`).join(',')}}`;
}

const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();

test('the canonical form is what a naive encoder gives, and it comes back', () => {
  fc.assert(
    fc.property(anyJson, (value) => {
      const text = canonicalJsonText(value);
      assert.equal(text, reference(value));
      const parsed = parseJson(canonicalJson(value), CANONICAL);
      assert.ok(parsed.ok);
      assert.equal(canonicalJsonText(parsed.value), text);
    }),
    { numRuns: 300 },
  );
});

test('any other layout of the same document parses to the same', () => {
  fc.assert(
    fc.property(anyJson, fc.integer({ min: 1, max: 4 }), (value, indent) => {
      const laidOut = JSON.stringify(value, undefined, indent);
      const parsed = parseJson(laidOut, LIMITS);
      assert.ok(parsed.ok);
      assert.equal(canonicalJsonText(parsed.value), canonicalJsonText(value));
      if (laidOut !== canonicalJsonText(value)) assert.equal(codeOf(laidOut, true), 'not_canonical');
    }),
  );
});

function codeOf(input: string | Uint8Array, requireCanonical = false): string {
  const parsed = parseJson(input, { ...LIMITS, requireCanonical });
  return parsed.ok ? 'accepted' : parsed.error.code;
}

/** What our parser takes is JSON to the platform too, and canonical mode takes exactly one form. */
function agreesWithPlatform(bytes: Uint8Array): void {
  const text = Buffer.from(bytes).toString();
  const lax = parseJson(bytes, LIMITS);
  const canonical = parseJson(bytes, CANONICAL);
  if (lax.ok) assert.equal(reference(JSON.parse(text)), canonicalJsonText(lax.value));
  assert.equal(canonical.ok, lax.ok && canonicalJsonText(lax.value) === text);
}

test('[WIRE-8] [WIRE-11] random text never throws, and canonical mode accepts exactly the canonical form', () => {
  const token = fc.constantFrom(
    ...'{}[]:,"\\/0123-.eE+untrfalsd \t\n\u0000é😀',
    '\\u00',
    '\\ud83d',
    '\\ude00',
    '"a"',
    '"b":',
  );
  const likely = fc.array(token, { maxLength: 14 }).map((tokens) => utf8(tokens.join('')));
  fc.assert(fc.property(fc.oneof(likely, fc.uint8Array({ maxLength: 12 })), agreesWithPlatform), { numRuns: 4000 });
});

test('a changed byte is refused, or is the canonical form of another value', () => {
  fc.assert(
    fc.property(anyJson, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, where, change) => {
      const bytes = canonicalJson(value);
      const at = where % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ change;
      agreesWithPlatform(bytes);
    }),
    { numRuns: 1000 },
  );
});

test('[WIRE-9] a key twice is refused, however it is written', () => {
  for (const text of ['{"a":1,"a":1}', '{"a":1,"b":2,"a":3}', '{"a":1,"\\u0061":2}', '{"":1,"":2}']) {
    assert.equal(codeOf(text), 'duplicate_key', text);
  }
});

test('[WIRE-9] no key reaches a prototype', () => {
  const parsed = parseJson('{"__proto__":{"admin":true},"constructor":1,"toString":2}', LIMITS);
  assert.ok(parsed.ok);
  const object = Object(parsed.value);
  assert.deepEqual(Object.keys(object), ['__proto__', 'constructor', 'toString']);
  assert.equal(object.admin, undefined);
  assert.equal(Object.getPrototypeOf(object), null);
  assert.equal(Object('').admin, undefined);
  assert.equal(canonicalJsonText(parsed.value), '{"__proto__":{"admin":true},"constructor":1,"toString":2}');
});

test('[WIRE-10] numbers are integers in range', () => {
  for (const text of ['1.0', '1.5', '1e2', '1E+2', '-0', '0.0', '-0.0'])
    assert.equal(codeOf(text), 'not_canonical', text);
  for (const text of ['9007199254740992', '-9007199254740992', '1'.repeat(400)]) {
    assert.equal(codeOf(text), 'limit_exceeded', text);
  }
  for (const text of ['01', '+1', '-', '.5', '0x1', 'Infinity', '-a']) {
    assert.ok(['malformed', 'truncated', 'trailing_bytes'].includes(codeOf(text)), text);
  }
});

test('[WIRE-12] depth, length and ends are bounded', () => {
  assert.ok(parseJson(`${'['.repeat(16)}${']'.repeat(16)}`, LIMITS).ok);
  assert.equal(codeOf(`${'['.repeat(17)}${']'.repeat(17)}`), 'limit_exceeded');
  assert.equal(codeOf('['.repeat(999)), 'limit_exceeded');
  assert.ok(parseJson('[[[]]]', { bytesMax: 10, depthMax: 3 }).ok);
  assert.ok(!parseJson('[[[]]]', { bytesMax: 10, depthMax: 2 }).ok);
  assert.ok(parseJson('"12345678"', { bytesMax: 10 }).ok);
  assert.ok(!parseJson('"123456789"', { bytesMax: 10 }).ok);
  assert.ok(!parseJson('"€€€"', { bytesMax: 10 }).ok, 'the bound counts bytes, not characters');
  for (const text of ['', '{', '{"a"', '{"a":', '[1,', '"a', '"\\', '"\\u00', 'tru', '-']) {
    assert.equal(codeOf(text), 'truncated', text);
  }
  assert.equal(codeOf('1 2'), 'trailing_bytes');
});

test('[WIRE-8] surrogates come in pairs, in text and in escapes', () => {
  assert.equal(codeOf('"\\ud83d\\ude00"'), 'accepted');
  for (const text of ['"\\ud83d"', '"\\ude00"', '"\\ude00\\ud83d"', '"\\ud83dx\\ude00"', '"\ud83d"']) {
    assert.equal(codeOf(text), 'malformed', text);
  }
});

test('a value without a canonical form is our own fault', () => {
  let deep: JsonValue = 0;
  for (let i = 0; i < 17; i += 1) deep = [deep];
  const loop: JsonValue[] = [];
  loop.push(loop);
  for (const value of [1.5, 2 ** 53, Number.NaN, '\ud800', { '\udc00': 1 }, deep, loop]) {
    assert.throws(() => canonicalJson(value), RangeError);
  }
  // A caller that is not type-checked.
  for (const value of [{ a: undefined }, [10n], () => 0]) assert.throws(() => canonicalJson(Object(value)), RangeError);
});

test('the seed prototype’s own layout of a hello parses', () => {
  const hello = '{ "type": "client_hello", "client_versions": ["1.1", "1.0"], "nonce": "AAECAwQFBgcICQoLDA0ODw==" }';
  const parsed = parseJson(hello, LIMITS);
  assert.ok(parsed.ok);
  assert.equal(
    canonicalJsonText(parsed.value),
    '{"client_versions":["1.1","1.0"],"nonce":"AAECAwQFBgcICQoLDA0ODw==","type":"client_hello"}',
  );
});
