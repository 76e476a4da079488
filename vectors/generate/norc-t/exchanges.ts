import { nodeCrypto } from '@norc/crypto/node';
import { toBase64Url, toHex, utf8 } from '@norc/protocol/base';
import { parseDocument } from '@norc/protocol/crypto';
import {
  extendTranscript,
  grantSubject,
  requestDescription,
  requestSubject,
  storedPair,
  TRANSCRIPT_START,
  TRUST_MESSAGES,
  type TrustMessageName,
} from '@norc/protocol/norc-t';
import type { JsonObject, JsonValue } from '@norc/protocol/wire';
import {
  type ExchangeOptions,
  mustBe,
  parsedDocument,
  resigned,
  runTrustExchange,
  TEST_EPOCH,
  testBytes,
  testOrganisation,
  testTrustRequest,
} from '@norc/testkit';
import type { VectorFile } from '../files.ts';
import { alpha, bravo, evil, textOf } from './certificates.ts';
import { EXCHANGE_SETUPS } from './exchange-setups.ts';

/** Cases of spec/norc-t section 5: the exchange. */

type Level = keyof typeof EXCHANGE_SETUPS;
const RESPONDERS = ['trust_capabilities', 'trust_request', 'trust_response', 'trust_acknowledgment'];

interface Crossed {
  readonly message: TrustMessageName;
  readonly document: Uint8Array;
}

function crossed(level: Level, more: ExchangeOptions = {}): readonly Crossed[] {
  const { first, second, options } = EXCHANGE_SETUPS[level];
  const messages: Crossed[] = [];
  const intercept = (message: string, document: Uint8Array) => {
    messages.push({ message: message as TrustMessageName, document }); // the machines send nothing else
    return [document];
  };
  runTrustExchange(first, second, { ...options, ...more, intercept });
  return messages;
}

const shown = ({ message, document }: Crossed) => ({ message, document: textOf(document) });
const honest = { basic: crossed('basic'), classified: crossed('classified') };

function transcripts(level: Level): readonly string[] {
  let hash = TRANSCRIPT_START;
  return honest[level].map(({ message, document }) => {
    hash = extendTranscript(nodeCrypto, hash, mustBe(parseDocument<unknown>(TRUST_MESSAGES[message], document)));
    return toHex(hash);
  });
}

function exchangeCase(name: string, level: Level) {
  const { first, second, options } = EXCHANGE_SETUPS[level];
  const { initiator } = runTrustExchange(first, second, options);
  const kept = initiator.last('keep_certificates');
  const request = testTrustRequest(first, second, options);
  return {
    name,
    level,
    now: TEST_EPOCH,
    initiator: alpha.domain,
    initiator_root_key: toHex(alpha.root.publicKey),
    initiator_server_seed: toHex(alpha.server.privateKey),
    initiator_nonce: toHex(request.nonce),
    responder: bravo.domain,
    responder_root_key: toHex(bravo.root.publicKey),
    responder_server_seed: toHex(bravo.server.privateKey),
    responder_nonce: toHex(testBytes('exchange responder nonce', 32)),
    messages: honest[level].map(shown),
    transcripts: transcripts(level),
    by_initiator: textOf(kept?.given ?? new Uint8Array()),
    by_responder: textOf(kept?.received ?? new Uint8Array()),
    request_subject: toHex(requestSubject(nodeCrypto, requestDescription(request))),
    grant_subject: toHex(grantOf(kept)),
  };
}

/** What officers sign: of the two certificates without their signatures. */
function grantOf(kept: { readonly given: Uint8Array; readonly received: Uint8Array } | undefined): Uint8Array {
  if (kept === undefined) throw new Error('the exchange of the vectors gives certificates');
  return grantSubject(nodeCrypto, storedPair({ issued: kept.received, counterpart: kept.given }));
}

const VALID: VectorFile = {
  outcome: 'valid',
  kind: 'exchange',
  about:
    'messages: all six, signed; transcripts: the transcript hash after each; by_initiator and by_responder: the two trust ' +
    'certificates with both signatures; request_subject and grant_subject: what the officer who asks, and those who ' +
    'approve, sign. Both domains name their root key. At basic one officer approves at once and signs nothing; at ' +
    'classified two officers of each side sign, and a third one of the initiator asks.',
  cases: [
    exchangeCase('basic, both ways', 'basic'),
    exchangeCase('classified, with officers of both sides', 'classified'),
  ],
};

const signerOf = (message: string) => (RESPONDERS.includes(message) ? alpha : bravo);

/** The exchange up to `message`, and then `document` in its place. */
function bad(name: string, message: TrustMessageName, document: Uint8Array, error: string, level: Level = 'basic') {
  const at = honest[level].findIndex((one) => one.message === message);
  return {
    name,
    level,
    now: TEST_EPOCH,
    receiver: RESPONDERS.includes(message) ? 'responder' : 'initiator',
    before: at,
    message,
    document: textOf(document),
    error,
  };
}

function original(message: TrustMessageName, from: readonly Crossed[] = honest.basic): Uint8Array {
  return from.find((one) => one.message === message)?.document ?? new Uint8Array();
}

/** What a dishonest sender signs itself. */
function altered(name: string, message: TrustMessageName, changes: Record<string, JsonValue>, error: string) {
  return bad(name, message, resigned(original(message), signerOf(message), changes), error);
}

const foreign = crossed('basic', { seed: 'another' });
const MESSAGES = honest.basic.map(({ message }) => message);
const each = <T>(make: (message: TrustMessageName) => T) => MESSAGES.map(make);
const elsewhere = toBase64Url(testBytes('elsewhere', 32));

function decisionWith(name: string, part: 'issued' | 'counterpart', changes: Record<string, JsonValue>, error: string) {
  const certificate = Buffer.from(String(parsedDocument(original('trust_decision'))[part]), 'base64url');
  const rewritten = toBase64Url(resigned(certificate, bravo, changes));
  return altered(`${name} (${part})`, 'trust_decision', { [part]: rewritten }, error);
}

/** A message of the classified exchange, with other material. */
function approvals(name: string, message: TrustMessageName, material: readonly JsonValue[]) {
  const document = resigned(original(message, honest.classified), signerOf(message), { material });
  return bad(name, message, document, 'approval_required', 'classified');
}

function materialOf(message: TrustMessageName): readonly [JsonValue, JsonValue] {
  const { material } = parsedDocument(original(message, honest.classified));
  return material as unknown as readonly [JsonValue, JsonValue]; // two officers approved
}

const [approval, second] = materialOf('trust_decision');
const [theirs] = materialOf('trust_acknowledgment');
const otherDecision = parsedDocument(original('trust_decision', crossed('classified', { seed: 'another' })));
const [, elsewhereApproved] = otherDecision['material'] as JsonValue[] as [JsonValue, JsonValue]; // as above

const OFFICERS = [
  approvals('a decision without what officers signed', 'trust_decision', []),
  approvals('a decision with one officer', 'trust_decision', [approval]),
  approvals('a decision with one officer twice', 'trust_decision', [approval, approval]),
  approvals('a decision with an approval of another exchange', 'trust_decision', [approval, elsewhereApproved]),
  approvals('a decision with an approval of the other side', 'trust_decision', [second, theirs]),
  approvals('an acknowledgment with one officer', 'trust_acknowledgment', [theirs]),
  bad(
    'a request that is not what the officer signed',
    'trust_request',
    resigned(original('trust_request', honest.classified), alpha, { valid_days: 89 }),
    'forbidden',
    'classified',
  ),
  bad(
    'a request that no officer signed',
    'trust_request',
    resigned(original('trust_request', honest.classified), alpha, { material: [] }),
    'approval_required',
    'classified',
  ),
];

function evidence(change: (evidence: JsonObject[]) => readonly JsonObject[]): Record<string, JsonValue> {
  return { evidence: change(parsedDocument(original('trust_response'))['evidence'] as JsonObject[]) };
}

const INVALID: VectorFile = {
  outcome: 'invalid',
  kind: 'exchange',
  about:
    'The first `before` messages of the exchange of that level in valid/exchange.json have crossed; document comes in the ' +
    'place of the next one, `message`. The receiver refuses it, or ends the exchange, with the error.',
  cases: [
    ...OFFICERS,
    altered(
      'evidence for another root key than ours',
      'trust_response',
      evidence((all) => all.map((one) => (one['kind'] === 'domain_proof' ? { ...one, hash: elsewhere } : one))),
      'evidence_rejected',
    ),
    altered(
      'evidence that leaves out the proof of our key',
      'trust_response',
      evidence((all) => all.filter(({ kind }) => kind !== 'key_proof')),
      'evidence_rejected',
    ),
    ...each((message) =>
      bad(`${message} signed by somebody else`, message, resigned(original(message), evil, {}), 'signature_invalid'),
    ),
    ...each((message) => altered(`${message} for another organisation`, message, { to: 'evil.example' }, 'forbidden')),
    ...each((message) =>
      altered(`${message} with another history`, message, { previous: elsewhere }, 'transcript_mismatch'),
    ),
    ...each((message) =>
      altered(`${message} from the future`, message, { sent_at: TEST_EPOCH + 300_001 }, 'clock_skew'),
    ),
    ...MESSAGES.slice(1).map((message) =>
      bad(`${message} of another exchange`, message, original(message, foreign), 'transcript_mismatch'),
    ),
    ...(['trust_response', 'trust_acknowledgment'] as const).map((message) =>
      bad(`${message} replaced by the first message`, message, original('trust_capabilities'), 'unexpected_message'),
    ),
    altered('a nonce of another challenge', 'trust_response', { nonce: elsewhere }, 'evidence_rejected'),
    altered('a request for no time', 'trust_request', { valid_days: 0 }, 'malformed'),
    altered('a request that is over', 'trust_request', { expires_at: TEST_EPOCH }, 'exchange_expired'),
    decisionWith(
      'a level above the request',
      'issued',
      { level: 'verified', not_after: TEST_EPOCH + 86_400_000 },
      'insufficient_trust',
    ),
    decisionWith(
      'a level above the request',
      'counterpart',
      { level: 'verified', not_after: TEST_EPOCH + 86_400_000 },
      'insufficient_trust',
    ),
    decisionWith(
      'a permission above the offer',
      'counterpart',
      { permissions: ['archive_sync'] },
      'insufficient_trust',
    ),
    decisionWith('of another transcript', 'issued', { transcript: elsewhere }, 'transcript_mismatch'),
    decisionWith('of another transcript', 'counterpart', { transcript: elsewhere }, 'transcript_mismatch'),
    decisionWith('with a field that the initiator did not write', 'counterpart', { note: 'x' }, 'transcript_mismatch'),
    altered('a decision without certificates', 'trust_decision', { issued: toBase64Url(utf8('{}')) }, 'missing_field'),
    altered(
      'an acknowledgment with the certificates exchanged',
      'trust_acknowledgment',
      swapped(),
      'certificate_invalid',
    ),
    bad(
      'a party with a root key of small order',
      'trust_capabilities',
      resigned(original('trust_capabilities'), alpha, { party: weakParty() }),
      'evidence_rejected',
    ),
    bad(
      'a party certified by another root key',
      'trust_capabilities',
      resigned(original('trust_capabilities'), alpha, {
        party: { ...alphaParty(), root_key: toBase64Url(evil.root.publicKey) },
      }),
      'certificate_expired',
    ),
  ],
};

function swapped(): Record<string, JsonValue> {
  const { issued = '', counterpart = '' } = parsedDocument(original('trust_acknowledgment'));
  return { issued: counterpart, counterpart: issued };
}

function alphaParty() {
  const { domain, certificate, root } = testOrganisation('alpha.example');
  return { domain, root_key: toBase64Url(root.publicKey), server_certificates: [toBase64Url(certificate.bytes)] };
}

function weakParty() {
  return { ...alphaParty(), root_key: toBase64Url(new Uint8Array(32)) };
}

export const exchangeVectors: readonly VectorFile[] = [VALID, INVALID];
