import {
  type Clock,
  type DeviceId,
  type Domain,
  type ErrorName,
  type Instant,
  idFromBytes,
  LIMITS,
  MESSAGE_TYPES,
  type MessageId,
  type Random,
  type RatePolicy,
} from '@norc/protocol/base';
import type { Crypto, Signer } from '@norc/protocol/crypto';
import {
  answerHello,
  answerLegacyHello,
  HYBRID_SUITES,
  helloErrorText,
  NORC_C_HELLO,
  negotiateHello,
  type ReceivedHello,
  type ResponderOutcome,
  readHello,
  type SecureChannel,
  suitesOf,
  type VersionList,
} from '@norc/protocol/handshake';
import {
  admit,
  deadlinePassed,
  deviceFound,
  ended,
  NORC_C_MESSAGES,
  type NorcCBody,
  type NorcCMessage,
  type ProvenDevice,
  received,
  registrationDone,
  type ServerSession,
  type SessionEffect,
  type SessionStep,
  startServerSession,
} from '@norc/protocol/norc-c';
import { decodeMessage, errorBody, type JsonObject, withEncodedMessage } from '@norc/protocol/wire';
import { readHeader } from '../delivery/mls-header.ts';
import type { Directory } from '../services.ts';
import type { DeviceSocket, DeviceSocketHandler } from '../transport/port.ts';
import type { Timers } from '../transport/timers.ts';
import { DevicePush } from './device-push.ts';
import type { LegacyRegistrations } from './legacy-registrations.ts';
import { RequestLimits } from './request-limits.ts';
import { answerRequest, messageAck, type RequestServices } from './requests.ts';

const SUITES = suitesOf(HYBRID_SUITES);
const CAPABILITIES: readonly string[] = ['mls', 'log', 'rekey'];
const CHALLENGE_BYTES = 32;

/** Requests of one device that are being answered; more than this and the session ends. */
const PENDING_MAX = 256;

export interface ConnectionDependencies {
  readonly services: RequestServices;
  readonly directory: Directory;
  readonly domain: Domain;
  readonly rootKey: string;
  readonly signer: Signer;
  readonly certificate: JsonObject;
  readonly versions: VersionList;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly messageRate: RatePolicy;
  readonly legacy: LegacyRegistrations;
  /** Whether this source may try a registration now; counted by the caller. */
  readonly mayRegister: (address: string) => boolean;
  readonly registrationFailed: (address: string) => void;
  readonly refer: (device: string | undefined, code: ErrorName, detail: string) => string;
  readonly onBegin: (connection: DeviceConnection, device: ProvenDevice) => void;
  readonly onClosed: (connection: DeviceConnection) => void;
  readonly onFault: (error: unknown) => void;
}

type Phase = 'hello' | 'answering' | 'legacy' | 'session' | 'closed';

/** One WebSocket of a device, from its hello to its end (spec/norc-c section 2). */
export class DeviceConnection implements DeviceSocketHandler {
  readonly #d: ConnectionDependencies;
  readonly #socket: DeviceSocket;
  readonly #acceptedAt: Instant;
  readonly #limits: RequestLimits;
  readonly #cancelDeadline: () => void;
  #phase: Phase = 'hello';
  #channel: SecureChannel | undefined;
  #session: ServerSession | undefined;
  #push: DevicePush | undefined;
  #pending = 0;
  /** The device that it says to be, proven or not yet. */
  #claimed: DeviceId | undefined;

  constructor(dependencies: ConnectionDependencies, socket: DeviceSocket) {
    const { clock, timers, messageRate } = dependencies;
    this.#d = dependencies;
    this.#socket = socket;
    this.#acceptedAt = clock.now();
    this.#limits = new RequestLimits(messageRate, clock);
    this.#cancelDeadline = timers.after(LIMITS.handshakeMillisecondsMax, () => this.#deadline());
  }

  get device(): ProvenDevice | undefined {
    return this.#session?.state === 'authenticated' ? this.#session.device : undefined;
  }

  /** A stranger gets little memory and time of the transport. */
  get authenticated(): boolean {
    return this.device !== undefined;
  }

  message(message: string | Uint8Array): void {
    switch (this.#phase) {
      case 'hello':
        this.#phase = 'answering';
        if (typeof message !== 'string') return this.#refuseHello('unexpected_message', 'frame before the hello');
        void this.#hello(message).catch((error) => this.#fault(error));
        return;
      case 'answering':
        return this.#close('unexpected_message');
      case 'legacy':
        void this.#legacy(message).catch((error) => this.#fault(error));
        return;
      case 'session':
        return this.#frame(message);
      case 'closed':
        return;
    }
  }

  closed(): void {
    this.#phase = 'closed';
    this.#cancelDeadline();
    this.#push?.stop();
    this.#channel?.close();
    this.#d.onClosed(this);
  }

  /** The device was revoked, or the server drains. */
  end(code: ErrorName): void {
    if (this.#session !== undefined) this.#apply(ended(code));
    else this.#close(code);
  }

  /** Ends the session of a revoked device, also one whose look-up is under way and still found the device good. */
  revoked(deviceId: DeviceId): void {
    if (this.#claimed === deviceId) this.end('auth_failed');
  }

  /** Sends without being asked; dropped when the session is not authenticated. */
  push(message: NorcCMessage): void {
    if (this.device !== undefined) this.#send(message, undefined);
  }

  // ---- hello ----

  async #hello(text: string): Promise<void> {
    const hello = readHello(text, NORC_C_HELLO);
    if (!hello.ok) return this.#refuseHello(hello.error.code, hello.error.detail);
    const path = negotiateHello(hello.value, this.#d.versions);
    if (!path.ok) return this.#refuseHello(path.error.code, path.error.detail);
    if (path.value.path === 'registration') return this.#legacyHello(hello.value);
    const { crypto, random, versions, certificate, domain, rootKey, signer, clock } = this.#d;
    const extra = { organisation: { domain, root_key: rootKey } };
    const config = { versions, certificate, suites: SUITES, capabilities: CAPABILITIES, extra };
    const answer = answerHello(hello.value, config, { crypto, random });
    if (!answer.ok) return this.#refuseHello(answer.error.code, answer.error.detail);
    const signature = await signer.sign(answer.value.toSign);
    if (this.#phase === 'closed') return answer.value.abandon();
    this.#begin(answer.value.complete(signature, clock.now()));
  }

  #begin(outcome: ResponderOutcome<'control'>): void {
    const { random, clock } = this.#d;
    this.#channel = outcome.channels.control;
    this.#phase = 'session';
    this.#socket.send(outcome.text);
    this.#apply(
      startServerSession({
        transcriptHash: outcome.transcriptHash,
        challenge: random.bytes(CHALLENGE_BYTES),
        now: clock.now(),
        acceptedAt: this.#acceptedAt,
      }),
    );
  }

  #refuseHello(code: ErrorName, detail: string): void {
    if (this.#phase === 'closed') return;
    this.#socket.send(helloErrorText(code, this.#d.refer(undefined, code, detail)));
    this.#close(code);
  }

  // ---- the seed prototype's hello: a registration and nothing else ----

  #legacyHello(hello: ReceivedHello<'control'>): void {
    const { crypto, random, versions } = this.#d;
    const answer = answerLegacyHello(hello, versions, { crypto, random });
    if (!answer.ok) return this.#refuseHello(answer.error.code, answer.error.detail);
    this.#phase = 'legacy';
    this.#cancelDeadline();
    this.#socket.send(answer.value.text);
  }

  async #legacy(message: string | Uint8Array): Promise<void> {
    const answer = await this.#d.legacy.receive(message, this.#socket.remoteAddress);
    if (this.#phase === 'closed') return;
    if (answer.ok) return this.#socket.send(answer.value);
    this.#socket.send(
      helloErrorText(answer.error.code, this.#d.refer(undefined, answer.error.code, answer.error.detail)),
    );
    this.#close(answer.error.code);
  }

  // ---- session ----

  #frame(message: string | Uint8Array): void {
    const channel = this.#channel;
    const session = this.#session;
    if (channel === undefined || session === undefined) return;
    if (typeof message === 'string') return this.#close('unexpected_message');
    const { clock, crypto } = this.#d;
    const now = clock.now();
    const opened = channel.open(message, now);
    if (!opened.ok) {
      this.#d.refer(this.device?.deviceId, opened.error.code, opened.error.detail);
      return this.#apply(ended(opened.error.code));
    }
    if (opened.value.kind === 'rekey') {
      if (opened.value.reply !== undefined) this.#socket.send(opened.value.reply);
      return;
    }
    if (channel.keyAge(now) === 'overdue') return this.#apply(ended('rekey_required'));
    const { type, messageId, body } = opened.value;
    const admission = admit(session, type);
    if (admission.verdict === 'end') return this.#apply(ended(admission.code, messageId));
    if (admission.verdict === 'refuse') return this.#refuse(admission.code, messageId, 'message type');
    const decoded = decodeMessage(NORC_C_MESSAGES, type, body, channel.encoding);
    if (!decoded.ok) return this.#refuse(decoded.error.code, messageId, decoded.error.detail);
    this.#apply(received(crypto, session, messageId, decoded.value, now));
  }

  #apply(step: SessionStep): void {
    this.#session = step.session;
    for (const effect of step.effects) this.#carryOut(effect);
  }

  #carryOut(effect: SessionEffect): void {
    switch (effect.do) {
      case 'send':
        return this.#send(effect.message, effect.to);
      case 'refuse':
        return this.#refuse(effect.code, effect.to, 'session');
      case 'look_up':
        void this.#lookUp(effect.deviceId).catch((error) => this.#fault(error));
        return;
      case 'register':
        void this.#register(effect.request).catch((error) => this.#fault(error));
        return;
      case 'begin':
        return this.#authenticated(effect.device);
      case 'dispatch':
        return this.#dispatch(effect);
      case 'close':
        return this.#close(effect.code);
    }
  }

  async #lookUp(deviceId: ProvenDevice['deviceId']): Promise<void> {
    const { directory, crypto, clock } = this.#d;
    this.#claimed = deviceId;
    // Both are asked for in any case: time must not tell which device ids exist [C-12].
    const [row, keyStock] = await Promise.all([directory.device(deviceId), directory.keyStock(deviceId)]);
    const usable = row !== undefined && row.revokedAt === undefined;
    const known = usable ? { deviceId, user: row.user, publicKey: row.publicKey, keyStock } : undefined;
    if (this.#session === undefined || this.#phase === 'closed') return;
    this.#apply(deviceFound(crypto, this.#session, known, clock.now()));
  }

  async #register(request: Extract<SessionEffect, { do: 'register' }>['request']): Promise<void> {
    const { directory, random, clock } = this.#d;
    const { remoteAddress } = this.#socket;
    if (!this.#d.mayRegister(remoteAddress)) return this.#apply(ended('rate_limited'));
    const outcome = await directory.register({
      user: request.user,
      secret: request.code,
      deviceId: request.device_id,
      name: request.name,
      publicKey: request.public_key,
    });
    if (!outcome.ok) this.#d.registrationFailed(remoteAddress);
    if (this.#session === undefined || this.#phase === 'closed') return;
    const answer = outcome.ok
      ? {
          ok: true as const,
          value: {
            status: outcome.value.status,
            device_certificate: outcome.value.certificate,
            issuer_certificate: outcome.value.issuerCertificate,
          },
        }
      : outcome;
    this.#apply(registrationDone(this.#session, answer, random.bytes(CHALLENGE_BYTES), clock.now()));
  }

  #authenticated(device: ProvenDevice): void {
    this.#cancelDeadline();
    const { delivery } = this.#d.services;
    this.#push = new DevicePush(delivery, device, {
      send: (message) => this.push(message),
      onFault: (error) => this.#fault(error),
    });
    this.#d.onBegin(this, device);
    this.#push.start();
  }

  #dispatch({ device, request, message }: Extract<SessionEffect, { do: 'dispatch' }>): void {
    const wait = this.#limits.take(message.type);
    if (wait > 0) return this.#refuse('rate_limited', request, message.type, wait);
    if (this.#pending >= PENDING_MAX) return this.#refuse('queue_full', request, message.type);
    if (message.type === 'cursor_ack' && this.#push?.acknowledged(message.body.cursors) === false) {
      return this.#refuse('malformed', request, 'cursor_ack: beyond the log');
    }
    if (message.type === 'message_send') return this.#sendMessage(device, request, message.body);
    this.#pending += 1;
    void answerRequest(this.#d.services, device, message)
      .then((answer) => {
        if (this.device === undefined) return;
        if (!answer.ok) return this.#refuse(answer.error.code, request, answer.error.detail);
        if (answer.value !== undefined) this.#send(answer.value, request);
      })
      .catch((error) => this.#failed(error, request))
      .finally(() => {
        this.#pending -= 1;
      });
  }

  /** The hot path: one listener for a message, and no promise. */
  #sendMessage(device: ProvenDevice, request: MessageId, { conversation, body }: NorcCBody<'message_send'>): void {
    const header = readHeader(body);
    if (!header.ok) return this.#refuse(header.error.code, request, header.error.detail);
    this.#pending += 1;
    const message = { conversation, body, header: header.value };
    this.#d.services.delivery.send(device, message, {
      settled: (outcome) => {
        this.#pending -= 1;
        if (this.device === undefined) return;
        if (!outcome.ok) return this.#refuse(outcome.error.code, request, outcome.error.detail);
        const ack = messageAck(conversation, header.value.authenticatedData.messageId, outcome.value);
        this.#push?.ownSent(ack);
        this.#send({ type: 'message_ack', body: ack }, request);
      },
      failed: (error) => {
        this.#pending -= 1;
        this.#failed(error, request);
      },
    });
  }

  /** A dependency of ours failed: the device is told that nothing was accepted, the story goes to the log. */
  #failed(error: unknown, request: MessageId): void {
    this.#d.onFault(error);
    const full = error instanceof Error && 'fault' in error && error.fault === 'disk_full';
    if (this.device !== undefined) this.#refuse(full ? 'storage_full' : 'internal', request, 'fault');
  }

  #send(message: NorcCMessage, to: MessageId | undefined): void {
    const channel = this.#channel;
    if (channel === undefined || this.#phase !== 'session') return;
    const messageId: MessageId = to ?? idFromBytes(this.#d.random.bytes(16));
    const seal = (body: Uint8Array) => channel.seal(MESSAGE_TYPES[message.type], messageId, body);
    this.#socket.send(withEncodedMessage(NORC_C_MESSAGES, message, channel.encoding, seal));
  }

  #refuse(code: ErrorName, to: MessageId, detail: string, retryAfterMs?: number): void {
    const reference = this.#d.refer(this.device?.deviceId, code, detail);
    this.#send({ type: 'error', body: errorBody(code, reference, retryAfterMs) }, to);
  }

  #deadline(): void {
    if (this.#session !== undefined) this.#apply(deadlinePassed(this.#session, this.#d.clock.now()));
    else this.#close('auth_required');
  }

  #fault(error: unknown): void {
    this.#d.onFault(error);
    this.#close('internal');
  }

  #close(code: ErrorName): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#push?.stop();
    this.#socket.close(CLOSE_CODES[code] ?? CLOSE_POLICY, code);
  }
}

/** RFC 6455 section 7.4: policy violation, unless another number says it better. */
const CLOSE_POLICY = 1008;
const CLOSE_CODES: Readonly<Partial<Record<ErrorName, number>>> = {
  internal: 1011,
  shutting_down: 1001,
  storage_full: 1013,
  rate_limited: 1013,
};
