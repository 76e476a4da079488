import { join } from 'node:path';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { decodeUtf8, MESSAGE_TYPES, type MessageId, utf8 } from '@norc/protocol/base';
import { type KeyClass, verifyServerCertificate } from '@norc/protocol/crypto';
import {
  federationClientProofInput,
  federationHelloExtra,
  HYBRID_SUITES,
  type InitiatorOutcome,
  NORC_F_HELLO,
  parseVersionList,
  type ResponderEvidence,
  startHello,
  suitesOf,
} from '@norc/protocol/handshake';
import { NORC_F_MESSAGES, type NorcFMessage } from '@norc/protocol/norc-f';
import { canonicalJson, decodeMessage, encodeMessage, type ReceivedMessage } from '@norc/protocol/wire';
import { type OrganisationIdentity, openOrganisation } from '@norc/server';
import {
  createH2LinkTransport,
  type LinkCloseCause,
  type LinkConnection,
  type LinkStream,
  type PriorityClass,
} from '@norc/server/transport';
import { mustBe } from '../organisations.ts';
import { inTime } from './deadline.ts';
import { Mailbox } from './mailbox.ts';
import type { TestServer } from './servers.ts';
import { newId } from './session.ts';

export interface TestLinkOptions {
  readonly versions?: readonly string[];
  readonly alterHello?: (text: string) => string;
  /** References of trust certificates to claim, as another server's hello had them. */
  readonly trust?: Parameters<typeof federationHelloExtra>[0]['trust'];
}

export type LinkAnswer = ReceivedMessage<NorcFMessage> | { readonly type: 'closed' };
type Received = { readonly stream: LinkStream; readonly bytes: Uint8Array } | 'closed';

/** A link to a server that a scripted peer dials with an organisation's real keys: says what it likes. */
export class TestLink {
  readonly connection: LinkConnection;
  readonly identity: OrganisationIdentity;
  readonly closed: Promise<LinkCloseCause>;
  readonly #received: Mailbox<Received>;
  #outcome: InitiatorOutcome<KeyClass, ResponderEvidence> | undefined;

  private constructor(
    connection: LinkConnection,
    identity: OrganisationIdentity,
    received: Mailbox<Received>,
    closed: Promise<LinkCloseCause>,
  ) {
    this.connection = connection;
    this.identity = identity;
    this.closed = closed;
    this.#received = received;
  }

  /** TLS, with another's key if told, and the three streams only. */
  static async dial(from: TestServer, to: TestServer, tlsOf: TestServer = from): Promise<TestLink> {
    const identity = await openOrganisation(join(from.folder, from.domain), from.domain, nodeClock.now());
    const { tls } = await openOrganisation(join(tlsOf.folder, tlsOf.domain), tlsOf.domain, nodeClock.now());
    const transport = createH2LinkTransport({ identity: tls });
    const received = new Mailbox<Received>();
    const ended = Promise.withResolvers<LinkCloseCause>();
    const connection = await transport.dial({ host: '127.0.0.1', port: to.federationPort }, to.domain, 'any', () => ({
      frame: (stream, bytes) => received.put({ stream, bytes }),
      closed: (cause) => {
        received.put('closed');
        ended.resolve(cause);
      },
    }));
    return new TestLink(connection, identity, received, ended.promise);
  }

  /** The code for which the answer to the hello was refused here, `closed` when there was none, or `open`. */
  async hello(to: TestServer, options: TestLinkOptions = {}): Promise<string> {
    const { identity } = this;
    const fields = { origin: identity.domain, destination: to.domain };
    const started = startHello(
      {
        role: NORC_F_HELLO,
        versions: mustBe(parseVersionList(options.versions ?? ['2.0', '1.2'])),
        suites: suitesOf(HYBRID_SUITES),
        capabilities: ['relay', 'trust'],
        extra: federationHelloExtra(
          options.trust === undefined ? fields : { ...fields, trust: options.trust },
          identity.certificate.document.json,
        ),
      },
      { crypto: nodeCrypto, random: nodeRandom },
    );
    this.connection.streams.control.send(utf8(options.alterHello?.(started.text) ?? started.text));
    const first = await this.#received.take('the answer to the hello', () => true);
    if (first === 'closed') return 'closed';
    const outcome = started.state.receive(decodeUtf8(first.bytes) ?? '', {
      verifyCertificate: (certificate) =>
        verifyServerCertificate(nodeCrypto, canonicalJson(certificate), {
          pinned: { org: to.domain, rootKey: to.rootKey() },
          usage: 'server',
          now: nodeClock.now(),
        }),
      memory: { newestMajorSeen: undefined, allowOlder: false },
      now: nodeClock.now(),
    });
    if (!outcome.ok) return outcome.error.code;
    this.#outcome = outcome.value;
    return 'open';
  }

  /** Proves the key of this organisation, or of another signer. */
  async prove(
    sign: (message: Uint8Array) => Promise<Uint8Array> = (message) => this.identity.signer.sign(message),
  ): Promise<LinkAnswer> {
    const signature = await sign(federationClientProofInput(this.#channel('control').transcriptHash));
    return await this.request('control', { type: 'federation_auth', body: { signature } });
  }

  seal(priority: PriorityClass, message: NorcFMessage, id: MessageId = newId()): Uint8Array {
    const channel = this.#channel(priority);
    const body = encodeMessage(NORC_F_MESSAGES, message, channel.encoding);
    return channel.seal(MESSAGE_TYPES[message.type], id, body);
  }

  /** Sends and takes the next frame of that stream. */
  async request(priority: PriorityClass, message: NorcFMessage): Promise<LinkAnswer> {
    return await this.#exchange(priority, this.seal(priority, message));
  }

  /** The same with any type code, also one that has no schema. */
  async requestCode(priority: PriorityClass, code: number, body: Uint8Array): Promise<LinkAnswer> {
    return await this.#exchange(priority, this.#channel(priority).seal(code, newId(), body));
  }

  async #exchange(priority: PriorityClass, frame: Uint8Array): Promise<LinkAnswer> {
    const stream = this.connection.streams[priority];
    stream.send(frame);
    const answer = await this.#received.take('an answer', (one) => one === 'closed' || one.stream === stream);
    if (answer === 'closed') return { type: 'closed' };
    const channel = this.#channel(priority);
    const opened = mustBe(channel.open(answer.bytes, nodeClock.now()));
    if (opened.kind !== 'message') throw new Error('a key exchange came');
    return mustBe(decodeMessage(NORC_F_MESSAGES, opened.type, opened.body, channel.encoding));
  }

  async ended(): Promise<LinkCloseCause> {
    return await inTime('the link is closed', this.closed);
  }

  close(): void {
    this.connection.close();
    this.identity.signer.close();
  }

  #channel(priority: PriorityClass) {
    if (this.#outcome === undefined) throw new TypeError('no hello was answered');
    return this.#outcome.channels[priority];
  }
}
