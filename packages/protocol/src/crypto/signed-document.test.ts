import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import fc from 'fast-check';
import { type ErrorName, LIMITS, type Result, utf8 } from '../base/index.ts';
import { canonicalJson, type JsonObject, parseJson, struct, text, uint } from '../wire/index.ts';
import {
  type Crypto,
  checkPostQuantumSignature,
  documentHash,
  documentKind,
  documentType,
  draftDocument,
  type KeyPair,
  keyId,
  parseDocument,
  type SignedDocument,
  signDocument,
  signDocumentPostQuantumWith,
  signDocumentWith,
  verifyDocument,
} from './index.ts';

const crypto: Crypto = nodeCrypto;
const keys = keyPair('a');
const other = keyPair('b');
const NOTE = documentKind('test_note', 1, struct({ title: text(64), at: uint() }));
const note = { title: 'hello', at: 7 };
const signed = signDocumentWith(crypto, draftDocument(NOTE, note), keys);

function keyPair(name: string): KeyPair {
  return crypto.ed25519.keyPair(() => crypto.blake3(utf8(name)));
}

function refused(result: Result<unknown>, code: ErrorName): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
}

/** The document after an edit of its JSON, by somebody without a key. */
function edited(document: SignedDocument<unknown>, edit: (json: Record<string, unknown>) => void): Uint8Array {
  const json = structuredClone(document.json) as Record<string, unknown>;
  edit(json);
  return canonicalJson(json as JsonObject);
}

function parsed(bytes: Uint8Array): SignedDocument<typeof note> {
  const result = parseDocument(NOTE, bytes);
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

test('[CERT-14] a second signature with ML-DSA-65 stands beside the first, and neither is the other', () => {
  const pq = crypto.mlDsa65.keyPair(() => crypto.blake3(utf8('pq')));
  const both = signDocumentPostQuantumWith(crypto, signed, pq);
  assert.deepEqual(
    both.signatures.map(({ algorithm, signature }) => [algorithm, signature.length]),
    [
      ['ed25519', 64],
      ['ml-dsa-65', 3309],
    ],
  );
  assert.deepEqual(documentHash(crypto, both), documentHash(crypto, signed), 'it keeps its name');
  const document = parsed(both.bytes);
  assert.ok(verifyDocument(crypto, document, keys.publicKey).ok);
  assert.ok(checkPostQuantumSignature(crypto, document, pq.publicKey).ok);
  refused(verifyDocument(crypto, document, pq.publicKey), 'signature_invalid');
  refused(checkPostQuantumSignature(crypto, document, keys.publicKey), 'signature_invalid');
  const changed = parsed(edited(both, (json) => Object.assign(json, { title: 'hullo' })));
  refused(checkPostQuantumSignature(crypto, changed, pq.publicKey), 'signature_invalid');
  const pqOnly = parsed(signDocumentPostQuantumWith(crypto, draftDocument(NOTE, note), pq).bytes);
  refused(verifyDocument(crypto, pqOnly, keys.publicKey), 'signature_invalid');
});

test('[CERT-1] a signed document comes back from its bytes and verifies with its key alone', () => {
  const document = parsed(signed.bytes);
  assert.deepEqual(document.body, note);
  assert.deepEqual(document.signingInput, signed.signingInput);
  assert.ok(verifyDocument(crypto, document, keys.publicKey).ok);
  refused(verifyDocument(crypto, document, other.publicKey), 'signature_invalid');
});

test('[CERT-2] only the canonical form of this type, version and size is a document', () => {
  const spaced = utf8(new TextDecoder().decode(signed.bytes).replace('{', '{ '));
  refused(parseDocument(NOTE, spaced), 'not_canonical');
  refused(
    parseDocument(
      NOTE,
      edited(signed, (json) => Object.assign(json, { type: 'other' })),
    ),
    'malformed',
  );
  refused(
    parseDocument(
      NOTE,
      edited(signed, (json) => Object.assign(json, { version: 2 })),
    ),
    'malformed',
  );
  refused(
    parseDocument(
      NOTE,
      edited(signed, (json) => Object.assign(json, { at: 'soon' })),
    ),
    'wrong_type',
  );
  refused(
    parseDocument(
      NOTE,
      edited(signed, (json) => delete json['signatures']),
    ),
    'missing_field',
  );
  const large = edited(signed, (json) => Object.assign(json, { more: 'x'.repeat(LIMITS.documentBytesMax) }));
  refused(parseDocument(NOTE, large), 'limit_exceeded');
  assert.throws(() => draftDocument(NOTE, { title: 'x'.repeat(65), at: 1 }), RangeError);
});

test('[CERT-3] a field that this side does not know is covered by the signature', () => {
  const wide = documentKind('test_note', 1, struct({ title: text(64), at: uint(), color: text(16) }));
  const bytes = signDocumentWith(crypto, draftDocument(wide, { ...note, color: 'red' }), keys).bytes;
  const document = parsed(bytes);
  assert.deepEqual(document.bytes, bytes);
  assert.ok(verifyDocument(crypto, document, keys.publicKey).ok);
  const repainted = parsed(edited(document, (json) => Object.assign(json, { color: 'green' })));
  refused(verifyDocument(crypto, repainted, keys.publicKey), 'signature_invalid');
});

test('[CERT-4] a signature on one type or version means nothing on another', () => {
  for (const [type, version] of [
    ['test_letter', 1],
    ['test_note', 2],
  ] as const) {
    const kind = documentKind(type, version, NOTE.body);
    const moved = parseDocument(
      kind,
      edited(signed, (json) => Object.assign(json, { type, version })),
    );
    assert.ok(moved.ok);
    refused(verifyDocument(crypto, moved.value, keys.publicKey), 'signature_invalid');
  }
});

test('[CERT-5] signatures of unknown algorithms and of other keys are ignored, one of the expected key is required', async () => {
  const both = signDocumentWith(crypto, signed, other);
  assert.ok(verifyDocument(crypto, parsed(both.bytes), keys.publicKey).ok);
  assert.ok(verifyDocument(crypto, parsed(both.bytes), other.publicKey).ok);
  const future = await signDocument(crypto, signed, {
    algorithm: 'ml-dsa-65',
    publicKey: new Uint8Array(1952),
    sign: async () => new Uint8Array(3309),
  });
  assert.equal(future.signatures.length, 2);
  assert.ok(verifyDocument(crypto, parsed(future.bytes), keys.publicKey).ok);
  const alone = parsed(
    edited(future, (json) => Object.assign(json, { signatures: (json['signatures'] as []).slice(1) })),
  );
  refused(verifyDocument(crypto, alone, keys.publicKey), 'signature_invalid');
  const renamed = parsed(
    edited(signed, (json) => Object.assign((json['signatures'] as JsonObject[])[0] ?? {}, { algorithm: 'ed448' })),
  );
  refused(verifyDocument(crypto, renamed, keys.publicKey), 'signature_invalid');
});

test('[CERT-2] a second signature by one key is refused, and so are more than the limit', () => {
  const twice = edited(signed, (json) => (json['signatures'] as unknown[]).push((json['signatures'] as unknown[])[0]));
  refused(parseDocument(NOTE, twice), 'malformed');
  let many: SignedDocument<typeof note> = signed;
  for (let i = 1; i < LIMITS.documentSignaturesMax; i += 1) many = signDocumentWith(crypto, many, keyPair(`key ${i}`));
  assert.throws(() => signDocumentWith(crypto, many, keyPair('one more')), RangeError);
  assert.equal(signDocumentWith(crypto, many, keys).signatures.length, LIMITS.documentSignaturesMax);
});

test('the hash of a document stays when it is countersigned', () => {
  assert.deepEqual(documentHash(crypto, signDocumentWith(crypto, signed, other)), documentHash(crypto, signed));
});

test('adding a signature keeps what others put into theirs', () => {
  const noted = parsed(
    edited(signed, (json) => Object.assign((json['signatures'] as JsonObject[])[0] ?? {}, { note: 'kept' })),
  );
  const json = parseJson(signDocumentWith(crypto, noted, other).bytes, { bytesMax: 65536 });
  assert.ok(json.ok && JSON.stringify(json.value).includes('"note":"kept"'));
});

test('documentType reads the type of any document', () => {
  assert.deepEqual(documentType(signed.bytes), { ok: true, value: 'test_note' });
  refused(documentType(utf8('{}')), 'missing_field');
});

test('any change of any byte of a document is refused', () => {
  const flips = fc.record({ at: fc.nat(signed.bytes.length - 1), bit: fc.nat(7) });
  fc.assert(
    fc.property(flips, ({ at, bit }) => {
      const bytes = Uint8Array.from(signed.bytes);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      const result = parseDocument(NOTE, bytes);
      assert.ok(!result.ok || !verifyDocument(crypto, result.value, keys.publicKey).ok);
    }),
    { numRuns: 300 },
  );
});

test('a kind of document cannot take the names that every document has', () => {
  assert.throws(() => documentKind('test_note', 1, struct({ signatures: text(8) })), TypeError);
  assert.throws(() => documentKind('test_note', 1, text(8)), TypeError);
});

test('keyId is 32 hexadecimal digits of the hash of the key', () => {
  assert.match(keyId(crypto, keys.publicKey), /^[0-9a-f]{32}$/);
});
