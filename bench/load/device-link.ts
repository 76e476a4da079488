import { connect, type TLSSocket } from 'node:tls';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type Domain, idFromBytes, MESSAGE_TYPES, type MessageId } from '@norc/protocol/base';
import { verifyServerCertificate } from '@norc/protocol/crypto';
import {
  type AwaitHelloAnswer,
  HYBRID_SUITES,
  NORC_C_HELLO,
  parseVersionList,
  type SecureChannel,
  startHello,
  suitesOf,
} from '@norc/protocol/handshake';
import {
  type ClientSession,
  clientReceived,
  NORC_C_MESSAGES,
  type NorcCMessage,
  startClientSession,
} from '@norc/protocol/norc-c';
import { canonicalJson, decodeMessage, encodeMessage } from '@norc/protocol/wire';
import { WebSocket } from 'ws';
import { type BenchDevice, must } from '../support/organisation.ts';

export interface ServerAddress {
  readonly domain: Domain;
  readonly port: number;
  /** The server's own TLS certificate, PEM. */
  readonly certificate: string;
  readonly rootKey: Uint8Array;
}

/** A frame of the server, opened; the body is still encoded. */
export type FrameListener = (type: number, body: Uint8Array) => void;

const VERSIONS = must(parseVersionList(['2.0', '1.2']));
const SUITES = suitesOf(HYBRID_SUITES);
/** Sent frames between two looks at whether new keys are due. */
const REKEY_LOOK_FRAMES = 64;

type State =
  | { readonly waitsFor: 'hello'; readonly hello: AwaitHelloAnswer<'control'> }
  | { readonly waitsFor: 'proof'; readonly channel: SecureChannel; session: ClientSession }
  | { readonly waitsFor: 'frames'; readonly channel: SecureChannel };

/**
 * A device's connection that speaks real NORC-C and does nothing that a benchmark does
 * not need: TLS, hello, device proof, frames, new keys when they are due. Throws on
 * any fault: a load generator that goes on measures nonsense.
 */
export class DeviceLink {
  readonly #device: BenchDevice;
  readonly #server: ServerAddress;
  readonly #socket: TLSSocket;
  readonly #ws: WebSocket;
  readonly #ready: Promise<void>;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  #state: State;
  #listener: FrameListener = () => undefined;
  #corked = false;
  #closing = false;
  #untilRekeyLook = REKEY_LOOK_FRAMES;

  private constructor(device: BenchDevice, server: ServerAddress) {
    this.#device = device;
    this.#server = server;
    this.#ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const tls = {
      ca: server.certificate,
      servername: server.domain,
      minVersion: 'TLSv1.3',
      ecdhCurve: 'X25519MLKEM768',
    } as const;
    this.#socket = connect({ host: '127.0.0.1', port: server.port, ALPNProtocols: ['http/1.1'], ...tls });
    this.#ws = new WebSocket(`wss://${server.domain}:${server.port}/norc-c`, ['norc-c.v2'], {
      createConnection: () => this.#socket,
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    const extra = { organisation: server.domain };
    const config = { role: NORC_C_HELLO, versions: VERSIONS, suites: SUITES, capabilities: [], extra };
    const { text, state: hello } = startHello(config, { crypto: nodeCrypto, random: nodeRandom });
    this.#state = { waitsFor: 'hello', hello };
    this.#ws.on('open', () => this.#ws.send(text));
    this.#ws.on('message', (data: Buffer, isBinary) => this.#message(data, isBinary));
    this.#ws.on('error', (error) => this.#reject(error));
    this.#ws.on('close', (code, reason) => {
      if (!this.#closing) this.#fail(`the server closed a connection: ${code} ${reason}`);
    });
  }

  /** Resolves when the device has proven itself. */
  static async open(device: BenchDevice, server: ServerAddress, listener: FrameListener): Promise<DeviceLink> {
    const link = new DeviceLink(device, server);
    link.#listener = listener;
    await link.#ready;
    return link;
  }

  send(message: NorcCMessage): void {
    this.sendBody(MESSAGE_TYPES[message.type], encodeMessage(NORC_C_MESSAGES, message, 'cbor'));
  }

  /** `body` may be used again as soon as this returns. */
  sendBody(type: number, body: Uint8Array, id: MessageId = idFromBytes(nodeRandom.bytes(16))): void {
    const state = this.#state;
    if (state.waitsFor === 'hello') throw new TypeError('the device is not connected');
    this.#write(state.channel.seal(type, id, body));
    this.#untilRekeyLook -= 1;
    if (this.#untilRekeyLook > 0) return;
    this.#untilRekeyLook = REKEY_LOOK_FRAMES;
    if (state.channel.rekeyDue(nodeClock.now())) this.#write(state.channel.startRekey());
  }

  close(): void {
    this.#closing = true;
    this.#ws.terminate();
  }

  /** Frames of one turn of the event loop share a system call and a TLS record. */
  #write(frame: Uint8Array): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#ws.send(frame);
  }

  #message(data: Buffer, isBinary: boolean): void {
    const state = this.#state;
    if (state.waitsFor === 'hello') this.#answered(state.hello, data.toString('utf8'));
    else if (isBinary) this.#frame(state, data);
    else this.#fail(data.toString('utf8'));
  }

  #frame(state: Exclude<State, { waitsFor: 'hello' }>, frame: Uint8Array): void {
    const opened = state.channel.open(frame, nodeClock.now());
    if (!opened.ok) this.#fail(opened.error.detail);
    else if (opened.value.kind === 'rekey') {
      if (opened.value.reply !== undefined) this.#write(opened.value.reply);
    } else {
      const { type, messageId, body } = opened.value;
      if (state.waitsFor === 'frames') this.#listener(type, body);
      else this.#prove(state, messageId, type, body);
    }
  }

  #answered(hello: AwaitHelloAnswer<'control'>, text: string): void {
    const { domain, rootKey } = this.#server;
    const now = nodeClock.now();
    const outcome = hello.receive(text, {
      verifyCertificate: (json) =>
        verifyServerCertificate(nodeCrypto, canonicalJson(json), {
          pinned: { org: domain, rootKey },
          usage: 'server',
          now,
        }),
      memory: { newestMajorSeen: undefined, allowOlder: false },
      now,
    });
    if (!outcome.ok) {
      this.#fail(`hello: ${outcome.error.code} ${outcome.error.detail}`);
      return;
    }
    const { transcriptHash, channels } = outcome.value;
    const { deviceId, keys } = this.#device;
    const sign = (message: Uint8Array) => nodeCrypto.ed25519.sign(keys.privateKey, message);
    const device = { deviceId, publicKey: keys.publicKey, sign };
    const session = startClientSession({ transcriptHash, device, now });
    this.#state = { waitsFor: 'proof', channel: channels.control, session };
  }

  #prove(state: Extract<State, { waitsFor: 'proof' }>, id: MessageId, type: number, body: Uint8Array): void {
    const message = must(decodeMessage(NORC_C_MESSAGES, type, body, state.channel.encoding));
    const step = clientReceived(state.session, { id, message, now: nodeClock.now() }, nodeRandom);
    state.session = step.session;
    for (const effect of step.effects) {
      if (effect.do === 'send')
        this.#write(
          state.channel.seal(
            MESSAGE_TYPES[effect.message.type],
            effect.id,
            encodeMessage(NORC_C_MESSAGES, effect.message, 'cbor'),
          ),
        );
      else if (effect.do === 'ready') {
        this.#state = { waitsFor: 'frames', channel: state.channel };
        this.#resolve();
      } else if (effect.do === 'close') this.#fail(`the proof failed: ${effect.code}`);
    }
  }

  #fail(story: string): void {
    const error = new Error(`${this.#device.user}: ${story}`);
    this.#reject(error);
    if (this.#state.waitsFor === 'frames') throw error;
  }
}
