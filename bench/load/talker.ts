import { ERRORS, idFromBytes, MESSAGE_TYPES, type MessageId } from '@norc/protocol/base';
import { NORC_C_MESSAGES } from '@norc/protocol/norc-c';
import { decodeMessage } from '@norc/protocol/wire';
import { type BenchDevice, must } from '../support/organisation.ts';
import { DeviceLink, type ServerAddress } from './device-link.ts';
import { countOf, numberedId, senderOf } from './message-ids.ts';
import type { Talk } from './talk.ts';
import type { Tally } from './tally.ts';

/** A device says that it holds entries as clients do: after this many, or after this time, whichever is first. */
const ACK_ENTRIES = 64;
const ACK_MS = 100;
/** The epoch carries 500 messages at the basic level: its keys are renewed in time, and nothing is sent when they are not. */
const COMMIT_AFTER = 300;
const EPOCH_ENTRIES_MAX = 440;
/** Must be a power of two above the window. */
const RING = 256;

/** What is decoded; the rest (delivery marks) is opened and dropped. */
const READ: ReadonlySet<number> = new Set([MESSAGE_TYPES.message_ack, MESSAGE_TYPES.log_entries, MESSAGE_TYPES.error]);

const ACKED = 1;
const DELIVERED = 2;

/** A device of the load: it sends as fast as its window lets it, or when it is told to. */
export class Talker {
  readonly device: BenchDevice;
  readonly #number: number;
  readonly #all: readonly Talker[];
  readonly #tally: Tally;
  #link: DeviceLink | undefined;
  #talk: Talk | undefined;
  #founder = false;
  #window = 0;
  #inFlight = 0;
  #count = 0;
  #owed = 0;
  readonly #sentAt = new Float64Array(RING);
  readonly #fate = new Uint8Array(RING);
  readonly #id = new Uint8Array(16);
  #heldSeq = 0;
  #unacked = 0;
  #ackTimer: NodeJS.Timeout | undefined;
  #greeted: (() => void) | undefined;

  constructor(device: BenchDevice, number: number, all: readonly Talker[], tally: Tally) {
    this.device = device;
    this.#number = number;
    this.#all = all;
    this.#tally = tally;
  }

  async connect(server: ServerAddress): Promise<void> {
    this.#link = await DeviceLink.open(this.device, server, (type, body) => this.#receive(type, body));
  }

  get connected(): boolean {
    return this.#link !== undefined;
  }

  close(): void {
    clearTimeout(this.#ackTimer);
    this.#link?.close();
  }

  /** `founder`: it creates the conversation, and renews its keys. Resolves when the device has seen the first entry. */
  async join(talk: Talk, founder: boolean): Promise<void> {
    this.#talk = talk;
    this.#founder = founder;
    const greeted = new Promise<void>((resolve) => {
      this.#greeted = resolve;
    });
    if (founder) this.#link?.send({ type: 'conversation_create', body: talk.creation });
    await greeted;
  }

  /** Sends on its own from now on; 0 stops it. */
  setWindow(window: number): void {
    this.#window = window;
    this.#fill();
  }

  /** Sends one message when the window has room for it, else as soon as it has. */
  sendOne(windowMax: number): void {
    this.#owed += 1;
    this.#payOwed(windowMax);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  #payOwed(windowMax: number): void {
    while (this.#owed > 0 && this.#inFlight < windowMax && this.#mayTalk()) {
      this.#owed -= 1;
      this.#send();
    }
  }

  #fill(): void {
    while (this.#inFlight < this.#window && this.#mayTalk()) this.#send();
  }

  #mayTalk(): boolean {
    return (this.#talk?.entriesInEpoch ?? EPOCH_ENTRIES_MAX) < EPOCH_ENTRIES_MAX;
  }

  #send(): void {
    const count = this.#count;
    const slot = count % RING;
    this.#count += 1;
    this.#inFlight += 1;
    numberedId(this.#id, this.#number, count);
    this.#sentAt[slot] = performance.now();
    this.#fate[slot] = 0;
    const body = this.#talk?.message(this.#id);
    if (body !== undefined) this.#link?.sendBody(MESSAGE_TYPES.message_send, body, idFromBytes(this.#id));
  }

  // ---- from the server ----

  #receive(type: number, body: Uint8Array): void {
    if (!READ.has(type)) return;
    const message = must(decodeMessage(NORC_C_MESSAGES, type, body, 'cbor'));
    if (message.type === 'error') throw new Error(`${this.device.user} was refused: ${errorName(message.body.code)}`);
    if (message.type === 'message_ack') {
      const { message_id, state, seq, code } = message.body;
      if (state === 'refused') throw new Error(`${this.device.user}: message refused: ${errorName(code)}`);
      this.#acked(message_id, seq);
    }
    if (message.type !== 'log_entries') return;
    for (const { seq, message_id, kind } of message.body.entries) this.#entry(seq, message_id, kind);
    this.#acknowledge(message.body.entries.length);
  }

  #acked(id: MessageId, seq: number | undefined): void {
    if (seq !== undefined) this.#grown(seq);
    if (senderOf(id) !== this.#number) {
      this.#committed(id, seq);
      return;
    }
    const slot = countOf(id) % RING;
    if (((this.#fate[slot] ?? 0) & ACKED) !== 0) return; // queued before, now ordered
    this.#tally.acked(performance.now() - (this.#sentAt[slot] ?? 0));
    this.#settle(slot, ACKED);
  }

  #entry(seq: number, id: MessageId, kind: string): void {
    this.#grown(seq);
    this.#heldSeq = Math.max(this.#heldSeq, seq);
    if (this.#greeted !== undefined) {
      this.#greeted();
      this.#greeted = undefined;
    }
    if (kind !== 'application') {
      this.#committed(id, seq);
      return;
    }
    const sender = this.#all[senderOf(id)];
    if (sender !== undefined && sender !== this) sender.delivered(id);
  }

  delivered(id: MessageId): void {
    const slot = countOf(id) % RING;
    if (((this.#fate[slot] ?? 0) & DELIVERED) !== 0) throw new Error('a message was delivered twice');
    this.#tally.delivered(performance.now() - (this.#sentAt[slot] ?? 0));
    this.#settle(slot, DELIVERED);
  }

  /** A place in the window is free when the sender has its acknowledgement and the receiver the message. */
  #settle(slot: number, fate: number): void {
    const now = (this.#fate[slot] ?? 0) | fate;
    this.#fate[slot] = now;
    if (now !== (ACKED | DELIVERED)) return;
    this.#inFlight -= 1;
    this.#fill();
    if (this.#owed > 0) this.#payOwed(RING / 2);
  }

  #acknowledge(entries: number): void {
    this.#unacked += entries;
    if (this.#unacked >= ACK_ENTRIES) this.#sendAck();
    else this.#ackTimer ??= setTimeout(() => this.#sendAck(), ACK_MS);
  }

  #sendAck(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#unacked = 0;
    const talk = this.#talk;
    if (talk === undefined) return;
    this.#link?.send({
      type: 'cursor_ack',
      body: { cursors: [{ conversation: talk.conversation, seq: this.#heldSeq }] },
    });
  }

  // ---- new keys for the group ----

  #grown(seq: number): void {
    const talk = this.#talk;
    talk?.grown(seq);
    if (talk === undefined || !this.#founder || talk.committing || talk.entriesInEpoch < COMMIT_AFTER) return;
    void talk.commit().then((body) => this.#link?.send({ type: 'commit_submit', body }));
  }

  #committed(id: MessageId, seq: number | undefined): void {
    const talk = this.#talk;
    if (seq === undefined || talk === undefined || !talk.committing) return;
    void talk.ordered(id, seq).then((ours) => {
      if (!ours) return;
      this.#tally.committed();
      for (const talker of this.#all) if (talker.#talk === talk) talker.#epochBegan();
    });
  }

  #epochBegan(): void {
    this.#fill();
    if (this.#owed > 0) this.#payOwed(RING / 2);
  }
}

function errorName(code: number | undefined): string {
  return Object.entries(ERRORS).find(([, error]) => error.code === code)?.[0] ?? String(code);
}
