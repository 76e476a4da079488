import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, TEST_EPOCH, TestHello, testOrganisation } from '@norc/testkit';
import fc from 'fast-check';
import { type ErrorName, fromBase64, instant, LIMITS, type MessageId, type Result, toBase64 } from '../base/index.ts';
import type { KeyClass } from '../crypto/index.ts';
import { canonicalJsonText, type JsonObject, type JsonValue } from '../wire/index.ts';
import { helloErrorText } from './hello-text.ts';
import { federationServerProofInput, serverProofInput } from './proofs.ts';
import { type HelloRole, NORC_C_HELLO, NORC_F_HELLO } from './roles.ts';

type Hello = Record<string, JsonValue>;

function refused(result: Result<unknown>, code: ErrorName): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
}

const parse = (text: string): Hello => JSON.parse(text);
const bothRoles: readonly HelloRole[] = [NORC_C_HELLO, NORC_F_HELLO];

/** The whole handshake with somebody in between; what the initiator, or before it the responder, made of it. */
function through<K extends KeyClass>(
  role: HelloRole<K>,
  change: { hello?: (hello: Hello) => JsonObject; answer?: (answer: Hello) => JsonObject },
): Result<unknown> {
  const hello = new TestHello({ role, initiator: { capabilities: ['files'] }, responder: { capabilities: ['files'] } });
  const sent = change.hello === undefined ? hello.text : canonicalJsonText(change.hello(parse(hello.text)));
  const waiting = hello.receiveHello(sent);
  if (!waiting.ok) return waiting;
  const signature = nodeCrypto.ed25519.sign(hello.organisation.server.privateKey, waiting.value.toSign);
  const { text } = waiting.value.complete(signature, TEST_EPOCH);
  return hello.receiveAnswer(change.answer === undefined ? text : canonicalJsonText(change.answer(parse(text))));
}

for (const role of bothRoles) {
  const { hello: names, answer: answerNames } = role;

  test(`[HS-9] ${names.type}: taking any version or suite out of a list, or moving one, is noticed`, () => {
    for (const field of [names.versions, names.suites]) {
      for (const list of changedLists(parse(new TestHello({ role }).text)[field])) {
        const changed = through(role, { hello: (hello) => ({ ...hello, [field]: list }) });
        assert.equal(changed.ok, false, `${field} ${list}`);
      }
    }
    for (const field of [answerNames.versions, answerNames.suites]) {
      for (const list of changedLists(parse(new TestHello({ role }).answer().text)[field])) {
        const changed = through(role, { answer: (answer) => ({ ...answer, [field]: list }) });
        assert.equal(changed.ok, false, `${field} ${list}`);
      }
    }
  });

  test(`[HS-15] ${names.type}: any change to any field of either hello ends the handshake`, () => {
    const hello = new TestHello({ role, initiator: { capabilities: ['files'] } });
    const paths = { hello: leaves(parse(hello.text)), answer: leaves(parse(hello.answer().text)) };
    fc.assert(
      fc.property(
        fc
          .constantFrom('hello' as const, 'answer' as const)
          .chain((which) =>
            fc.tuple(fc.constant(which), fc.constantFrom(...paths[which]), fc.constantFrom(...CHANGES)),
          ),
        ([which, path, change]) => {
          const result = through(role, { [which]: (json: Hello) => changeAt(json, path, change) });
          assert.equal(result.ok, false, `${which} ${path}`);
        },
      ),
      { numRuns: 150 },
    );
  });

  test(`[HS-14] ${names.type}: a field that is added on the way is noticed, though nobody knows it`, () => {
    refused(through(role, { hello: (hello) => ({ ...hello, zz: 1 }) }), 'transcript_mismatch');
    refused(through(role, { answer: (answer) => ({ ...answer, zz: 1 }) }), 'transcript_mismatch');
  });
}

test('[HS-17] who changes the hello and repairs the transcript hash still lacks the signature', () => {
  const hello = new TestHello({ role: NORC_C_HELLO });
  const stripped = { ...parse(hello.text), client_versions: ['1.2'] };
  const answer = parse(hello.answer(canonicalJsonText(stripped)).text);
  // The initiator recomputes over what it sent itself, so the attacker needs that hash.
  const { transcript_hash: _, signature: __, ...covered } = answer;
  const hash = nodeCrypto.blake3(
    Buffer.concat([
      Buffer.from('norc-c-handshake-v1'),
      Buffer.from(hello.text),
      Buffer.from(canonicalJsonText({ ...covered, negotiated_version: '2.0', compatibility_mode: false })),
    ]),
  );
  const forged = { ...answer, negotiated_version: '2.0', compatibility_mode: false, transcript_hash: toBase64(hash) };
  refused(hello.receiveAnswer(canonicalJsonText(forged)), 'signature_invalid');
});

test('[HS-9] [HS-12] a responder that chooses less than the best version or suite is refused, though it signs so', () => {
  const signed = (fields: JsonObject) => {
    const hello = new TestHello({ role: NORC_C_HELLO });
    return hello.receiveAnswer(signedAnswer(hello, fields));
  };
  refused(signed({ negotiated_version: '1.2', compatibility_mode: true }), 'downgrade_refused');
  refused(signed({ negotiated_version: '1.1' }), 'no_compatible_version');
  refused(signed({ negotiated_version: '3.0' }), 'no_compatible_version');
  refused(signed({ compatibility_mode: true }), 'malformed');
  refused(signed({ server_versions: ['3.0', '1.2'] }), 'version_span');
  refused(signed({ suite: '0x0102' }), 'suite_downgrade');
  refused(signed({ suite: '0x0001' }), 'suite_downgrade');
  refused(signed({ server_suites: ['0x0001'] }), 'no_compatible_suite');
  assert.ok(signed({}).ok);
});

test('[HS-6] 3.0-only, stripped and spanning lists are refused by the responder', () => {
  const offer = (versions: readonly string[]) => {
    const hello = new TestHello({ role: NORC_C_HELLO, responder: { versions: ['2.0', '1.2', '1.1', '1.0'] } });
    return hello.receiveHello(canonicalJsonText({ ...parse(hello.text), client_versions: versions }));
  };
  refused(offer(['3.0']), 'no_compatible_version');
  refused(offer(['3.0', '1.2']), 'version_span');
  refused(offer([]), 'malformed');
  refused(offer(['2.0', '2.0']), 'malformed');
  refused(offer(['1.1', '1.0']), 'hybrid_required');
});

test('[HS-16] [HS-17] only the pinned organisation, with a server key in date and for this use, is believed', () => {
  const impostor = testOrganisation('bravo.example');
  const honest = new TestHello({ role: NORC_C_HELLO });
  const byAnother = new TestHello({ role: NORC_C_HELLO, organisation: impostor }).answer(honest.text);
  refused(honest.receiveAnswer(byAnother.text), 'certificate_invalid');

  const late = new TestHello({ role: NORC_C_HELLO });
  const after = instant(late.organisation.certificate.body.not_after);
  refused(late.receiveAnswer(late.answer().text, undefined, after), 'certificate_expired');

  const archive = testOrganisation('alpha.example', { usages: ['audit'] });
  const wrongUse = new TestHello({ role: NORC_C_HELLO, organisation: archive });
  refused(wrongUse.receiveAnswer(wrongUse.answer().text), 'certificate_invalid');

  const stolen = new TestHello({ role: NORC_C_HELLO });
  const waiting = mustBe(stolen.receiveHello());
  const { text } = waiting.complete(nodeCrypto.ed25519.sign(impostor.server.privateKey, waiting.toSign), TEST_EPOCH);
  refused(stolen.receiveAnswer(text), 'signature_invalid');
});

test('[HS-17] a signature of one protocol or channel proves nothing in another', () => {
  const organisation = testOrganisation('alpha.example');
  const hello = new TestHello({ role: NORC_C_HELLO, organisation });
  const waiting = mustBe(hello.receiveHello());
  const hash = waiting.toSign.subarray('norc-c-server-v1'.length);
  assert.deepEqual(waiting.toSign, serverProofInput(hash));
  const asFederation = nodeCrypto.ed25519.sign(organisation.server.privateKey, federationServerProofInput(hash));
  refused(hello.receiveAnswer(waiting.complete(asFederation, TEST_EPOCH).text), 'signature_invalid');

  const again = new TestHello({ role: NORC_C_HELLO, organisation });
  const other = parse(again.answer().text);
  const target = new TestHello({ role: NORC_C_HELLO, organisation, initiator: { capabilities: ['x'] } });
  const answer = parse(target.answer().text);
  const replayed = { ...answer, signature: other['signature'] ?? '' };
  refused(target.receiveAnswer(canonicalJsonText(replayed)), 'signature_invalid');
});

test('[HS-11] the initiator refuses a peer that was newer before, but only once the peer has signed that it is older', () => {
  const options = { role: NORC_C_HELLO, responder: { versions: ['1.2', '1.1'] } };
  const hello = new TestHello(options);
  refused(hello.receiveAnswer(hello.answer().text, 2), 'downgrade_refused');
  const forged = new TestHello(options);
  const answer = { ...parse(forged.answer().text), signature: toBase64(new Uint8Array(64)) };
  refused(forged.receiveAnswer(canonicalJsonText(answer), 2), 'signature_invalid');
  const first = new TestHello(options);
  assert.equal(mustBe(first.receiveAnswer(first.answer().text)).newestMajorSeen, 1);
});

test('[HS-13] a low-order X25519 key or an ML-KEM key that is none ends the handshake on either side', () => {
  const zero = toBase64(new Uint8Array(32));
  const badKem = toBase64(new Uint8Array(1184).fill(255));
  refused(through(NORC_C_HELLO, { hello: (hello) => ({ ...hello, ephemeral_pub: zero }) }), 'crypto');
  refused(through(NORC_C_HELLO, { hello: (hello) => ({ ...hello, pq_pub: badKem }) }), 'crypto');
  // The responder itself is the attacker here: it signs what it likes.
  const hello = new TestHello({ role: NORC_C_HELLO });
  refused(hello.receiveAnswer(signedAnswer(hello, { ephemeral_pub: zero })), 'crypto');
});

test('[HS-13] a wrong ML-KEM ciphertext gives the two sides different keys, and so a dead channel', () => {
  const hello = new TestHello({ role: NORC_C_HELLO });
  const waiting = mustBe(hello.receiveHello());
  const responder = waiting.complete(new Uint8Array(64), TEST_EPOCH);
  const other = toBase64(fromBase64(String(parse(responder.text)['pq_ciphertext']))?.map((byte) => byte ^ 1) ?? EMPTY);
  const initiator = mustBe(hello.receiveAnswer(signedAnswer(hello, { pq_ciphertext: other }, responder.text)));
  const frame = initiator.channels.control.seal(0x04, ID, EMPTY);
  refused(responder.channels.control.open(frame, TEST_EPOCH), 'frame_rejected');
});

test('[HS-1] a message out of its place, or not a hello, is refused by name', () => {
  const hello = () => new TestHello({ role: NORC_C_HELLO });
  const one = hello();
  refused(one.receiveHello(one.answer().text), 'unexpected_message');
  refused(hello().receiveAnswer(hello().text), 'unexpected_message');
  refused(hello().receiveHello(new TestHello({ role: NORC_F_HELLO }).text), 'unexpected_message');
  refused(hello().receiveHello('[]'), 'wrong_type');
  refused(hello().receiveHello(''), 'truncated');
  refused(hello().receiveHello('{"type":"client_hello","type":"client_hello"}'), 'duplicate_key');
  refused(hello().receiveHello(`${hello().text} x`), 'trailing_bytes');
  refused(hello().receiveHello('{"type":"client_hello"}'), 'missing_field');
  const padding = 'x'.repeat(LIMITS.helloBytesMax);
  refused(hello().receiveHello(canonicalJsonText({ ...parse(hello().text), padding })), 'limit_exceeded');
});

test('[HS-1] a field that is absent, of another type or length, twice in a list or over its limit is refused', () => {
  const withHello = (change: (hello: Hello) => JsonObject) => through(NORC_C_HELLO, { hello: change });
  const without = (name: string) =>
    withHello(({ [name]: _, ...rest }) => {
      return rest;
    });
  for (const name of ['suites', 'capabilities', 'nonce', 'ephemeral_pub', 'pq_pub', 'client_versions']) {
    refused(without(name), 'missing_field');
    refused(
      withHello((hello) => ({ ...hello, [name]: 7 })),
      'wrong_type',
    );
  }
  refused(
    withHello((hello) => ({ ...hello, nonce: toBase64(new Uint8Array(15)) })),
    'wrong_type',
  );
  refused(
    withHello((hello) => ({ ...hello, nonce: 'AAAAAAAAAAAAAAAAAAAAAA' })),
    'wrong_type',
  );
  refused(
    withHello((hello) => ({ ...hello, capabilities: ['a', 'a'] })),
    'malformed',
  );
  const many = Array.from({ length: LIMITS.capabilitiesMax + 1 }, (_, i) => `c${i}`);
  refused(
    withHello((hello) => ({ ...hello, capabilities: many })),
    'limit_exceeded',
  );
  refused(
    withHello((hello) => ({ ...hello, suites: ['0x0101', '0x0101'] })),
    'malformed',
  );
  refused(
    withHello((hello) => ({ ...hello, suites: ['0x0001'] })),
    'no_compatible_suite',
  );
});

test('[HS-1] whatever a peer puts into a field, the answer is a refusal and never an exception', () => {
  const { text } = new TestHello({ role: NORC_C_HELLO });
  const answer = new TestHello({ role: NORC_C_HELLO }).answer().text;
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(parse(text))), fc.jsonValue(), (field, value) => {
      const hello = new TestHello({ role: NORC_C_HELLO });
      const result = hello.receiveHello(JSON.stringify({ ...parse(text), [field]: value }));
      assert.equal(typeof result.ok, 'boolean');
    }),
  );
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(parse(answer))), fc.jsonValue(), (field, value) => {
      const changed = JSON.stringify({ ...parse(answer), [field]: value });
      fc.pre(changed !== JSON.stringify(parse(answer)));
      assert.equal(new TestHello({ role: NORC_C_HELLO }).receiveAnswer(changed).ok, false);
    }),
  );
  fc.assert(fc.property(fc.string(), (junk) => !new TestHello({ role: NORC_C_HELLO }).receiveHello(junk).ok));
});

test('[HS-2] an error in place of the answer is told as what it says, and cannot be anything else', () => {
  const receive = (text: string) => new TestHello({ role: NORC_C_HELLO }).receiveAnswer(text);
  refused(receive(helloErrorText('too_many_connections', 'r1')), 'too_many_connections');
  refused(receive('{"type":"error","name":"__proto__"}'), 'unexpected_message');
  refused(receive('{"type":"error","name":"no such error"}'), 'unexpected_message');
  refused(receive('{"type":"error"}'), 'unexpected_message');
});

const EMPTY = new Uint8Array(0);
const ID = '00112233445566778899aabbccddeeff' as MessageId; // 32 hexadecimal digits

/** An answer that the right server key signed, with fields of a malicious server's choice. */
function signedAnswer(hello: TestHello<'control'>, fields: JsonObject, text?: string): string {
  const answer = { ...parse(text ?? hello.answer().text), ...fields };
  const { transcript_hash: _, signature: __, ...covered } = answer;
  const transcript = Buffer.from(`norc-c-handshake-v1${hello.text}${canonicalJsonText(covered)}`);
  const hash = nodeCrypto.blake3(transcript);
  const signature = nodeCrypto.ed25519.sign(hello.organisation.server.privateKey, serverProofInput(hash));
  return canonicalJsonText({ ...covered, transcript_hash: toBase64(hash), signature: toBase64(signature) });
}

/** Every list that lacks one or more entries, and those with two entries changed about. */
function changedLists(value: JsonValue | undefined): JsonValue[] {
  assert.ok(Array.isArray(value) && value.length === 2);
  const [first, second] = value;
  return [[first], [second], [], [second, first]];
}

type Path = readonly (string | number)[];

/** Where the texts, numbers and booleans of a document are. */
function leaves(value: JsonValue, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, one]) =>
    leaves(one, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

type Change = (value: JsonValue) => JsonValue;

const CHANGES: readonly Change[] = [
  (value) => (typeof value === 'string' ? flipCharacter(value) : typeof value === 'number' ? value + 1 : !value),
  (value) => (typeof value === 'string' ? value.slice(1) : null),
  () => null,
  (value) => [value],
];

function flipCharacter(text: string): string {
  const middle = Math.floor(text.length / 2);
  const other = text[middle] === 'A' ? 'B' : 'A';
  return text === '' ? 'A' : text.slice(0, middle) + other + text.slice(middle + 1);
}

function changeAt(value: JsonValue, path: Path, change: Change): JsonObject {
  const copy: JsonValue = structuredClone(value);
  let at = copy as Record<string | number, JsonValue>; // the path leads through objects and arrays
  for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, JsonValue>;
  const last = path.at(-1);
  assert.ok(last !== undefined);
  at[last] = change(at[last] ?? null);
  return copy as JsonObject;
}
