import {
  type Clock,
  type Domain,
  ERRORS,
  type ErrorName,
  type Instant,
  idFromBytes,
  isRetryable,
  LIMITS,
  MESSAGE_TYPES,
  type MessageId,
  type Random,
  type Result,
} from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  type AwaitHelloAnswer,
  type DowngradeMemory,
  HYBRID_SUITES,
  type HybridSuite,
  NORC_C_HELLO,
  type SecureChannel,
  startHello,
  suitesOf,
  type Version,
  type VersionList,
} from '@norc/protocol/handshake';
import {
  type ClientEffect,
  type ClientSession,
  type ClientStep,
  type ClockOffset,
  clientReceived,
  type Enrolment,
  NORC_C_MESSAGES,
  type NorcCBody,
  type NorcCMessage,
  type OwnDevice,
  offsetFromChallenge,
  type Ready,
  serverTime,
  startClientSession,
} from '@norc/protocol/norc-c';
import { decodeMessage, encodeMessage, errorBody, type ReceivedMessage } from '@norc/protocol/wire';
import type { ServerAddress } from '../store/rows.ts';
import { type ServerEvidence, tlsIsGenuine, type VerifyServer } from './server-evidence.ts';
import { Alarm, type Timers } from './timers.ts';
import type { ClientConnection, ClientTransport, TransportEnd, TransportHandler, TransportPeer } from './transport.ts';

export interface LinkWorld {
  readonly transport: ClientTransport;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly clock: Clock;
  readonly timers: Timers;
}

export interface LinkOptions extends LinkWorld {
  readonly address: ServerAddress;
  /** Told to the server, which may serve several. */
  readonly organisation: Domain;
  readonly versions: VersionList;
  readonly memory: DowngradeMemory;
  readonly verifyServer: VerifyServer;
  readonly device: OwnDevice;
  /** Registers the device first. */
  readonly enrolment?: Enrolment;
}

/** What the hello settled. */
export interface LinkFacts {
  readonly version: Version;
  readonly suite: HybridSuite;
  readonly compatibilityMode: boolean;
  readonly transcriptHash: Uint8Array;
  readonly server: ServerEvidence;
  readonly newestMajorSeen: number;
}

export interface LinkListener {
  /** The server is known, and nothing was said to it. With a promise, nothing is until it resolves; a reject ends the link. */
  handshaken(facts: LinkFacts): Promise<Result<unknown>> | undefined;
  /** To be verified and stored, as `handshaken`. `now`: as the server sees it. */
  enrolled?(registered: NorcCBody<'device_registered'>, now: Instant): Promise<Result<unknown>>;
  ready(ready: Ready): void;
  message(id: MessageId, message: ReceivedMessage<NorcCMessage>): void;
  /** Exactly once; no call follows. */
  ended(end: LinkEnd): void;
}

/** `code` when there is a reason from the registry: ours, or the server's inside the channel. */
export interface LinkEnd {
  readonly cause: TransportEnd['cause'] | 'protocol';
  readonly code?: ErrorName;
  /** Before the server had proven who it is: anybody on the way can bring it about. */
  readonly unproven?: true;
}

type LinkState =
  | { readonly waitsFor: 'connection' }
  | { readonly waitsFor: 'hello'; readonly hello: AwaitHelloAnswer<'control'>; readonly peer: TransportPeer }
  | { readonly waitsFor: 'frames'; readonly facts: LinkFacts; readonly channel: SecureChannel; session: ClientSession }
  | { readonly waitsFor: 'nothing' };

type Open = Extract<LinkState, { waitsFor: 'frames' }>;

/** One connection to the home server, from the dial to its end: hello, channel, proof, then messages. */
export class SessionLink implements TransportHandler {
  readonly #options: LinkOptions;
  readonly #listener: LinkListener;
  readonly #connection: ClientConnection;
  readonly #deadline: Alarm;
  #state: LinkState = { waitsFor: 'connection' };
  /** Frames that came while the listener stores something. */
  #held: Uint8Array[] | undefined;
  #offset: ClockOffset | undefined;

  constructor(options: LinkOptions, listener: LinkListener) {
    this.#options = options;
    this.#listener = listener;
    this.#deadline = new Alarm(options.timers);
    this.#deadline.set(LIMITS.handshakeMillisecondsMax, () => this.#end({ cause: 'unreachable', code: 'no_route' }));
    this.#connection = options.transport.connect(options.address, this);
  }

  /** Ends the link; `ended` is told with this code. */
  end(code: ErrorName): void {
    this.#end({ cause: 'protocol', code });
  }

  /**
   * Whether it went out. Not when the link is over or not ready, nor when the body is
   * over the limit: `too_large`.
   */
  send(id: MessageId, message: NorcCMessage): 'sent' | 'closed' | 'too_large' {
    const state = this.#state;
    if (state.waitsFor !== 'frames') return 'closed';
    const { channel } = state;
    if (channel.keyAge(this.#options.clock.now()) === 'overdue') {
      this.end('rekey_required');
      return 'closed';
    }
    const body = encodeMessage(NORC_C_MESSAGES, message, channel.encoding);
    if (body.length > LIMITS.bodyBytesMax) return 'too_large';
    this.#connection.send(channel.seal(MESSAGE_TYPES[message.type], id, body));
    this.rekeyWhenDue();
    return 'sent';
  }

  /** Called after each frame, and by the owner from time to time: keys also age without frames. */
  rekeyWhenDue(): void {
    const state = this.#state;
    if (state.waitsFor !== 'frames' || !state.channel.rekeyDue(this.#options.clock.now())) return;
    this.#connection.send(state.channel.startRekey());
  }

  // ---- from the transport ----

  opened(peer: TransportPeer): void {
    if (this.#state.waitsFor !== 'connection') return;
    const { versions, crypto, random, organisation, address } = this.#options;
    if (address.tls && peer.tls === undefined) {
      this.#end({ cause: 'tls' });
      return;
    }
    const config = {
      role: NORC_C_HELLO,
      versions,
      suites: suitesOf(HYBRID_SUITES),
      capabilities: [],
      extra: { organisation },
    };
    const { text, state } = startHello(config, { crypto, random });
    this.#state = { waitsFor: 'hello', hello: state, peer };
    this.#connection.send(text);
  }

  message(message: string | Uint8Array): void {
    const state = this.#state;
    if (state.waitsFor === 'hello' && typeof message === 'string') this.#answered(state, message);
    else if (state.waitsFor !== 'frames' || typeof message === 'string') this.end('unexpected_message');
    else if (this.#held === undefined) this.#frame(state, message);
    else if (this.#held.length < HELD_FRAMES_MAX) this.#held.push(message);
    else this.end('unexpected_message');
  }

  closed({ cause, reason }: TransportEnd): void {
    // Whoever is on the way can close a connection and give any reason: it may only make us try again.
    const code = reason !== undefined && isErrorName(reason) && isRetryable(reason) ? reason : undefined;
    this.#end(code === undefined ? { cause } : { cause, code });
  }

  // ---- hello ----

  #answered({ hello, peer }: Extract<LinkState, { waitsFor: 'hello' }>, text: string): void {
    const { clock, crypto, memory, verifyServer, device, enrolment } = this.#options;
    const now = clock.now();
    const outcome = hello.receive(text, {
      verifyCertificate: (certificate, answer) => verifyServer(certificate, answer, now),
      memory,
      now,
    });
    if (!outcome.ok) {
      const { code, proven } = outcome.error;
      this.#end({ cause: 'protocol', code, ...(proven ? {} : { unproven: true }) });
      return;
    }
    const { version, suite, compatibilityMode, transcriptHash, responder: server, newestMajorSeen } = outcome.value;
    const facts = { version, suite, compatibilityMode, transcriptHash, server, newestMajorSeen };
    const channel = outcome.value.channels.control;
    const start = { transcriptHash, device, now, ...(enrolment === undefined ? {} : { enrolment }) };
    this.#state = { waitsFor: 'frames', facts, channel, session: startClientSession(start) };
    // Nothing that says who we are has left yet; now it is known to whom it would go.
    if (tlsIsGenuine(crypto, peer, server.certificate)) this.#holdUntil(this.#listener.handshaken(facts));
    else this.#end({ cause: 'protocol', code: 'certificate_invalid', unproven: true });
  }

  // ---- frames ----

  #frame(state: Open, frame: Uint8Array): void {
    const now = this.#options.clock.now();
    const input = state.channel.open(frame, now);
    if (!input.ok) {
      this.end(input.error.code);
      return;
    }
    if (input.value.kind === 'rekey') {
      if (input.value.reply !== undefined) this.#connection.send(input.value.reply);
      return;
    }
    const { type, messageId, body } = input.value;
    const message = decodeMessage(NORC_C_MESSAGES, type, body, state.channel.encoding);
    if (message.ok) this.#received(state, messageId, message.value);
    else if (message.error.code === 'unsupported_type') this.#refuseType(messageId);
    else this.end(message.error.code);
    this.rekeyWhenDue();
  }

  /** A newer server may say things that this program does not know; the session goes on. */
  #refuseType(id: MessageId): void {
    this.send(id, { type: 'error', body: errorBody('unsupported_type', '') });
  }

  #received(state: Open, id: MessageId, message: ReceivedMessage<NorcCMessage>): void {
    if (state.session.state === 'ready') {
      if (message.type === 'ping') this.send(id, { type: 'pong', body: {} });
      else this.#listener.message(id, message);
      return;
    }
    if (state.session.state === 'ended') return;
    const { clock, random } = this.#options;
    const now = clock.now();
    if (message.type === 'auth_request') this.#offset = offsetFromChallenge(message.body.server_time, now);
    const step = clientReceived(state.session, { id, message, now }, random);
    this.#carryOut(state, step);
  }

  #carryOut(state: Open, step: ClientStep): void {
    state.session = step.session;
    for (const effect of step.effects) this.#effect(effect);
  }

  #effect(effect: ClientEffect): void {
    switch (effect.do) {
      case 'send':
        this.send(effect.id, effect.message);
        return;
      case 'enrolled':
        this.#holdUntil(this.#listener.enrolled?.(effect.registered, this.#serverTime()));
        return;
      case 'ready':
        this.#deadline.clear();
        this.#listener.ready(effect.session);
        return;
      case 'close':
        this.end(effect.code);
    }
  }

  #serverTime(): Instant {
    const now = this.#options.clock.now();
    return this.#offset === undefined ? now : serverTime(this.#offset, now);
  }

  #holdUntil(stored: Promise<Result<unknown>> | undefined): void {
    if (stored === undefined) return;
    this.#held = [];
    stored.then(
      (outcome) => {
        const held = this.#held ?? [];
        this.#held = undefined;
        if (!outcome.ok) this.end(outcome.error.code);
        for (const frame of held) this.message(frame);
      },
      () => this.end('internal'), // the listener knows what went wrong; the code is for the server alone
    );
  }

  #end(end: LinkEnd): void {
    const state = this.#state;
    if (state.waitsFor === 'nothing') return;
    this.#state = { waitsFor: 'nothing' };
    this.#deadline.clear();
    this.#held = undefined;
    if (state.waitsFor === 'hello') state.hello.abandon();
    if (state.waitsFor === 'frames') state.channel.close();
    this.#connection?.close(end.code);
    this.#listener.ended(end);
  }
}

/** What a server may send meanwhile: a challenge, and some room. */
const HELD_FRAMES_MAX = 8;

function isErrorName(text: string): text is ErrorName {
  return Object.hasOwn(ERRORS, text);
}

export function newMessageId(random: Random): MessageId {
  return idFromBytes(random.bytes(16));
}
