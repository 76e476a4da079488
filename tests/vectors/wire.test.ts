import assert from 'node:assert/strict';
import { fromHex, type MessageId, toHex, utf8 } from '@norc/protocol/base';
import {
  type CborValue,
  canonicalJsonText,
  decodeBody,
  decodeCbor,
  decodeFrame,
  encodeBody,
  encodeCbor,
  encodeFrame,
  type FrameHeader,
  frameAad,
  frameNonce,
  type JsonValue,
  padBody,
  parseJson,
  type Schema,
  unpadBody,
} from '@norc/protocol/wire';
import { wireVectors } from '../../vectors/generate/wire.ts';
import { runVectors, VectorCase } from './harness.ts';

runVectors(
  'wire',
  {
    valid: { body: validBody, cbor: validCbor, frame: validFrame, json: validJson, padding, 'unknown-fields': unknown },
    invalid: {
      cbor: (vector) => decodeCbor(vector.hex('encoded')),
      json: (vector) => parseJson(vector.hex('input'), { bytesMax: 1000, requireCanonical: vector.bool('canonical') }),
      frame: (vector) => decodeFrame(vector.hex('frame')),
      padding: (vector) => unpadBody(vector.hex('plaintext'), vector.bool('first')),
      'body-cbor': (vector) => decodeBody(schemaOf(vector), vector.hex('body'), 'cbor'),
      'body-json': (vector) => decodeBody(schemaOf(vector), utf8(vector.text('body')), 'json'),
    },
  },
  wireVectors,
);

/** A case's schema is the description itself, as plain data. */
function schemaOf(vector: VectorCase): Schema<unknown> {
  return JSON.parse(canonicalJsonText(vector.json('schema')));
}

function fromNotation(value: JsonValue): CborValue {
  if (Array.isArray(value)) return value.map(fromNotation);
  if (typeof value === 'object' && value !== null) {
    const tagged = new VectorCase(value as { readonly [key: string]: JsonValue }, 'value'); // not an array, not null
    return tagged.has('bytes') ? tagged.hex('bytes') : new Map(tagged.list('map').map(entryOf));
  }
  assert.ok(value !== null);
  return value;
}

function entryOf(entry: JsonValue): [string, CborValue] {
  assert.ok(Array.isArray(entry) && typeof entry[0] === 'string');
  return [entry[0], fromNotation(entry[1])];
}

function validCbor(vector: VectorCase): void {
  const encoded = vector.hex('encoded');
  assert.equal(toHex(encodeCbor(fromNotation(vector.json('value')))), toHex(encoded));
  const decoded = decodeCbor(encoded);
  assert.ok(decoded.ok);
  assert.equal(toHex(encodeCbor(decoded.value)), toHex(encoded));
}

function validJson(vector: VectorCase): void {
  const canonical = vector.text('canonical');
  const parsed = parseJson(vector.text('input'), { bytesMax: 1000 });
  assert.ok(parsed.ok);
  assert.equal(canonicalJsonText(parsed.value), canonical);
  const again = parseJson(canonical, { bytesMax: 1000, requireCanonical: true });
  assert.deepEqual(again, parsed);
}

function validFrame(vector: VectorCase): void {
  const header: FrameHeader = {
    version: { major: vector.number('major'), minor: vector.number('minor') },
    type: vector.number('type'),
    messageId: vector.text('message_id') as MessageId, // checked by decodeFrame's result below
    sequence: vector.number('sequence'),
    prevHash: vector.hex('prev_hash'),
  };
  const ciphertext = vector.hex('ciphertext');
  assert.equal(toHex(encodeFrame(header, ciphertext)), vector.text('frame'));
  assert.deepEqual(decodeFrame(vector.hex('frame')), { ok: true, value: { header, ciphertext } });
  assert.equal(toHex(frameAad(header, ciphertext.length, vector.hex('transcript_hash'))), vector.text('aad'));
  assert.equal(toHex(frameNonce(vector.hex('iv'), header.sequence)), vector.text('nonce'));
}

function padding(vector: VectorCase): void {
  const fill = fromHex(vector.text('body_byte'))?.[0];
  const body = new Uint8Array(vector.number('body_length')).fill(fill ?? 0);
  const offset = vector.has('sequence_offset') ? vector.number('sequence_offset') : undefined;
  const plaintext = padBody(body, offset);
  assert.equal(plaintext.length, vector.number('plaintext_length'));
  assert.equal(toHex(plaintext.subarray(0, 16)), vector.text('plaintext_start'));
  const opened = unpadBody(plaintext, offset !== undefined);
  assert.ok(opened.ok);
  assert.ok(Buffer.from(opened.value.body).equals(body));
  assert.equal(opened.value.sequenceOffset, offset);
}

function validBody(vector: VectorCase): void {
  const schema = schemaOf(vector);
  const fromCbor = decodeBody(schema, vector.hex('cbor'), 'cbor');
  const fromJson = decodeBody(schema, utf8(vector.text('json')), 'json');
  assert.ok(fromCbor.ok && fromJson.ok);
  assert.deepEqual(fromCbor.value, fromJson.value);
  assert.equal(toHex(encodeBody(schema, fromJson.value, 'cbor')), vector.text('cbor'));
  assert.equal(Buffer.from(encodeBody(schema, fromCbor.value, 'json')).toString(), vector.text('json'));
}

function unknown(vector: VectorCase): void {
  const schema = schemaOf(vector);
  const known = decodeBody(schema, vector.hex('known_cbor'), 'cbor');
  assert.ok(known.ok);
  assert.deepEqual(decodeBody(schema, vector.hex('cbor'), 'cbor'), known);
  assert.deepEqual(decodeBody(schema, utf8(vector.text('json')), 'json'), known);
}
