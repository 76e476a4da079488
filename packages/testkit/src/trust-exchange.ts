import { nodeCrypto } from '@norc/crypto/node';
import { EVIDENCE, type EvidenceKind, type Instant, LIMITS, type Result, utf8 } from '@norc/protocol/base';
import { documentKind, parseDocument, type SignedDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  type ApprovalQuestion,
  type CertificateId,
  certificateIdFromBytes,
  DEFAULT_LIMITS,
  decodeInitiatorState,
  decodeResponderState,
  defaultPolicy,
  domainProofText,
  draftTrustCertificate,
  type EvidenceChecked,
  type EvidenceQuestion,
  type ExchangeContext,
  type ExchangeEffect,
  type ExchangeEvent,
  type ExchangeStep,
  encodeInitiatorState,
  encodeResponderState,
  exchangeIdFromBytes,
  type Finding,
  type InitiatorState,
  type OfficerDecision,
  type PartnerRecord,
  type Party,
  type ResponderState,
  startInitiator,
  startResponder,
  stepInitiator,
  stepResponder,
  type TrustCertificateBody,
  type TrustPolicy,
  type TrustRequest,
  type TrustTerms,
  type VerifiedTrustCertificate,
  verifyTrustCertificate,
} from '@norc/protocol/norc-t';
import { canonicalJson, type JsonObject, type JsonValue, parseJson, struct } from '@norc/protocol/wire';
import { mustBe, TEST_EPOCH, type TestOrganisation } from './organisations.ts';
import { signTestPq, type TestPostQuantum } from './post-quantum.ts';

const DAY_MS = 86_400_000;
/** Six messages take four rounds; repeated ones a few more. */
const ROUNDS_MAX = 20;
const crypto = nodeCrypto;

export function testParty(organisation: TestOrganisation): Party {
  const { domain, root, certificate } = organisation;
  return { domain, root_key: root.publicKey, server_certificates: [certificate.bytes] };
}

/** The party of a side, with its post-quantum keys where it has them. */
export function partyOfSide({ organisation, pq }: Pick<TrustSide, 'organisation' | 'pq'>): Party {
  return pq?.party ?? testParty(organisation);
}

export const TEST_TERMS: TrustTerms = {
  permissions: ['message_relay', 'user_discovery'],
  limits: DEFAULT_LIMITS,
  conditions: [],
};

/** `length` bytes that depend on the name alone. */
export function testBytes(name: string, length: number): Uint8Array {
  return crypto.blake3(utf8(`test bytes ${name}`)).slice(0, length);
}

export function testCertificateId(name: string): CertificateId {
  return certificateIdFromBytes(testBytes(`certificate ${name}`, 16));
}

/** What the world outside a machine does with its effects. Tests replace parts of it. */
export interface TrustSide {
  readonly organisation: TestOrganisation;
  readonly context: ExchangeContext;
  /** Signs everything twice. */
  readonly pq?: TestPostQuantum;
  /** What a check of the peer gives; everything that the world can show holds when absent. `undefined`: no answer. */
  readonly evidence?: (question: EvidenceQuestion, now: Instant) => Omit<EvidenceChecked, 'kind'> | undefined;
  /** What the officers say, one after the other; one approves when absent. */
  readonly officers?: readonly Omit<OfficerDecision, 'kind'>[];
  /** What they say about a question, where it depends on it: they sign its subject. */
  readonly decide?: (question: ApprovalQuestion, asked: number) => Omit<OfficerDecision, 'kind'> | undefined;
}

export function testSide(
  organisation: TestOrganisation,
  changes: { readonly now?: Instant; readonly policy?: Partial<TrustPolicy> } & Partial<TrustSide> = {},
): TrustSide {
  const { now = TEST_EPOCH, policy, ...rest } = changes;
  const context = { crypto, now, policy: defaultPolicy(policy), checkable: CHECKABLE, material: [] };
  return { organisation, context, ...rest };
}

/** Every kind that there is. */
const CHECKABLE = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds

/** The machine's answerable effects, answered. `sent`: what went to the peer, signed. */
export function answer(side: TrustSide, effect: ExchangeEffect, asked: number): ExchangeEvent | undefined {
  switch (effect.kind) {
    case 'check_evidence':
      return evidenceEvent(side, effect.question);
    case 'ask_approval':
      return officerEvent(side, effect.question, asked);
    case 'sign_certificates':
      return {
        kind: 'signed',
        issued: signedByAll(effect.issued, side).bytes,
        counterpart: signedByAll(effect.counterpart, side).bytes,
      };
    default:
      return undefined;
  }
}

function evidenceEvent({ evidence, context }: TrustSide, question: EvidenceQuestion): EvidenceChecked | undefined {
  const found = evidence === undefined ? trueEvidence(question, context.now) : evidence(question, context.now);
  return found === undefined ? undefined : { kind: 'evidence_checked', ...found };
}

function officerEvent(side: TrustSide, question: ApprovalQuestion, asked: number): OfficerDecision | undefined {
  const { officers = [{ decision: 'approve', by: 'officer-1', at: side.context.now }] } = side;
  const next = side.decide === undefined ? officers[asked] : side.decide(question, asked);
  return next === undefined ? undefined : { kind: 'officer', ...next };
}

/** By the Ed25519 key, and by the ML-DSA-65 key where the side has one. */
function signedByAll<T>(draft: SignedDocument<T>, { organisation, pq }: TrustSide): SignedDocument<T> {
  const signed = signDocumentWith(crypto, draft, organisation.server);
  return pq === undefined ? signed : signTestPq(signed, pq.server);
}

/** The domain names the root keys of the party. */
export function domainFinding({ root_key, root_pq_key }: Party, at: Instant): Finding {
  const line = domainProofText(root_key, root_pq_key === undefined ? undefined : crypto.blake3(root_pq_key));
  return testFinding('domain_proof', at, { hash: crypto.blake3(utf8(line)), method: 'static' });
}

/** A finding that holds, unless told otherwise. */
export function testFinding(kind: EvidenceKind, at: Instant, changes: Partial<Finding> = {}): Finding {
  const hash = testBytes(`finding ${kind}`, 32);
  return { kind, result: 'held', weight: 1, checkedAt: at, detail: `${kind} holds`, hash, ...changes };
}

/** What a check of an organisation that has everything gives. */
export function trueEvidence({ peer, level }: EvidenceQuestion, at: Instant): Omit<EvidenceChecked, 'kind'> {
  if (level === 'basic') return { findings: [domainFinding(peer, at)], record: NO_RECORD };
  const findings = [
    domainFinding(peer, at),
    testFinding('organisation_identity', at, { method: 'x509' }),
    testFinding('pki_chain', at, { method: level === 'nato' ? 'nato' : 'pki' }),
    testFinding('device_attestation', at),
    testFinding('compliance', at, { method: 'iso27001' }),
  ];
  return { findings, record: NO_RECORD };
}

/** A partner that was not one before. */
export const NO_RECORD: PartnerRecord = { incidents: 0, daysInForce: 0 };

/** One side of an exchange: a machine, its state, and what it gave so far. */
export class TrustMachine<S> {
  /** Time goes by when a test puts another side here. */
  side: TrustSide;
  state: S | undefined;
  readonly effects: ExchangeEffect[] = [];
  /** Signed documents that the peer has not seen. */
  readonly outbox: OutgoingDocument[] = [];
  readonly #kind: MachineKind<S>;
  readonly #restart: boolean;
  readonly #lose: (effect: ExchangeEffect) => boolean;
  #asked = 0;

  constructor(side: TrustSide, kind: MachineKind<S>, { restart = false, lose = () => false }: ExchangeOptions) {
    this.side = side;
    this.#kind = kind;
    this.#restart = restart;
    this.#lose = lose;
  }

  /** One event, and the answers to what the machine asks for. */
  event(event: ExchangeEvent): void {
    if (this.state === undefined) return;
    this.apply(this.#kind.step(this.side.context, this.state, event));
  }

  apply({ state, effects }: ExchangeStep<S>): void {
    this.state = this.#restart ? mustBe(this.#kind.decode(this.#kind.encode(state))) : state;
    this.effects.push(...effects);
    this.resume(effects);
  }

  /** Carries effects out, as after a step. */
  resume(effects: readonly ExchangeEffect[]): void {
    for (const effect of effects) {
      if (this.#lose(effect)) continue;
      if (effect.kind === 'send') this.#send(effect.message, effect.draft);
      const answered = answer(this.side, effect, effect.kind === 'ask_approval' ? this.#asked++ : 0);
      if (answered !== undefined) this.event(answered);
    }
  }

  #send(message: string, draft: SignedDocument<unknown>): void {
    this.outbox.push({ message, document: signedByAll(draft, this.side).bytes });
  }

  first<K extends ExchangeEffect['kind']>(kind: K): Extract<ExchangeEffect, { kind: K }> | undefined {
    const found = this.effects.find((effect) => effect.kind === kind);
    return found as Extract<ExchangeEffect, { kind: K }> | undefined; // its kind was compared
  }

  last<K extends ExchangeEffect['kind']>(kind: K): Extract<ExchangeEffect, { kind: K }> | undefined {
    const found = this.effects.findLast((effect) => effect.kind === kind);
    return found as Extract<ExchangeEffect, { kind: K }> | undefined; // its kind was compared
  }
}

export interface OutgoingDocument {
  readonly message: string;
  readonly document: Uint8Array;
}

interface MachineKind<S> {
  readonly step: (context: ExchangeContext, state: S, event: ExchangeEvent) => ExchangeStep<S>;
  readonly encode: (state: S) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Result<S>;
}

const INITIATOR: MachineKind<InitiatorState> = {
  step: stepInitiator,
  encode: encodeInitiatorState,
  decode: decodeInitiatorState,
};
const RESPONDER: MachineKind<ResponderState> = {
  step: stepResponder,
  encode: encodeResponderState,
  decode: decodeResponderState,
};

export interface TrustExchange {
  readonly initiator: TrustMachine<InitiatorState>;
  readonly responder: TrustMachine<ResponderState>;
}

export interface ExchangeOptions {
  readonly request?: Partial<TrustRequest>;
  /** Sees each document on its way and gives what arrives: nothing, another one, or the same one twice. */
  readonly intercept?: (message: string, document: Uint8Array) => readonly Uint8Array[];
  /** Store and restore every state. */
  readonly restart?: boolean;
  /** Effects that a crash keeps from being carried out. */
  readonly lose?: (effect: ExchangeEffect) => boolean;
  /** What all randomness of the exchange is derived from. */
  readonly seed?: string;
}

/** Runs an exchange until neither side has anything to send. */
export function runTrustExchange(first: TrustSide, second: TrustSide, options: ExchangeOptions = {}): TrustExchange {
  const initiator = new TrustMachine(first, INITIATOR, options);
  const responder = new TrustMachine(second, RESPONDER, options);
  initiator.apply(mustBe(startInitiator(first.context, testTrustRequest(first, second, options))));
  const exchange = { initiator, responder };
  finishTrustExchange(exchange, options);
  return exchange;
}

/** Delivers until neither side has anything to send. */
export function finishTrustExchange({ initiator, responder }: TrustExchange, options: ExchangeOptions = {}): void {
  for (let round = 0; initiator.outbox.length + responder.outbox.length > 0; round += 1) {
    if (round > ROUNDS_MAX) throw new Error('the exchange does not end');
    for (const document of arriving(initiator.outbox, options)) receiveAsResponder(responder, document, options);
    for (const document of arriving(responder.outbox, options)) initiator.event({ kind: 'received', document });
  }
}

function arriving(outbox: OutgoingDocument[], { intercept }: ExchangeOptions): readonly Uint8Array[] {
  return outbox.splice(0).flatMap(({ message, document }) => intercept?.(message, document) ?? [document]);
}

/** The first document starts the responder's machine, as it does in a server. */
export function receiveAsResponder(
  responder: TrustMachine<ResponderState>,
  document: Uint8Array,
  { seed = 'exchange' }: ExchangeOptions = {},
): void {
  if (responder.state !== undefined) {
    responder.event({ kind: 'received', document });
    return;
  }
  const { context } = responder.side;
  const fresh = {
    self: partyOfSide(responder.side),
    certificateId: testCertificateId(`${seed} responder`),
    nonce: testBytes(`${seed} responder nonce`, 32),
  };
  const started = startResponder(context, fresh, document);
  if (started.ok) responder.apply(started.value);
  else responder.effects.push({ kind: 'refuse', ...started.error });
}

export function testTrustRequest(first: TrustSide, second: TrustSide, options: ExchangeOptions = {}): TrustRequest {
  const { seed = 'exchange' } = options;
  return {
    self: partyOfSide(first),
    peer: second.organisation.domain,
    level: 'basic',
    asks: TEST_TERMS,
    offers: TEST_TERMS,
    validDays: 365,
    exchangeId: exchangeIdFromBytes(testBytes(`${seed} id`, 16)),
    certificateId: testCertificateId(`${seed} initiator`),
    nonce: testBytes(`${seed} initiator nonce`, 32),
    ...options.request,
  };
}

/** What a dishonest side could send: the document with other fields, and its own valid signature. */
export function resigned(document: Uint8Array, by: TestOrganisation, changes: Record<string, JsonValue>): Uint8Array {
  const { type, version } = parsedDocument(document);
  const kind = documentKind(String(type), Number(version), struct({}));
  const { signatures: _, ...fields } = parsedDocument(document);
  const unsigned = canonicalJson({ ...fields, ...changes, signatures: [] });
  return signDocumentWith(crypto, mustBe(parseDocument(kind, unsigned)), by.server).bytes;
}

export function parsedDocument(document: Uint8Array): JsonObject {
  return mustBe(parseJson(document, { bytesMax: LIMITS.documentBytesMax })) as JsonObject; // a document is an object
}

/** A trust certificate with both signatures, without an exchange. */
export function testTrustCertificate(
  issuer: TestOrganisation,
  subject: TestOrganisation,
  changes: Partial<TrustCertificateBody> = {},
): VerifiedTrustCertificate {
  const name = `${issuer.domain} ${subject.domain} ${JSON.stringify(changes)}`;
  const draft = draftTrustCertificate({
    certificate_id: testCertificateId(name),
    // One for all, so that any two belong together; tests of what does not name another.
    exchange_id: exchangeIdFromBytes(testBytes('one exchange', 16)),
    issuer: testParty(issuer),
    subject: testParty(subject),
    level: 'basic',
    ...TEST_TERMS,
    not_before: TEST_EPOCH,
    not_after: TEST_EPOCH + 90 * DAY_MS,
    evidence: [],
    transcript: testBytes(`${name} transcript`, 32),
    ...changes,
  });
  const signed = signDocumentWith(crypto, signDocumentWith(crypto, draft, issuer.server), subject.server);
  return mustBe(verifyTrustCertificate(crypto, signed, { issuer: issuer.pinned, now: TEST_EPOCH }));
}
