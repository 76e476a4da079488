import { type Instant, ok, type Result, reject, toBase64, zeroBytes } from '../base/index.ts';
import { type Crypto, type KeyClass, transcriptHash } from '../crypto/index.ts';
import { canonicalJsonText, type JsonObject, readJson } from '../wire/index.ts';
import type { HelloConfig, HelloDeps } from './hello-initiator.ts';
import {
  canonicalAnswer,
  canonicalHello,
  type OfferedLists,
  parseHelloText,
  readLists,
  readVersionText,
  readVersionTexts,
  sharedCapabilities,
  withExtra,
} from './hello-text.ts';
import { answerHybridOffer, EPHEMERAL_PUB_BYTES, HELLO_NONCE_BYTES, type HybridOffer, PQ_PUB_BYTES } from './hybrid.ts';
import { proofInput } from './proofs.ts';
import type { HelloRole } from './roles.ts';
import { type HelloOutcome, openChannels } from './session-keys.ts';
import { type HybridSuite, negotiateSuite, parseSuiteList, suiteText } from './suites.ts';
import {
  isRegistrationOnly,
  type NegotiatedVersion,
  negotiateVersion,
  parseVersionList,
  type VersionList,
  versionText,
} from './versions.ts';

declare const read: unique symbol;

/** A hello that arrived and is well formed as far as its version list. Made by `readHello` alone. */
export interface ReceivedHello<K extends KeyClass> {
  readonly role: HelloRole<K>;
  readonly json: JsonObject;
  readonly versions: VersionList;
  readonly [read]: true;
}

/**
 * The initiator's hello, before anything is decided: the layer above may look at its
 * own fields first. Errors: those of parsing, unexpected_message, version_span.
 */
export function readHello<K extends KeyClass>(text: string, role: HelloRole<K>): Result<ReceivedHello<K>> {
  const parsed = parseHelloText(text, role.hello.type);
  if (!parsed.ok) return parsed;
  const json = parsed.value;
  const texts = readJson(json, role.hello.type, (field) => readVersionTexts(field.object().field(role.hello.versions)));
  if (!texts.ok) return texts;
  const versions = parseVersionList(texts.value);
  if (!versions.ok) return versions;
  const hello: Omit<ReceivedHello<K>, typeof read> = { role, json, versions: versions.value };
  return ok(hello as ReceivedHello<K>); // read just now
}

export interface ResponderConfig extends Omit<HelloConfig<KeyClass>, 'role' | 'preferredVersion'> {
  /** The signed document that certifies the key which will sign the answer. */
  readonly certificate: JsonObject;
}

/** What both sides would speak. `registration` is the seed prototype's hello, for `answerLegacyHello`. */
export type HelloPath = NegotiatedVersion & { readonly path: 'session' | 'registration' };

/** Errors: no_compatible_version. */
export function negotiateHello<K extends KeyClass>(hello: ReceivedHello<K>, own: VersionList): Result<HelloPath> {
  const negotiated = negotiateVersion(own, hello.versions);
  if (!negotiated.ok) return negotiated;
  const path = isRegistrationOnly(negotiated.value.version) ? 'registration' : 'session';
  return ok({ ...negotiated.value, path });
}

/**
 * Negotiates, makes the keys, and waits for the server key's signature.
 * Errors: no_compatible_version; hybrid_required when only 1.0 or 1.1 is common;
 * missing_field, wrong_type, limit_exceeded, malformed; no_compatible_suite; crypto.
 */
export function answerHello<K extends KeyClass>(
  hello: ReceivedHello<K>,
  config: ResponderConfig,
  deps: HelloDeps,
): Result<AwaitHelloSignature<K>> {
  const version = negotiateHello(hello, config.versions);
  if (!version.ok) return version;
  if (version.value.path === 'registration') return reject('hybrid_required', 'negotiated version');
  const offer = readHybridHello(hello);
  if (!offer.ok) return offer;
  const peerSuites = parseSuiteList(offer.value.lists.suites);
  if (!peerSuites.ok) return peerSuites;
  const suite = negotiateSuite(config.suites, peerSuites.value);
  if (!suite.ok) return suite;
  const exchanged = answerHybridOffer(deps.crypto, deps.random, offer.value.hybrid);
  if (!exchanged.ok) return exchanged;
  const { answer: hybrid, sharedSecret } = exchanged.value;
  const nonce = deps.random.bytes(HELLO_NONCE_BYTES);
  const choice = { version: version.value, suite: suite.value };
  const answer = answerJson(hello.role, config, choice, {
    nonce: toBase64(nonce),
    ephemeral_pub: toBase64(hybrid.ephemeralPub),
    pq_ciphertext: toBase64(hybrid.pqCiphertext),
  });
  const capabilities = sharedCapabilities(config.capabilities, offer.value.lists.capabilities);
  const secrets = { clientNonce: offer.value.nonce, serverNonce: nonce, sharedSecret };
  return ok(new AwaitHelloSignature(deps, hello, { ...choice, answer, capabilities, secrets }));
}

interface PreparedAnswer {
  readonly version: NegotiatedVersion;
  readonly suite: HybridSuite;
  readonly answer: JsonObject;
  readonly capabilities: readonly string[];
  readonly secrets: {
    readonly clientNonce: Uint8Array;
    readonly serverNonce: Uint8Array;
    readonly sharedSecret: Uint8Array;
  };
}

export interface ResponderOutcome<K extends KeyClass> extends HelloOutcome<K> {
  /** The answer to send, as a text message. */
  readonly text: string;
}

/**
 * The answer is made and waits for its signature, which may come from a token or
 * another machine. Used once.
 */
export class AwaitHelloSignature<K extends KeyClass> {
  /** What the certified server key signs (Ed25519). */
  readonly toSign: Uint8Array;
  readonly version: NegotiatedVersion;
  readonly suite: HybridSuite;
  readonly #deps: HelloDeps;
  readonly #hello: ReceivedHello<K>;
  readonly #transcriptHash: Uint8Array;
  #prepared: PreparedAnswer | undefined;

  constructor(deps: HelloDeps, hello: ReceivedHello<K>, prepared: PreparedAnswer) {
    const { role, json } = hello;
    this.#deps = deps;
    this.#hello = hello;
    this.#prepared = prepared;
    this.version = prepared.version;
    this.suite = prepared.suite;
    this.#transcriptHash = hashOf(deps.crypto, role, json, prepared.answer);
    this.toSign = proofInput(role.responderProof, this.#transcriptHash);
  }

  /** Throws TypeError when the state was used before. */
  complete(signature: Uint8Array, now: Instant): ResponderOutcome<K> {
    const prepared = this.#prepared;
    if (prepared === undefined) throw new TypeError('this handshake state was used before');
    this.#prepared = undefined;
    const { version, suite, capabilities, secrets } = prepared;
    const { role, versions: peerVersions, json: peerHello } = this.#hello;
    const transcriptHash = this.#transcriptHash;
    const session = { role, side: 'responder', version, suite, transcriptHash, now } as const;
    const channels = openChannels({ ...this.#deps, ...session, ...secrets });
    const text = canonicalJsonText({
      ...prepared.answer,
      transcript_hash: toBase64(transcriptHash),
      signature: toBase64(signature),
    });
    return { text, ...version, suite, capabilities, transcriptHash, peerVersions, peerHello, channels };
  }

  /** The signature did not come, or the connection went away. */
  abandon(): void {
    if (this.#prepared !== undefined) zeroBytes(this.#prepared.secrets.sharedSecret);
    this.#prepared = undefined;
  }
}

function hashOf(crypto: Crypto, role: HelloRole, hello: JsonObject, answer: JsonObject): Uint8Array {
  return transcriptHash(crypto, role.transcriptLabel, canonicalHello(hello), canonicalAnswer(answer));
}

interface HybridHello {
  readonly lists: OfferedLists;
  readonly nonce: Uint8Array;
  readonly hybrid: HybridOffer;
}

function readHybridHello<K extends KeyClass>({ json, role }: ReceivedHello<K>): Result<HybridHello> {
  return readJson(json, role.hello.type, (field) => {
    const fields = field.object();
    const preferred = fields.optional('preferred_version');
    if (preferred !== undefined) readVersionText(preferred); // a wish that decides nothing
    return {
      lists: readLists(fields, role.hello),
      nonce: fields.field('nonce').base64(HELLO_NONCE_BYTES),
      hybrid: {
        ephemeralPub: fields.field('ephemeral_pub').base64(EPHEMERAL_PUB_BYTES),
        pqPub: fields.field('pq_pub').base64(PQ_PUB_BYTES),
      },
    };
  });
}

function answerJson(
  role: HelloRole,
  config: ResponderConfig,
  choice: { readonly version: NegotiatedVersion; readonly suite: HybridSuite },
  keyFields: JsonObject,
): JsonObject {
  const names = role.answer;
  const base = {
    type: names.type,
    negotiated_version: versionText(choice.version.version),
    compatibility_mode: choice.version.compatibilityMode,
    suite: suiteText(choice.suite),
    [names.versions]: config.versions.map(versionText),
    [names.suites]: config.suites.map(suiteText),
    [names.capabilities]: config.capabilities,
    ...keyFields,
    server_certificate: config.certificate,
  };
  return withExtra(base, config.extra ?? {});
}
