import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type Instant, idFromBytes, MESSAGE_TYPES, type MessageId } from '@norc/protocol/base';
import { verifyServerCertificate } from '@norc/protocol/crypto';
import {
  type AwaitHelloAnswer,
  answerHello,
  HYBRID_SUITES,
  type HybridSuite,
  NORC_C_HELLO,
  parseVersionList,
  readHello,
  type SecureChannel,
  startHello,
  suitesOf,
  suiteText,
} from '@norc/protocol/handshake';
import {
  type ClientSession,
  type ClientStep,
  clientReceived,
  deviceFound,
  NORC_C_MESSAGES,
  type NorcCMessage,
  received,
  type ServerSession,
  type SessionStep,
  startClientSession,
  startServerSession,
} from '@norc/protocol/norc-c';
import { canonicalJson, decodeMessage, encodeMessage } from '@norc/protocol/wire';
import { type BenchDevice, BenchOrganisation, benchDevice, must } from './support/organisation.ts';
import type { Question, RunOptions } from './support/question.ts';
import type { Line } from './support/report.ts';
import { Meter } from './support/sampling.ts';

/*
 * What does a device's way in cost each side? Hybrid hello, server certificate and
 * signature, then the device's proof inside the channel. Without TLS and WebSocket:
 * the question `idle` measures whole connections.
 */

const ROUNDS = 5;
const VERSIONS = must(parseVersionList(['2.0', '1.2', '1.1', '1.0']));
const CLIENT_VERSIONS = must(parseVersionList(['2.0', '1.2']));

export const handshakes: Question = {
  name: 'handshakes',
  about: 'handshakes with device proof per second; CPU of the server and of the client',
  async *run(options: RunOptions): AsyncIterable<Line> {
    for (const suite of suitesOf(HYBRID_SUITES)) yield await measured(suite, options.seconds);
  },
};

async function measured(suite: HybridSuite, seconds: number): Promise<Line> {
  const rehearsal = new Rehearsal(suite);
  const meters = { server: new Meter(), client: new Meter() };
  for (let round = 0; round <= ROUNDS; round += 1) {
    const end = performance.now() + (seconds * 1000) / ROUNDS;
    do await rehearsal.once(meters);
    while (performance.now() < end);
    if (round === 0)
      for (const meter of Object.values(meters)) meter.forget(); // the warm-up
    else for (const meter of Object.values(meters)) meter.endRound();
  }
  const [server, client] = [meters.server.cost(), meters.client.cost()];
  return {
    question: `handshake and device proof, ${suiteText(suite)}`,
    perSecond: 1e6 / server.wallMicros,
    cpuMicros: server.cpuMicros,
    otherMicros: client.cpuMicros,
  };
}

type Meters = { readonly server: Meter; readonly client: Meter };

/** One device and one server, without a network between them. */
class Rehearsal {
  readonly #organisation = new BenchOrganisation('alpha.example');
  readonly #device: BenchDevice = benchDevice(this.#organisation.domain, 0);
  readonly #certificate = this.#organisation.certificate.json;
  readonly #suites: readonly HybridSuite[];

  constructor(suite: HybridSuite) {
    this.#suites = [suite];
  }

  async once({ server, client }: Meters): Promise<void> {
    const now = nodeClock.now();
    const hello = client.part(() => this.#hello());
    const answer = server.part(() => this.#answer(hello.text, now));
    const outcome = client.part(() => this.#receive(hello.state, answer.text, now));
    const serverEnd = new ServerEnd(answer.channels.control, answer.transcriptHash, this.#device);
    const clientEnd = new ClientEnd(outcome.channels.control, outcome.transcriptHash, this.#device);
    const challenge = server.part(() => serverEnd.challenge(now));
    const proof = client.part(() => clientEnd.receive(challenge, now));
    const result = server.part(() => serverEnd.receive(proof ?? challenge, now));
    client.part(() => clientEnd.receive(result, now));
    if (!clientEnd.ready) throw new Error('the device was not let in');
    for (const meter of [server, client]) meter.endOperation();
  }

  #hello() {
    const config = { role: NORC_C_HELLO, versions: CLIENT_VERSIONS, suites: this.#suites, capabilities: [] };
    return startHello(config, { crypto: nodeCrypto, random: nodeRandom });
  }

  #answer(text: string, now: Instant) {
    const hello = must(readHello(text, NORC_C_HELLO));
    const config = { versions: VERSIONS, certificate: this.#certificate, suites: this.#suites, capabilities: [] };
    const answer = must(answerHello(hello, config, { crypto: nodeCrypto, random: nodeRandom }));
    const { privateKey } = this.#organisation.server;
    return answer.complete(nodeCrypto.ed25519.sign(privateKey, answer.toSign), now);
  }

  #receive(state: AwaitHelloAnswer<'control'>, text: string, now: Instant) {
    const { domain: org, root } = this.#organisation;
    return must(
      state.receive(text, {
        verifyCertificate: (json) =>
          verifyServerCertificate(nodeCrypto, canonicalJson(json), {
            pinned: { org, rootKey: root.publicKey },
            usage: 'server',
            now,
          }),
        memory: { newestMajorSeen: undefined, allowOlder: false },
        now,
      }),
    );
  }
}

function seal(channel: SecureChannel, message: NorcCMessage, id: MessageId): Uint8Array {
  return channel.seal(MESSAGE_TYPES[message.type], id, encodeMessage(NORC_C_MESSAGES, message, channel.encoding));
}

function open(channel: SecureChannel, frame: Uint8Array, now: Instant) {
  const opened = channel.open(frame, now);
  if (!opened.ok || opened.value.kind !== 'message') throw new Error('a frame did not open');
  const { type, messageId, body } = opened.value;
  return { id: messageId, message: must(decodeMessage(NORC_C_MESSAGES, type, body, channel.encoding)) };
}

class ServerEnd {
  readonly #channel: SecureChannel;
  readonly #transcriptHash: Uint8Array;
  readonly #device: BenchDevice;
  #session: ServerSession | undefined;

  constructor(channel: SecureChannel, transcriptHash: Uint8Array, device: BenchDevice) {
    this.#channel = channel;
    this.#transcriptHash = transcriptHash;
    this.#device = device;
  }

  challenge(now: Instant): Uint8Array {
    const challenge = nodeRandom.bytes(32);
    return this.#sent(startServerSession({ transcriptHash: this.#transcriptHash, challenge, now, acceptedAt: now }));
  }

  /** The directory's answer is there at once. */
  receive(frame: Uint8Array, now: Instant): Uint8Array {
    const { id, message } = open(this.#channel, frame, now);
    if (this.#session === undefined) throw new Error('no session');
    const { session } = received(nodeCrypto, this.#session, id, message, now);
    const { deviceId, user, keys } = this.#device;
    return this.#sent(
      deviceFound(nodeCrypto, session, { deviceId, user, publicKey: keys.publicKey, keyStock: 0 }, now),
    );
  }

  #sent({ session, effects }: SessionStep): Uint8Array {
    this.#session = session;
    const send = effects.find((effect) => effect.do === 'send');
    if (send === undefined) throw new Error('the server had nothing to say');
    return seal(this.#channel, send.message, send.to ?? idFromBytes(nodeRandom.bytes(16)));
  }
}

class ClientEnd {
  readonly #channel: SecureChannel;
  #session: ClientSession;

  constructor(channel: SecureChannel, transcriptHash: Uint8Array, { deviceId, keys }: BenchDevice) {
    this.#channel = channel;
    const sign = (message: Uint8Array) => nodeCrypto.ed25519.sign(keys.privateKey, message);
    const device = { deviceId, publicKey: keys.publicKey, sign };
    this.#session = startClientSession({ transcriptHash, device, now: nodeClock.now() });
  }

  get ready(): boolean {
    return this.#session.state === 'ready';
  }

  receive(frame: Uint8Array, now: Instant): Uint8Array | undefined {
    const step: ClientStep = clientReceived(this.#session, { ...open(this.#channel, frame, now), now }, nodeRandom);
    this.#session = step.session;
    const send = step.effects.find((effect) => effect.do === 'send');
    return send === undefined ? undefined : seal(this.#channel, send.message, send.id);
  }
}
