import {
  type Clock,
  type ErrorName,
  idFromBytes,
  MESSAGE_TYPES,
  type MessageId,
  type MessageTypeName,
  ok,
  type Random,
  type Result,
  reject,
} from '@norc/protocol/base';
import type { SecureChannel } from '@norc/protocol/handshake';
import { NORC_F_MESSAGES, type NorcFMessage } from '@norc/protocol/norc-f';
import { decodeMessage, encodeMessage, errorBody, type ReceivedMessage } from '@norc/protocol/wire';
import type { LinkStream } from '../transport/port.ts';

/** A frame that was opened: authentic, in order. Its body is not decoded yet. */
export interface LinkFrame {
  readonly type: number;
  readonly messageId: MessageId;
  readonly body: Uint8Array;
}

/** One stream of a link with its channel: messages out, authentic frames in. */
export class LinkChannel {
  readonly stream: LinkStream;
  readonly #channel: SecureChannel;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(stream: LinkStream, channel: SecureChannel, clock: Clock, random: Random) {
    this.stream = stream;
    this.#channel = channel;
    this.#clock = clock;
    this.#random = random;
  }

  get transcriptHash(): Uint8Array {
    return this.#channel.transcriptHash;
  }

  /** Sends a request or a one-way message; returns its id, which the reply will carry. */
  request(message: NorcFMessage): MessageId {
    const messageId: MessageId = idFromBytes(this.#random.bytes(16));
    this.reply(messageId, message);
    return messageId;
  }

  reply(messageId: MessageId, message: NorcFMessage): void {
    this.rekeyIfDue();
    const body = encodeMessage(NORC_F_MESSAGES, message, this.#channel.encoding);
    this.stream.send(this.#channel.seal(MESSAGE_TYPES[message.type], messageId, body));
  }

  /** The dialer offers new keys when they are due: before it sends, and now and then on a quiet link. */
  rekeyIfDue(): void {
    if (this.#channel.rekeyDue(this.#clock.now())) this.stream.send(this.#channel.startRekey());
  }

  refuse(messageId: MessageId, code: ErrorName, reference: string, retryAfterMs?: number): void {
    this.reply(messageId, { type: 'error', body: errorBody(code, reference, retryAfterMs) });
  }

  /** `undefined`: a step of a key exchange, already handled. An error ends the link. */
  open(bytes: Uint8Array): Result<LinkFrame | undefined> {
    const now = this.#clock.now();
    const opened = this.#channel.open(bytes, now);
    if (!opened.ok) return reject(opened.error.code, opened.error.detail);
    if (opened.value.kind === 'rekey') {
      if (opened.value.reply !== undefined) this.stream.send(opened.value.reply);
      return ok(undefined);
    }
    return this.#channel.keyAge(now) === 'overdue' ? reject('rekey_required', 'link keys') : ok(opened.value);
  }

  decode(frame: LinkFrame): Result<ReceivedMessage<NorcFMessage>> {
    return decodeMessage(NORC_F_MESSAGES, frame.type, frame.body, this.#channel.encoding);
  }

  close(): void {
    this.#channel.close();
  }
}

const TYPE_NAMES = new Map<number, MessageTypeName>();
for (const [name, code] of Object.entries(MESSAGE_TYPES)) TYPE_NAMES.set(code, name as MessageTypeName); // the keys of MESSAGE_TYPES are the names

export function typeName(code: number): MessageTypeName | undefined {
  return TYPE_NAMES.get(code);
}
