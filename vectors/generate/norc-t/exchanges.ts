import { nodeCrypto } from '@norc/crypto/node';
import { toBase64Url, toHex, utf8 } from '@norc/protocol/base';
import { parseDocument } from '@norc/protocol/crypto';
import { extendTranscript, TRANSCRIPT_START, TRUST_MESSAGES, type TrustMessageName } from '@norc/protocol/norc-t';
import type { JsonValue } from '@norc/protocol/wire';
import {
  type ExchangeOptions,
  mustBe,
  parsedDocument,
  resigned,
  runTrustExchange,
  TEST_EPOCH,
  testBytes,
  testOrganisation,
  testSide,
  testTrustRequest,
} from '@norc/testkit';
import type { VectorFile } from '../files.ts';
import { alpha, bravo, evil, textOf } from './certificates.ts';

/** Cases of spec/norc-t section 5: the exchange. */

const [first, second] = [testSide(alpha), testSide(bravo)];
const RESPONDERS = ['trust_capabilities', 'trust_request', 'trust_response', 'trust_acknowledgment'];

interface Crossed {
  readonly message: TrustMessageName;
  readonly document: Uint8Array;
}

function crossed(options: ExchangeOptions = {}): readonly Crossed[] {
  const messages: Crossed[] = [];
  const intercept = (message: string, document: Uint8Array) => {
    messages.push({ message: message as TrustMessageName, document }); // the machines send nothing else
    return [document];
  };
  runTrustExchange(first, second, { ...options, intercept });
  return messages;
}

const shown = ({ message, document }: Crossed) => ({ message, document: textOf(document) });
const honest = crossed();

function transcripts(): readonly string[] {
  let hash = TRANSCRIPT_START;
  return honest.map(({ message, document }) => {
    hash = extendTranscript(nodeCrypto, hash, mustBe(parseDocument<unknown>(TRUST_MESSAGES[message], document)));
    return toHex(hash);
  });
}

function exchangeCase() {
  const { initiator } = runTrustExchange(first, second);
  const kept = initiator.last('keep_certificates');
  const request = testTrustRequest(first, second);
  return {
    name: 'basic, both ways',
    now: TEST_EPOCH,
    initiator: alpha.domain,
    initiator_root_key: toHex(alpha.root.publicKey),
    initiator_server_seed: toHex(alpha.server.privateKey),
    initiator_nonce: toHex(request.nonce),
    responder: bravo.domain,
    responder_root_key: toHex(bravo.root.publicKey),
    responder_server_seed: toHex(bravo.server.privateKey),
    responder_nonce: toHex(testBytes('exchange responder nonce', 32)),
    messages: honest.map(shown),
    transcripts: transcripts(),
    by_initiator: textOf(kept?.given ?? new Uint8Array()),
    by_responder: textOf(kept?.received ?? new Uint8Array()),
  };
}

const VALID: VectorFile = {
  outcome: 'valid',
  kind: 'exchange',
  about:
    'messages: all six, signed; transcripts: the transcript hash after each; by_initiator and by_responder: the two trust ' +
    'certificates with both signatures. Both domains name their root key; one officer approves at once.',
  cases: [exchangeCase()],
};

const signerOf = (message: string) => (RESPONDERS.includes(message) ? alpha : bravo);

/** The exchange up to `message`, and then `document` in its place. */
function bad(name: string, message: TrustMessageName, document: Uint8Array, error: string) {
  const at = honest.findIndex((one) => one.message === message);
  return {
    name,
    now: TEST_EPOCH,
    receiver: RESPONDERS.includes(message) ? 'responder' : 'initiator',
    before: at,
    message,
    document: textOf(document),
    error,
  };
}

function original(message: TrustMessageName, from: readonly Crossed[] = honest): Uint8Array {
  return from.find((one) => one.message === message)?.document ?? new Uint8Array();
}

/** What a dishonest sender signs itself. */
function altered(name: string, message: TrustMessageName, changes: Record<string, JsonValue>, error: string) {
  return bad(name, message, resigned(original(message), signerOf(message), changes), error);
}

const foreign = crossed({ seed: 'another' });
const MESSAGES = honest.map(({ message }) => message);
const each = <T>(make: (message: TrustMessageName) => T) => MESSAGES.map(make);
const elsewhere = toBase64Url(testBytes('elsewhere', 32));

function decisionWith(name: string, part: 'issued' | 'counterpart', changes: Record<string, JsonValue>, error: string) {
  const certificate = Buffer.from(String(parsedDocument(original('trust_decision'))[part]), 'base64url');
  const rewritten = toBase64Url(resigned(certificate, bravo, changes));
  return altered(`${name} (${part})`, 'trust_decision', { [part]: rewritten }, error);
}

const INVALID: VectorFile = {
  outcome: 'invalid',
  kind: 'exchange',
  about:
    'The first `before` messages of valid/exchange.json have crossed; document comes in the place of the next one, `message`. ' +
    'The receiver refuses it with the error.',
  cases: [
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
