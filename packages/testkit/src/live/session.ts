import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import {
  type Clock,
  type ConversationId,
  type DeviceId,
  type Domain,
  type ErrorName,
  errorNameOf,
  idFromBytes,
  MESSAGE_TYPES,
  type MessageId,
  type MessageTypeName,
} from '@norc/protocol/base';
import { verifyServerCertificate } from '@norc/protocol/crypto';
import {
  HYBRID_SUITES,
  NORC_C_HELLO,
  parseVersionList,
  type SecureChannel,
  startHello,
  suitesOf,
  versionText,
} from '@norc/protocol/handshake';
import {
  type ClientEffect,
  type ClientSession,
  clientReceived,
  type Enrolment,
  NORC_C_MESSAGES,
  type NorcCBody,
  type NorcCMessage,
  type OwnDevice,
  type Ready,
  startClientSession,
} from '@norc/protocol/norc-c';
import { canonicalJson, decodeMessage, encodeMessage, type ReceivedMessage } from '@norc/protocol/wire';
import { WebSocket } from 'ws';
import { mustBe } from '../organisations.ts';
import { inTime } from './deadline.ts';
import { Mailbox } from './mailbox.ts';

export const DEVICE_VERSIONS: readonly string[] = ['2.0', '1.2'];

export interface SessionOptions {
  readonly port: number;
  readonly domain: Domain;
  readonly rootKey: Uint8Array;
  readonly device: OwnDevice;
  readonly enrolment?: Enrolment;
  readonly versions?: readonly string[];
  readonly clock?: Clock;
  readonly newestMajorSeen?: number;
  /** Somebody on the way changes the hello. */
  readonly alterHello?: (text: string) => string;
}

type Arrived = ReceivedMessage<NorcCMessage>;
type BodyOf<T extends NorcCMessage['type']> = Extract<NorcCMessage, { readonly type: T }>['body'];
export type Push = { readonly id: MessageId; readonly message: Arrived };
export type Reply = Arrived | { readonly type: 'closed'; readonly reason: string };

/** How a session ended: the close code and reason of the WebSocket, or the error that told it before. */
export interface SessionEnd {
  readonly code: number;
  readonly reason: string;
}

/** A session that its server, or the device itself, ended before it was ready. */
export class SessionRefused extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`the session was refused: ${code}`);
    this.code = code;
  }
}

/** One WebSocket of a test device with the protocol's own handshake and machines, and raw access for what no honest device sends. */
export class TestSession {
  readonly socket: WebSocket;
  readonly pushes = new Mailbox<Push>();
  readonly ended: Promise<SessionEnd>;
  readonly #options: SessionOptions;
  readonly #replies = new Map<MessageId, (reply: Reply) => void>();
  /** A frame may come in the same packet as the hello's answer. */
  #held: (Buffer | string)[] = [];
  #handler: ((message: Buffer | string) => void) | undefined;
  #channel: SecureChannel | undefined;
  #end: SessionEnd | undefined;
  version = '';
  registered: NorcCBody<'device_registered'> | undefined;
  ready: Ready | undefined;
  /** Instead of the mailbox. */
  onPush: ((push: Push) => void) | undefined;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.socket = openSocket(options.port, options.domain);
    this.ended = new Promise((resolve) => {
      this.socket.once('close', (code, reason) => {
        this.#end = { code, reason: reason.toString() };
        this.#channel?.close();
        for (const settle of this.#replies.values()) settle({ type: 'closed', reason: this.#end.reason });
        this.#replies.clear();
        resolve(this.#end);
      });
    });
    this.socket.on('error', () => undefined); // 'close' follows
    this.socket.on('message', (data: Buffer, isBinary) => {
      const message = isBinary ? data : data.toString();
      if (this.#handler === undefined) this.#held.push(message);
      else this.#handler(message);
    });
  }

  /** Until the session is ready. Throws SessionRefused with the code that ended it. */
  static async open(options: SessionOptions): Promise<TestSession> {
    const session = new TestSession(options);
    await inTime('the session is ready', session.#establish());
    return session;
  }

  get isOpen(): boolean {
    return this.#end === undefined && this.socket.readyState === WebSocket.OPEN;
  }

  get channel(): SecureChannel {
    if (this.#channel === undefined) throw new TypeError('the session has no channel yet');
    return this.#channel;
  }

  // ---- hello and proof ----

  async #establish(): Promise<void> {
    const {
      versions = process.env['NORC_TEST_DEVICE_VERSIONS']?.split(',') ?? DEVICE_VERSIONS,
      domain,
      device,
      enrolment,
      clock = nodeClock,
    } = this.#options;
    const { text, state } = startHello(
      {
        role: NORC_C_HELLO,
        versions: mustBe(parseVersionList(versions)),
        suites: suitesOf(HYBRID_SUITES),
        capabilities: [],
        extra: { organisation: domain },
      },
      { crypto: nodeCrypto, random: nodeRandom },
    );
    await Promise.race([new Promise((resolve) => this.socket.once('open', resolve)), this.ended]);
    this.socket.send(this.#options.alterHello?.(text) ?? text);
    const answer = await this.#firstMessage();
    const outcome = state.receive(answer, {
      verifyCertificate: (certificate) =>
        verifyServerCertificate(nodeCrypto, canonicalJson(certificate), {
          pinned: { org: domain, rootKey: this.#options.rootKey },
          usage: 'server',
          now: clock.now(),
        }),
      memory: { newestMajorSeen: this.#options.newestMajorSeen, allowOlder: false },
      now: clock.now(),
    });
    if (!outcome.ok) {
      this.socket.close();
      throw new SessionRefused(helloError(answer) ?? outcome.error.code);
    }
    this.version = versionText(outcome.value.version);
    this.#channel = outcome.value.channels.control;
    const { transcriptHash } = outcome.value;
    const start = { transcriptHash, device, now: clock.now(), ...(enrolment === undefined ? {} : { enrolment }) };
    await this.#prove(startClientSession(start));
  }

  async #firstMessage(): Promise<string> {
    const message = new Promise<string>((resolve) => {
      this.#handle((data) => {
        this.#handler = undefined;
        resolve(String(data));
      });
    });
    const closed = this.ended.then(({ reason }) => Promise.reject(new SessionRefused(reason)));
    return await Promise.race([message, closed]);
  }

  #handle(handler: (message: Buffer | string) => void): void {
    this.#handler = handler;
    for (const message of this.#held.splice(0)) {
      if (this.#handler === undefined) this.#held.push(message);
      else this.#handler(message);
    }
  }

  #prove(start: ClientSession): Promise<void> {
    let machine = start;
    return new Promise((resolve, reject) => {
      void this.ended.then(({ reason }) => reject(new SessionRefused(reason)));
      const carryOut = (effect: ClientEffect) => {
        if (effect.do === 'send') this.send(effect.message, effect.id);
        if (effect.do === 'enrolled') this.registered = effect.registered;
        if (effect.do === 'ready') {
          this.ready = effect.session;
          resolve();
        }
        if (effect.do === 'close') {
          this.socket.close();
          reject(new SessionRefused(effect.code));
        }
      };
      const clock = this.#options.clock ?? nodeClock;
      this.#handle((data) => {
        if (typeof data === 'string') return reject(new Error('text after the hello'));
        const arrived = this.#open(data);
        if (arrived === undefined) return;
        if (machine.state === 'ready' || machine.state === 'ended') return this.#arrived(arrived.id, arrived.message);
        const step = clientReceived(machine, { ...arrived, now: clock.now() }, nodeRandom);
        machine = step.session;
        step.effects.forEach(carryOut);
      });
    });
  }

  #open(data: Buffer): Push | undefined {
    const frame = new Uint8Array(data.buffer, data.byteOffset, data.length);
    const opened = mustBe(this.channel.open(frame, (this.#options.clock ?? nodeClock).now()));
    if (opened.kind === 'rekey') {
      if (opened.reply !== undefined) this.socket.send(opened.reply);
      return undefined;
    }
    return {
      id: opened.messageId,
      message: mustBe(decodeMessage(NORC_C_MESSAGES, opened.type, opened.body, this.channel.encoding)),
    };
  }

  #arrived(id: MessageId, message: Arrived): void {
    const settle = this.#replies.get(id);
    if (settle !== undefined) {
      this.#replies.delete(id);
      return settle(message);
    }
    if (this.onPush !== undefined) this.onPush({ id, message });
    else this.pushes.put({ id, message });
  }

  // ---- requests ----

  send(message: NorcCMessage, id: MessageId = newId()): MessageId {
    this.socket.send(this.seal(message, id));
    return id;
  }

  /** The frame that `send` would send. */
  seal(message: NorcCMessage, id: MessageId = newId()): Uint8Array {
    const body = encodeMessage(NORC_C_MESSAGES, message, this.channel.encoding);
    return this.channel.seal(MESSAGE_TYPES[message.type], id, body);
  }

  /** The frame of any type with any body. */
  sealRaw(type: number, body: Uint8Array, id: MessageId = newId()): Uint8Array {
    return this.channel.seal(type, id, body);
  }

  /** What comes back for `id`, from now on. */
  reply(id: MessageId): Promise<Reply> {
    return inTime('a reply', new Promise((settle) => this.#replies.set(id, settle)));
  }

  async request(message: NorcCMessage): Promise<Reply> {
    const id = newId();
    const reply = this.reply(id);
    this.send(message, id);
    return await reply;
  }

  /** The body of the answer, which must be of this type. */
  async ask<T extends NorcCMessage['type']>(message: NorcCMessage, expected: T): Promise<BodyOf<T>> {
    const reply = await this.request(message);
    if (reply.type !== expected) throw new Error(`${message.type} was answered by ${describe(reply)}`);
    return reply.body as unknown as BodyOf<T>; // its type was compared just now
  }

  /** The code of the error that must answer. */
  async refused(message: NorcCMessage): Promise<ErrorName> {
    return refusalOf(await this.request(message));
  }

  /** Proves that everything sent before was handled, or that the session is over. */
  async settled(): Promise<'open' | 'closed'> {
    if (!this.isOpen) return 'closed';
    return (await this.request({ type: 'ping', body: {} })).type === 'pong' ? 'open' : 'closed';
  }

  async close(): Promise<SessionEnd> {
    this.socket.close();
    return await inTime('the session is closed', this.ended);
  }

  /** Without a word, as when a network goes away. */
  async drop(): Promise<void> {
    this.socket.terminate();
    await inTime('the session is dropped', this.ended);
  }
}

/** What a server said instead of its hello. */
function helloError(text: string): string | undefined {
  const json: unknown = JSON.parse(text);
  return typeof json === 'object' && json !== null && 'name' in json && typeof json.name === 'string'
    ? json.name
    : undefined;
}

export function refusalOf(reply: Reply): ErrorName {
  if (reply.type === 'error') return errorNameOf(reply.body.code) ?? 'internal';
  if (reply.type === 'message_ack' && reply.body.state === 'refused')
    return errorNameOf(reply.body.code ?? 0) ?? 'internal';
  throw new Error(`not refused but answered by ${describe(reply)}`);
}

function describe(reply: Reply): string {
  if (reply.type === 'error') return `error ${reply.body.name}`;
  return reply.type === 'closed' ? `the end of the session: ${reply.reason}` : reply.type;
}

export function newId<T extends MessageId | ConversationId | DeviceId = MessageId>(): T {
  return idFromBytes<T>(nodeRandom.bytes(16));
}

/** A WebSocket to a server's device port, for an organisation by its name. */
export function openSocket(
  port: number,
  domain: Domain,
  path = '/norc-c',
  protocols: readonly string[] = [],
): WebSocket {
  return new WebSocket(`ws://127.0.0.1:${port}${path}`, [...protocols], {
    headers: { host: domain },
    perMessageDeflate: false,
  });
}

export type { MessageTypeName };
