import {
  err,
  type Instant,
  LIMITS,
  ok,
  type Random,
  type Reject,
  type Result,
  reject,
  toBase64,
  utf8Length,
} from '../base/index.ts';
import { type Crypto, type KeyClass, TRANSCRIPT_HASH_BYTES, transcriptHash } from '../crypto/index.ts';
import { canonicalJsonText, type JsonObject, readJson } from '../wire/index.ts';
import {
  canonicalAnswer,
  canonicalHello,
  type OfferedLists,
  parseHelloText,
  readLists,
  readSuiteText,
  readVersionText,
  sharedCapabilities,
  withExtra,
} from './hello-text.ts';
import {
  EPHEMERAL_PUB_BYTES,
  HELLO_NONCE_BYTES,
  type HybridAnswer,
  HybridOfferKeys,
  PQ_CIPHERTEXT_BYTES,
} from './hybrid.ts';
import { proofInput } from './proofs.ts';
import type { HelloRole } from './roles.ts';
import { type HelloOutcome, openChannels } from './session-keys.ts';
import { checkChosenSuite, type HybridSuite, parseSuiteList, suiteText } from './suites.ts';
import {
  checkDowngrade,
  contains,
  type DowngradeMemory,
  isRegistrationOnly,
  type NegotiatedVersion,
  negotiateVersion,
  parseVersion,
  parseVersionList,
  type Version,
  type VersionList,
  versionText,
} from './versions.ts';

const SIGNATURE_BYTES = 64;

export interface HelloConfig<K extends KeyClass> {
  readonly role: HelloRole<K>;
  readonly versions: VersionList;
  readonly suites: readonly HybridSuite[];
  readonly capabilities: readonly string[];
  /** Tells the peer what this side would like; decides nothing. */
  readonly preferredVersion?: Version;
  /** Fields of the layer above. They are in the transcript. */
  readonly extra?: JsonObject;
}

export interface HelloDeps {
  readonly crypto: Crypto;
  readonly random: Random;
}

/** Evidence about the responder's certificate, made by whoever verified it. */
export interface ResponderEvidence {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
}

export interface AnswerContext<E extends ResponderEvidence> {
  /** Checks `server_certificate` against the pinned root key of the organisation that was meant. */
  readonly verifyCertificate: (certificate: JsonObject, answer: JsonObject) => Result<E>;
  readonly memory: DowngradeMemory;
  readonly now: Instant;
}

export interface HelloReject extends Reject {
  /** It is about what the responder has signed; any other can be brought about by whoever is on the way. */
  readonly proven?: true;
}

export interface InitiatorOutcome<K extends KeyClass, E> extends HelloOutcome<K> {
  readonly responder: E;
  /** To be remembered for the next handshake with this peer (`DowngradeMemory`). */
  readonly newestMajorSeen: number;
}

/**
 * Begins a handshake: the hello to send as a text message, and the state that waits
 * for its answer. Throws RangeError for a config that must not be offered.
 */
export function startHello<K extends KeyClass>(
  config: HelloConfig<K>,
  deps: HelloDeps,
): { readonly text: string; readonly state: AwaitHelloAnswer<K> } {
  // A stripped list could otherwise lead this side to a session without hybrid keys.
  if (config.versions.some(isRegistrationOnly)) throw new RangeError('1.0 and 1.1 cannot be offered');
  if (config.suites.length === 0) throw new RangeError('at least one suite is needed');
  const keys = new HybridOfferKeys(deps.crypto, deps.random);
  const nonce = deps.random.bytes(HELLO_NONCE_BYTES);
  const hello = helloJson(config, keys, nonce);
  const text = canonicalJsonText(hello);
  if (utf8Length(text) > LIMITS.helloBytesMax) throw new RangeError('hello is too large');
  return { text, state: new AwaitHelloAnswer(config, deps, { keys, nonce, hello }) };
}

function helloJson<K extends KeyClass>(config: HelloConfig<K>, keys: HybridOfferKeys, nonce: Uint8Array): JsonObject {
  const names = config.role.hello;
  const base = {
    type: names.type,
    [names.versions]: config.versions.map(versionText),
    ...(config.preferredVersion === undefined ? {} : { preferred_version: versionText(config.preferredVersion) }),
    [names.suites]: config.suites.map(suiteText),
    [names.capabilities]: config.capabilities,
    nonce: toBase64(nonce),
    ephemeral_pub: toBase64(keys.offer.ephemeralPub),
    pq_pub: toBase64(keys.offer.pqPub),
  };
  return withExtra(base, config.extra ?? {});
}

interface SentHello {
  readonly keys: HybridOfferKeys;
  readonly nonce: Uint8Array;
  readonly hello: JsonObject;
}

/** The hello was sent; its answer comes next. Handles one message and is used up. */
export class AwaitHelloAnswer<K extends KeyClass> {
  readonly #config: HelloConfig<K>;
  readonly #deps: HelloDeps;
  #sent: SentHello | undefined;

  constructor(config: HelloConfig<K>, deps: HelloDeps, sent: SentHello) {
    this.#config = config;
    this.#deps = deps;
    this.#sent = sent;
  }

  /**
   * Errors, in the order of the checks: those of parsing; unexpected_message;
   * version_span, no_compatible_version, downgrade_refused, malformed; suite_downgrade,
   * no_compatible_suite; transcript_mismatch; those of `verifyCertificate`;
   * signature_invalid; crypto. Throws TypeError when the state was used before.
   */
  receive<E extends ResponderEvidence>(
    text: string,
    context: AnswerContext<E>,
  ): Result<InitiatorOutcome<K, E>, HelloReject> {
    const sent = this.#sent;
    if (sent === undefined) throw new TypeError('this handshake state was used before');
    this.#sent = undefined;
    const checked = this.#check(sent, text, context);
    if (!checked.ok) {
      sent.keys.discard();
      return checked;
    }
    return this.#finish(sent, checked.value, context.now);
  }

  /** The connection went away: the ephemeral secrets go too. */
  abandon(): void {
    this.#sent?.keys.discard();
    this.#sent = undefined;
  }

  #check<E extends ResponderEvidence>(
    sent: SentHello,
    text: string,
    context: AnswerContext<E>,
  ): Result<CheckedAnswer<E>, HelloReject> {
    const { crypto } = this.#deps;
    const { role } = this.#config;
    const parsed = parseAnswer(text, role);
    if (!parsed.ok) return parsed;
    const answer = parsed.value;
    const negotiated = checkNegotiation(this.#config, answer);
    if (!negotiated.ok) return negotiated;
    const hash = transcriptHash(crypto, role.transcriptLabel, canonicalHello(sent.hello), canonicalAnswer(answer.json));
    if (!crypto.equal(hash, answer.transcriptHash)) return reject('transcript_mismatch', 'transcript_hash');
    const responder = context.verifyCertificate(answer.certificate, answer.json);
    if (!responder.ok) return responder;
    const signed = proofInput(role.responderProof, hash);
    if (!crypto.ed25519.verify(responder.value.publicKey, signed, answer.signature)) {
      return reject('signature_invalid', 'signature of the hello');
    }
    // Only now is the peer's list authentic: an alarm that anybody could raise would be worth nothing.
    const memory = checkDowngrade(context.memory, negotiated.value.peerVersions);
    if (!memory.ok) return err({ ...memory.error, proven: true });
    return ok({ answer, ...negotiated.value, ...memory.value, responder: responder.value, transcriptHash: hash });
  }

  #finish<E>(sent: SentHello, checked: CheckedAnswer<E>, now: Instant): Result<InitiatorOutcome<K, E>> {
    const { answer, suite, version, transcriptHash, peerVersions, responder, newestMajorSeen } = checked;
    const sharedSecret = sent.keys.agree(answer.hybrid);
    if (!sharedSecret.ok) return sharedSecret;
    const channels = openChannels({
      ...this.#deps,
      role: this.#config.role,
      side: 'initiator',
      version,
      suite,
      clientNonce: sent.nonce,
      serverNonce: answer.nonce,
      sharedSecret: sharedSecret.value,
      transcriptHash,
      now,
    });
    const capabilities = sharedCapabilities(this.#config.capabilities, answer.lists.capabilities);
    const outcome = { ...version, suite, capabilities, transcriptHash, peerVersions, peerHello: answer.json, channels };
    return ok({ ...outcome, responder, newestMajorSeen });
  }
}

interface ReceivedAnswer {
  readonly json: JsonObject;
  readonly lists: OfferedLists;
  readonly negotiatedVersion: string;
  readonly compatibilityMode: boolean;
  readonly suite: string;
  readonly nonce: Uint8Array;
  readonly hybrid: HybridAnswer;
  readonly certificate: JsonObject;
  readonly transcriptHash: Uint8Array;
  readonly signature: Uint8Array;
}

interface Negotiated {
  readonly version: NegotiatedVersion;
  readonly suite: HybridSuite;
  readonly peerVersions: VersionList;
}

interface CheckedAnswer<E> extends Negotiated {
  readonly answer: ReceivedAnswer;
  readonly responder: E;
  readonly newestMajorSeen: number;
  readonly transcriptHash: Uint8Array;
}

function parseAnswer(text: string, role: HelloRole): Result<ReceivedAnswer> {
  const parsed = parseHelloText(text, role.answer.type);
  if (!parsed.ok) return parsed;
  const json = parsed.value;
  return readJson(json, role.answer.type, (field) => {
    const fields = field.object();
    const certificate = fields.field('server_certificate');
    certificate.object();
    return {
      json,
      lists: readLists(fields, role.answer),
      negotiatedVersion: readVersionText(fields.field('negotiated_version')),
      compatibilityMode: fields.field('compatibility_mode').bool(),
      suite: readSuiteText(fields.field('suite')),
      nonce: fields.field('nonce').base64(HELLO_NONCE_BYTES),
      hybrid: {
        ephemeralPub: fields.field('ephemeral_pub').base64(EPHEMERAL_PUB_BYTES),
        pqCiphertext: fields.field('pq_ciphertext').base64(PQ_CIPHERTEXT_BYTES),
      },
      certificate: certificate.value as JsonObject, // object() above
      transcriptHash: fields.field('transcript_hash').base64(TRANSCRIPT_HASH_BYTES),
      signature: fields.field('signature').base64(SIGNATURE_BYTES),
    };
  });
}

/** Both sides know both lists: the choice is not believed but made again [HS-9, HS-12]. */
function checkNegotiation<K extends KeyClass>(config: HelloConfig<K>, answer: ReceivedAnswer): Result<Negotiated> {
  const peerVersions = parseVersionList(answer.lists.versions);
  if (!peerVersions.ok) return peerVersions;
  const chosen = parseVersion(answer.negotiatedVersion);
  if (!chosen.ok) return chosen;
  if (!contains(config.versions, chosen.value)) return reject('no_compatible_version', 'negotiated_version');
  const best = negotiateVersion(config.versions, peerVersions.value);
  if (!best.ok) return best;
  if (versionText(best.value.version) !== answer.negotiatedVersion) {
    return reject('downgrade_refused', 'negotiated_version is not the highest of both lists');
  }
  if (best.value.compatibilityMode !== answer.compatibilityMode) return reject('malformed', 'compatibility_mode');
  const peerSuites = parseSuiteList(answer.lists.suites);
  if (!peerSuites.ok) return peerSuites;
  const suite = checkChosenSuite(config.suites, peerSuites.value, answer.suite);
  if (!suite.ok) return suite;
  return ok({ version: best.value, suite: suite.value, peerVersions: peerVersions.value });
}
