import { nodeCrypto } from '@norc/crypto/node';
import type { Random, Result } from '@norc/protocol/base';
import {
  type Crypto,
  type KeyClass,
  type VerifiedServerCertificate,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import {
  type AwaitHelloAnswer,
  type AwaitHelloSignature,
  answerHello,
  checkVersionList,
  type HelloRole,
  HYBRID_SUITES,
  type HybridSuiteName,
  type InitiatorOutcome,
  parseVersionList,
  type ResponderOutcome,
  readHello,
  SUPPORTED_VERSIONS,
  startHello,
  suitesOf,
  type VersionList,
} from '@norc/protocol/handshake';
import { canonicalJson, type JsonObject } from '@norc/protocol/wire';
import { seededRandom } from './noble-crypto.ts';
import { mustBe, TEST_EPOCH, type TestOrganisation, testOrganisation } from './organisations.ts';

/** One side's part in a test handshake; everything has a default. */
export interface TestHelloSide {
  readonly versions?: readonly string[];
  readonly suites?: readonly HybridSuiteName[];
  readonly capabilities?: readonly string[];
  readonly extra?: JsonObject;
}

export interface TestHelloOptions<K extends KeyClass> {
  readonly role: HelloRole<K>;
  readonly initiator?: TestHelloSide;
  readonly responder?: TestHelloSide;
  /** Who answers: `alpha.example` unless told. */
  readonly organisation?: TestOrganisation;
  readonly crypto?: Crypto;
  readonly random?: Random;
}

/** A handshake that stops after each message, so that a test can change what is under way. */
export class TestHello<K extends KeyClass> {
  readonly text: string;
  readonly organisation: TestOrganisation;
  readonly #state: AwaitHelloAnswer<K>;
  readonly #options: TestHelloOptions<K>;
  readonly #deps: { readonly crypto: Crypto; readonly random: Random };

  constructor(options: TestHelloOptions<K>) {
    this.#options = options;
    this.organisation = options.organisation ?? testOrganisation('alpha.example');
    this.#deps = { crypto: options.crypto ?? nodeCrypto, random: options.random ?? seededRandom('handshake') };
    const config = sideConfig(options.initiator);
    const started = startHello({ role: options.role, ...config }, this.#deps);
    this.text = started.text;
    this.#state = started.state;
  }

  /** The responder reads this text and waits for its signature. */
  receiveHello(text: string = this.text): Result<AwaitHelloSignature<K>> {
    const hello = readHello(text, this.#options.role);
    if (!hello.ok) return hello;
    const config = { ...sideConfig(this.#options.responder), certificate: this.organisation.certificate.json };
    return answerHello(hello.value, config, this.#deps);
  }

  /** As `receiveHello`, signed by the organisation's server key. */
  answer(text: string = this.text): ResponderOutcome<K> {
    const waiting = mustBe(this.receiveHello(text));
    const signature = this.#deps.crypto.ed25519.sign(this.organisation.server.privateKey, waiting.toSign);
    return waiting.complete(signature, TEST_EPOCH);
  }

  /** The initiator reads this answer; it has pinned the organisation's root key. */
  receiveAnswer(
    text: string,
    newestMajorSeen?: number,
    now = TEST_EPOCH,
  ): Result<InitiatorOutcome<K, VerifiedServerCertificate>> {
    return this.#state.receive(text, {
      verifyCertificate: (certificate) =>
        verifyServerCertificate(this.#deps.crypto, canonicalJson(certificate), {
          pinned: this.organisation.pinned,
          usage: 'server',
          now,
        }),
      memory: { newestMajorSeen, allowOlder: false },
      now,
    });
  }

  abandon(): void {
    this.#state.abandon();
  }
}

/** Both ends of a handshake that nobody disturbed. */
export function testHandshake<K extends KeyClass>(
  options: TestHelloOptions<K>,
): {
  readonly initiator: InitiatorOutcome<K, VerifiedServerCertificate>;
  readonly responder: ResponderOutcome<K>;
} {
  const hello = new TestHello(options);
  const responder = hello.answer();
  return { initiator: mustBe(hello.receiveAnswer(responder.text)), responder };
}

function sideConfig(side: TestHelloSide = {}) {
  const versions: VersionList = mustBe(
    side.versions === undefined ? checkVersionList(SUPPORTED_VERSIONS) : parseVersionList(side.versions),
  );
  return {
    versions,
    suites: suitesOf(side.suites ?? HYBRID_SUITES),
    capabilities: side.capabilities ?? [],
    ...(side.extra === undefined ? {} : { extra: side.extra }),
  };
}
