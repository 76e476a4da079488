import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type JsonField, type JsonValue, parseJson, readJson } from './index.ts';

function read<T>(json: string, getter: (field: JsonField) => T) {
  const parsed = parseJson(json, { bytesMax: 1000 });
  assert.ok(parsed.ok);
  return readJson(parsed.value, 'hello', getter);
}

function refusal<T>(json: string, getter: (field: JsonField) => T): string {
  const result = read(json, getter);
  return result.ok ? 'accepted' : `${result.error.code}: ${result.error.detail}`;
}

test('a typed value is read out of a hello', () => {
  const json = `{"versions":["2.0","1.2"],"nonce":"AAECAw==","max":7,"on":true,"unknown":{"x":null},
    "org":"alpha.example","user":"ann@alpha.example","role":"server","key":"AP8","id":"00fF","at":1,"inner":{"n":2}}`;
  const result = read(json, (field) => {
    const hello = field.object();
    return {
      versions: hello.field('versions').list(4, (version) => version.text(8)),
      nonce: hello.field('nonce').base64(4),
      max: hello.field('max').uint(7),
      on: hello.field('on').bool(),
      org: hello.field('org').domain(),
      user: hello.field('user').user(),
      role: hello.field('role').choice(['client', 'server']),
      key: hello.field('key').base64Url(2),
      upTo: hello.field('key').base64UrlUpTo(9),
      id: hello.field('id').hex(2),
      at: hello.field('at').instant(),
      inner: hello.field('inner').object().field('n').uint(),
      preferred: hello.optional('preferred')?.text(8),
    };
  });
  assert.deepEqual(result, {
    ok: true,
    value: {
      versions: ['2.0', '1.2'],
      nonce: Uint8Array.of(0, 1, 2, 3),
      max: 7,
      on: true,
      org: 'alpha.example',
      user: 'ann@alpha.example',
      role: 'server',
      key: Uint8Array.of(0, 255),
      upTo: Uint8Array.of(0, 255),
      id: Uint8Array.of(0, 255),
      at: 1,
      inner: 2,
      preferred: undefined,
    },
  });
});

test('a refusal names the field by its path', () => {
  const inner = (field: JsonField) => field.object().field('a').object().field('b');
  assert.equal(
    refusal('{}', (f) => inner(f)),
    'missing_field: hello: a is absent',
  );
  assert.equal(
    refusal('{"a":{}}', (f) => inner(f)),
    'missing_field: hello: a: b is absent',
  );
  assert.equal(
    refusal('{"a":{"b":1}}', (f) => inner(f).text(9)),
    'wrong_type: hello: a.b: not a text',
  );
  const list = (field: JsonField) =>
    field
      .object()
      .field('l')
      .list(2, (item) => item.uint(5));
  assert.equal(refusal('{"l":[1,6]}', list), 'limit_exceeded: hello: l[]: number is too large');
  assert.equal(refusal('{"l":[1,2,3]}', list), 'limit_exceeded: hello: l: list is too long');
  assert.equal(
    refusal('[]', (f) => f.object()),
    'wrong_type: hello: not an object',
  );
});

test('each getter refuses what is not of its type', () => {
  const refused: readonly (readonly [string, (field: JsonField) => unknown])[] = [
    ['1', (f) => f.bool()],
    ['"1"', (f) => f.uint()],
    ['-1', (f) => f.uint()],
    ['null', (f) => f.text(9)],
    ['{}', (f) => f.list(9, (item) => item.value)],
    ['"x"', (f) => f.choice(['y'])],
    ['"X.example"', (f) => f.domain()],
    ['"ann"', (f) => f.user()],
    ['"AAEC"', (f) => f.base64(4)],
    ['"AAECAw"', (f) => f.base64(4)],
    ['"AAECAw=="', (f) => f.base64Url(4)],
    ['"AAECAwQ"', (f) => f.base64UrlUpTo(4)],
    ['"0"', (f) => f.hex(1)],
    ['"zz"', (f) => f.hex(1)],
  ];
  for (const [json, getter] of refused) assert.ok(refusal(json, getter).startsWith('wrong_type: hello: '), json);
  assert.ok(refusal('"abc"', (f) => f.text(2)).startsWith('limit_exceeded'));
  assert.ok(refusal('"éé"', (f) => f.text(3)).startsWith('limit_exceeded'));
});

test('null is not an absent member', () => {
  assert.equal(
    refusal('{"a":null}', (f) => f.object().optional('a')?.text(9)),
    'wrong_type: hello: a: not a text',
  );
});

test('inherited names are no members', () => {
  const object: JsonValue = {}; // with a prototype, as our own code may write it
  const result = readJson(object, 'hello', (f) => f.object().field('toString').text(9));
  assert.ok(!result.ok && result.error.code === 'missing_field');
});

test('the reader of a value can refuse by a rule of its own; a bug is not taken for a refusal', () => {
  assert.equal(
    refusal('{"a":1}', (f) => f.object().field('a').refuse('version_span', 'too many majors')),
    'version_span: hello: a: too many majors',
  );
  assert.throws(() => read('1', () => JSON.parse('{')), SyntaxError);
});
