import { type ConversationId, ERRORS, type MessageId, type Reject, type UserAddress } from '@norc/protocol/base';
import { type NorcCBody, type NorcCMessage, type PushOrder, PushWindow } from '@norc/protocol/norc-c';
import type {
  AuthenticatedDevice,
  Closure,
  ConversationEntries,
  Delivery,
  DeliveryEar,
  OrderedPlace,
} from '../services.ts';
import { placeFields } from './requests.ts';

const FRAME_BYTES_MAX = 256 * 1024;
const DELIVERY_BATCH_MAX = 256;

export interface PushOutput {
  readonly send: (message: NorcCMessage) => void;
  readonly onFault: (error: unknown) => void;
}

/**
 * Sends one device what its conversations grew by, from its cursors on, within the
 * push window (protocol/norc-c/flow). Own messages that this session was told `sent`
 * for are not echoed: it has their content already.
 */
export class DevicePush implements DeliveryEar {
  readonly #delivery: Delivery;
  readonly #device: AuthenticatedDevice;
  readonly #output: PushOutput;
  readonly #window = new PushWindow();
  readonly #own = new Map<ConversationId, Set<number>>();
  /** Grew while its cursor was being read. */
  readonly #opening = new Set<ConversationId>();
  #scheduled = false;
  /** Something is being read from the store. */
  #waiting = false;
  #stopped = false;
  #detach: () => void = () => undefined;

  constructor(delivery: Delivery, device: AuthenticatedDevice, output: PushOutput) {
    this.#delivery = delivery;
    this.#device = device;
    this.#output = output;
  }

  /** Attached first, so that nothing falls between the cursors that are read and what grows meanwhile. */
  start(): void {
    this.#detach = this.#delivery.attach(this.#device, this);
    void this.#load().catch(this.#output.onFault);
  }

  stop(): void {
    this.#stopped = true;
    this.#detach();
  }

  async #load(): Promise<void> {
    for (const { conversation, cursor, headSeq } of await this.#delivery.memberships(this.#device)) {
      this.#window.open(conversation, cursor, headSeq);
      this.#tellDelivered(await this.#delivery.deliveredIn(conversation));
      const closure = this.#delivery.closure(conversation);
      if (closure !== undefined) this.closed(conversation, closure);
    }
    this.#schedule();
  }

  grown(conversation: ConversationId, headSeq: number): void {
    if (this.#window.has(conversation)) this.#window.grown(conversation, headSeq);
    else this.#opening.add(conversation);
    this.#schedule();
  }

  resolved(
    conversation: ConversationId,
    messageId: MessageId,
    outcome: OrderedPlace | { readonly refused: Reject },
  ): void {
    const base = { conversation, message_id: messageId };
    if ('refused' in outcome) {
      const code = ERRORS[outcome.refused.code].code;
      this.#output.send({ type: 'message_ack', body: { ...base, state: 'refused', code } });
      return;
    }
    const body: NorcCBody<'message_ack'> = { ...base, state: 'sent', ...placeFields(outcome) };
    this.ownSent(body);
    this.#output.send({ type: 'message_ack', body });
  }

  delivered(conversation: ConversationId, user: UserAddress, seq: number): void {
    this.#tellDelivered([{ conversation, user, seq }]);
  }

  closed(conversation: ConversationId, { org, cause }: Closure): void {
    this.#output.send({ type: 'conversation_closed', body: { conversation, org, cause } });
  }

  #tellDelivered(updates: NorcCBody<'delivery_update'>['updates']): void {
    for (let i = 0; i < updates.length; i += DELIVERY_BATCH_MAX) {
      this.#output.send({ type: 'delivery_update', body: { updates: updates.slice(i, i + DELIVERY_BATCH_MAX) } });
    }
  }

  /** This session was told where its own message stands, with all that it lacked of the entry [C-8]. */
  ownSent({ conversation, state, seq, hash }: NorcCBody<'message_ack'>): void {
    if (state !== 'sent' || seq === undefined || hash === undefined) return;
    const own = this.#own.get(conversation) ?? new Set();
    own.add(seq);
    this.#own.set(conversation, own);
  }

  /** False: the device acknowledged what does not exist. */
  acknowledged(cursors: NorcCBody<'cursor_ack'>['cursors']): boolean {
    let sound = true;
    for (const { conversation, seq } of cursors) {
      const taken = this.#window.acked(conversation, seq);
      if (!taken.ok && taken.error.code === 'malformed') sound = false;
    }
    this.#schedule();
    return sound;
  }

  /** After what this turn of the event loop brings: several entries then share a frame, and an own message is known as such. */
  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#waiting) return;
      try {
        this.#pump();
      } catch (fault) {
        this.#output.onFault(fault); // ends this session, never the server
      }
    });
  }

  /** What memory has goes out at once; for the rest, one read at a time. */
  #pump(): void {
    if (this.#opening.size > 0) {
      this.#wait(this.#openNew());
      return;
    }
    for (let order = this.#window.next(); order !== undefined; order = this.#window.next()) {
      if (this.#stopped) return;
      const { conversation, after, limit } = order;
      const recent = this.#delivery.recentFor(this.#device, conversation, after, limit, FRAME_BYTES_MAX);
      if (recent === undefined) {
        this.#wait(this.#pushStored(order));
        return;
      }
      this.#push(order, recent);
    }
  }

  /** Nothing is pushed meanwhile, so that entries keep their order. */
  #wait(work: Promise<void>): void {
    this.#waiting = true;
    work.catch(this.#output.onFault).finally(() => {
      this.#waiting = false;
      this.#schedule();
    });
  }

  /** A conversation that began during the session starts at the device's cursor. */
  async #openNew(): Promise<void> {
    this.#opening.clear();
    for (const { conversation, cursor, headSeq } of await this.#delivery.memberships(this.#device)) {
      this.#window.open(conversation, cursor, headSeq);
    }
  }

  async #pushStored(order: PushOrder): Promise<void> {
    const { conversation, after, limit } = order;
    const read = await this.#delivery.entriesFor(this.#device, conversation, after, limit, FRAME_BYTES_MAX);
    this.#push(order, read.ok ? read.value : undefined);
  }

  /**
   * What lies before is not for this device any more: it was out in between and was
   * added again, or the time of the entries was over. It goes on after that.
   */
  #jump(order: PushOrder, to: number, headSeq: number): void {
    this.#window.pushed(order, order.after);
    this.#window.grown(order.conversation, headSeq);
    this.#window.acked(order.conversation, to);
    this.#schedule();
  }

  /** `read`: what the device may have of it; nothing when it may have none. */
  #push(order: PushOrder, read: ConversationEntries | undefined): void {
    const { conversation, after } = order;
    const last = read?.entries.at(-1);
    const first = read?.entries[0];
    if (read !== undefined && first !== undefined && first.seq > after + 1)
      return this.#jump(order, first.seq - 1, read.headSeq);
    this.#window.pushed(order, last?.seq ?? after);
    if (read === undefined || last === undefined || this.#stopped) return;
    const { hub, label, headSeq, entries } = read;
    const own = this.#own.get(conversation);
    const fresh =
      own === undefined ? entries : entries.filter((entry) => !(own.delete(entry.seq) && entry.kind === 'application'));
    if (fresh.length > 0) {
      this.#output.send({ type: 'log_entries', body: { conversation, hub, label, head_seq: headSeq, entries: fresh } });
    }
  }
}
