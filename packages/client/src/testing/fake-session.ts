import {
  type ConversationId,
  type DeviceId,
  domainOf,
  type ErrorName,
  idFromBytes,
  MESSAGE_TYPES,
  type MessageId,
  ok,
  type Result,
  reject,
  toBase64,
  type UserAddress,
} from '@norc/protocol/base';
import {
  answerHello,
  HYBRID_SUITES,
  NORC_C_HELLO,
  readHello,
  type SecureChannel,
  suitesOf,
} from '@norc/protocol/handshake';
import {
  admit,
  deviceFound,
  ended,
  NORC_C_MESSAGES,
  type NorcCBody,
  type NorcCMessage,
  received,
  registrationDone,
  type ServerSession,
  type SessionEffect,
  type SessionStep,
  startServerSession,
} from '@norc/protocol/norc-c';
import { entryToWire, type LinkedEntry } from '@norc/protocol/norc-f';
import { decodeMessage, encodeMessage, errorBody, type ReceivedMessage } from '@norc/protocol/wire';
import { readHeader, type Sender } from './fake-hub.ts';
import type { FakeServer } from './fake-server.ts';
import type { ServerSocket, ServerSocketHandler } from './memory-network.ts';

/** One connection. */
export class FakeSession implements ServerSocketHandler {
  readonly #server: FakeServer;
  readonly #socket: ServerSocket;
  #channel: SecureChannel | undefined;
  #session: ServerSession | undefined;
  readonly #pushed = new Map<ConversationId, number>();
  readonly #own = new Set<MessageId>();
  #answering = 0;

  constructor(server: FakeServer, socket: ServerSocket) {
    this.#server = server;
    this.#socket = socket;
  }

  get device(): Sender | undefined {
    return this.#session?.state === 'authenticated' ? this.#session.device : undefined;
  }

  message(message: string | Uint8Array): void {
    if (typeof message === 'string') this.#hello(message);
    else this.#frame(message);
  }

  closed(): void {
    this.#session = undefined;
    this.#channel?.close();
    this.#server.sessions.delete(this);
  }

  end(code: ErrorName): void {
    if (this.#session !== undefined) this.#apply(ended(code));
  }

  push(message: NorcCMessage): void {
    if (this.device !== undefined) this.#send(message);
  }

  #hello(text: string): void {
    const { organisation, crypto, random, clock, versions } = this.#server.options;
    const { domain, root, certificate } = organisation;
    const hello = readHello(text, NORC_C_HELLO);
    const extra = { organisation: { domain, root_key: toBase64(root.publicKey) } };
    const config = {
      versions,
      suites: suitesOf(HYBRID_SUITES),
      capabilities: [],
      certificate: certificate.json,
      extra,
    };
    const answer = hello.ok ? answerHello(hello.value, config, { crypto, random }) : hello;
    if (!answer.ok) {
      this.#socket.send(JSON.stringify({ type: 'error', ...errorBody(answer.error.code, 'test') }));
      this.#socket.close(answer.error.code);
      return;
    }
    const now = clock.now();
    const outcome = answer.value.complete(
      crypto.ed25519.sign(organisation.server.privateKey, answer.value.toSign),
      now,
    );
    this.#channel = outcome.channels.control;
    this.#socket.send(outcome.text);
    const { transcriptHash } = outcome;
    this.#apply(startServerSession({ transcriptHash, challenge: random.bytes(32), now, acceptedAt: now }));
  }

  #frame(frame: Uint8Array): void {
    const channel = this.#channel;
    const session = this.#session;
    if (channel === undefined || session === undefined) return;
    const { clock, crypto } = this.#server.options;
    const opened = channel.open(frame, clock.now());
    if (!opened.ok) {
      this.#apply(ended(opened.error.code));
      return;
    }
    if (opened.value.kind === 'rekey') {
      if (opened.value.reply !== undefined) this.#socket.send(opened.value.reply);
      return;
    }
    const { type, messageId, body } = opened.value;
    if (admit(session, type).verdict !== 'decode') return;
    const message = decodeMessage(NORC_C_MESSAGES, type, body, channel.encoding);
    if (!message.ok) throw new Error(`the client sent ${message.error.code}: ${message.error.detail}`);
    this.#apply(received(crypto, session, messageId, message.value, clock.now()));
  }

  #apply(step: SessionStep): void {
    this.#session = step.session;
    for (const effect of step.effects) this.#carryOut(effect);
  }

  #carryOut(effect: SessionEffect): void {
    const { clock, crypto, random } = this.#server.options;
    switch (effect.do) {
      case 'send':
        this.#send(effect.message, effect.to);
        return;
      case 'refuse':
        this.#refuse(effect.code, effect.to);
        return;
      case 'look_up': {
        const known = this.#server.devices.get(effect.deviceId);
        const keyStock = this.#server.packages.get(effect.deviceId)?.once.length ?? 0;
        const usable = known === undefined || known.revoked ? undefined : { ...known, keyStock };
        if (this.#session !== undefined) this.#apply(deviceFound(crypto, this.#session, usable, clock.now()));
        return;
      }
      case 'register': {
        const outcome = this.#server.register(effect.request);
        const silent = this.#server.mischief.request?.(
          { type: 'device_register', body: effect.request } as never,
          NOBODY,
        );
        if (silent === 'silence') this.#socket.close();
        else if (this.#session !== undefined) {
          this.#apply(registrationDone(this.#session, outcome, random.bytes(32), clock.now()));
        }
        return;
      }
      case 'begin':
        for (const conversation of this.#server.options.hub.logs.keys()) this.grown(conversation);
        return;
      case 'dispatch':
        this.#dispatch(effect.device, effect.request, effect.message);
        return;
      case 'close':
        this.#socket.close(effect.code);
    }
  }

  #send(message: NorcCMessage, to?: MessageId): void {
    const channel = this.#channel;
    if (channel === undefined || this.#session === undefined) return;
    const body = encodeMessage(NORC_C_MESSAGES, message, channel.encoding);
    const id: MessageId = to ?? idFromBytes(this.#server.options.random.bytes(16));
    this.#socket.send(channel.seal(MESSAGE_TYPES[message.type], id, body));
  }

  #refuse(code: ErrorName, to: MessageId): void {
    this.#send({ type: 'error', body: errorBody(code, 'test') }, to);
  }

  #dispatch(device: Sender, request: MessageId, message: ReceivedMessage<NorcCMessage>): void {
    this.#server.log.push(message.type);
    const instead = this.#server.mischief.request?.(message, device);
    if (instead === 'silence') return;
    if (instead !== undefined) {
      this.#refuse(instead, request);
      return;
    }
    this.#answering += 1;
    void this.#answer(device, message).then((answer) => {
      this.#answering -= 1;
      if (!answer.ok) this.#refuse(answer.error.code, request);
      else if (answer.value !== undefined) this.#reply(device, request, message, answer.value);
      for (const conversation of this.#server.options.hub.logs.keys()) this.grown(conversation);
    });
  }

  #reply(device: Sender, request: MessageId, message: ReceivedMessage<NorcCMessage>, answer: NorcCMessage): void {
    const told = this.#server.mischief.answer?.(message, answer, device) ?? answer;
    if (told === 'silence') return;
    if (told.type === 'message_ack' && told.body.hash !== undefined) this.#own.add(told.body.message_id);
    this.#send(told, request);
  }

  async #answer(device: Sender, message: ReceivedMessage<NorcCMessage>): Promise<Result<NorcCMessage | undefined>> {
    const { hub, clock, organisations } = this.#server.options;
    switch (message.type) {
      case 'message_send': {
        const { conversation, body } = message.body;
        return this.#acked(
          conversation,
          await hub.submit(device, conversation, messageIdOf(body), 'application', { body }),
        );
      }
      case 'commit_submit': {
        const { conversation, message_id: id, commit: body, welcome, group_info: groupInfo } = message.body;
        const parts = { body, ...(welcome && { welcome }), ...(groupInfo && { groupInfo }) };
        return this.#acked(conversation, await hub.submit(device, conversation, id, 'commit', parts));
      }
      case 'conversation_create':
        return this.#acked(message.body.conversation, await hub.create(device, message.body));
      case 'log_request':
        return this.#readLog(device, message.body);
      case 'cursor_ack':
        for (const { conversation, seq } of message.body.cursors) this.#acknowledge(device, conversation, seq);
        return ok(undefined);
      case 'key_publish':
        return ok(this.#publish(device, message.body));
      case 'key_request':
        return ok({ type: 'key_response', body: this.#claim(device, message.body.users) });
      case 'org_request':
        return ok({ type: 'org_response', body: organisations(message.body.domain) });
      case 'device_list_request':
        return ok({ type: 'device_list', body: this.#server.deviceList(device.user) });
      case 'time_sync':
        return ok({ type: 'time_sync', body: { server_time: clock.now() } });
      default:
        return reject('unsupported_type', message.type);
    }
  }

  #acked(conversation: ConversationId, outcome: Result<LinkedEntry>): Result<NorcCMessage> {
    if (!outcome.ok) return outcome;
    const { messageId, seq, hash, storedAt } = outcome.value;
    const place = this.#server.fullAcks ? { hash, stored_at: storedAt } : {};
    return ok({ type: 'message_ack', body: { conversation, message_id: messageId, state: 'sent', seq, ...place } });
  }

  #publish({ deviceId }: Sender, { packages, last_resort: last }: NorcCBody<'key_publish'>): NorcCMessage {
    const stock = this.#server.packages.get(deviceId) ?? { once: [] };
    stock.once.push(...packages);
    if (last !== undefined) stock.last = last;
    this.#server.packages.set(deviceId, stock);
    return { type: 'key_stock', body: { count: stock.once.length } };
  }

  #claim({ deviceId }: Sender, users: readonly UserAddress[]): NorcCBody<'key_response'> {
    const packages = users.flatMap(
      (user) => this.#server.options.servers.get(domainOf(user))?.claim(user, deviceId) ?? [],
    );
    return { packages, unavailable: users.filter((user) => !packages.some((one) => one.user === user)) };
  }

  #readLog(device: Sender, { conversation, after }: NorcCBody<'log_request'>): Result<NorcCMessage> {
    const log = this.#server.options.hub.logs.get(conversation);
    if (log?.ranges.has(device.deviceId) !== true) return reject('forbidden', 'conversation');
    return ok({ type: 'log_entries', body: this.#entries(device, conversation, after, false) });
  }

  #entries(device: Sender, conversation: ConversationId, after: number, pushed: boolean): NorcCBody<'log_entries'> {
    const { hub, organisation } = this.#server.options;
    const log = hub.logs.get(conversation);
    const range = log?.ranges.get(device.deviceId);
    const head = range?.leftSeq ?? log?.state.headSeq ?? 0;
    const readable = hub.read(conversation, device.deviceId, after).slice(0, 64);
    const fresh = pushed ? readable.filter((entry) => !this.#knows(entry)) : readable;
    const body = {
      conversation,
      hub: log?.state.hub ?? organisation.domain,
      label: log?.state.label ?? 'unclassified',
      head_seq: head,
      entries: fresh.map((entry) => entryToWire(entry, entry.seq === range?.joinedSeq)),
    } as const;
    return this.#server.mischief.entries?.(body, device) ?? body;
  }

  /** Acknowledged in this session, with its place. */
  #knows({ kind, messageId }: LinkedEntry): boolean {
    return kind === 'application' && this.#own.has(messageId);
  }

  #acknowledge({ deviceId, user }: Sender, conversation: ConversationId, seq: number): void {
    const log = this.#server.options.hub.logs.get(conversation);
    if (log === undefined) return;
    log.cursors.set(deviceId, Math.max(seq, log.cursors.get(deviceId) ?? 0));
    for (const server of this.#server.options.servers.values()) {
      for (const session of server.sessions) {
        const other = session.device;
        if (other === undefined || other.user === user || !log.state.members.has(other.deviceId)) continue;
        session.push({ type: 'delivery_update', body: { updates: [{ conversation, user, seq }] } });
      }
    }
  }

  /** Waits while a request is being answered: an own message is acknowledged before its entry could be pushed. */
  grown(conversation: ConversationId): void {
    const device = this.device;
    const log = this.#server.options.hub.logs.get(conversation);
    if (device === undefined || log === undefined || this.#answering > 0) return;
    const after = this.#pushed.get(conversation) ?? log.cursors.get(device.deviceId) ?? 0;
    const body = this.#entries(device, conversation, after, true);
    const last = this.#server.options.hub.read(conversation, device.deviceId, after).slice(0, 64).at(-1);
    if (last === undefined) return;
    this.#pushed.set(conversation, last.seq);
    if (body.entries.length > 0) this.push({ type: 'log_entries', body });
    this.grown(conversation);
  }
}

const NOBODY: Sender = { deviceId: '' as DeviceId, user: '' as UserAddress }; // before anybody is known

function messageIdOf(body: Uint8Array): MessageId {
  const header = readHeader(body);
  if (!header.ok) throw new Error(`the client sent ${header.error.code}`);
  return header.value.authenticatedData.messageId;
}
