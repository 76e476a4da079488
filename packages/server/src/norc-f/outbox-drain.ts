import {
  type Domain,
  ERRORS,
  type ErrorName,
  type Instant,
  LIMITS,
  MESSAGE_TYPES,
  type MessageId,
  type Random,
  retryDelayMilliseconds,
} from '@norc/protocol/base';
import { conversationAnnounce, type NorcFBody } from '@norc/protocol/norc-f';
import { decodeBody } from '@norc/protocol/wire';
import { submittedItems } from '../delivery/submit-item.ts';
import type { Delivery } from '../services.ts';
import type { OutboxRow, Store } from '../storage/port.ts';
import type { OutgoingLink } from './outgoing-link.ts';

const READ_ROWS = 256;
const FRAME_BYTES_MAX = 1 << 20;
const FRAMES_IN_FLIGHT_MAX = 16;
const ANNOUNCES_IN_FLIGHT_MAX = 4;
/** Rows that are kept in memory between their storing and their sending; what is beyond is read back. */
const OFFERED_MAX = 1024;
/** More than this is not kept in mind for one peer; what is beyond waits until some of it is settled. */
const PENDING_MAX = 8192;
/** What our own side holds back goes soon after it may: two seconds at most, however long it was held. */
const HELD_FAILURES = 3;

export interface DrainDependencies {
  readonly store: Store;
  readonly delivery: Pick<Delivery, 'submissionResolved' | 'announced' | 'mayCarry'>;
  readonly random: Random;
  readonly now: () => Instant;
  /** There may be more to send: look again. */
  readonly later: () => void;
  readonly after: (delayMilliseconds: number, run: () => void) => void;
  readonly onFault: (error: unknown) => void;
}

type SubmitItems = NorcFBody<'message_submit'>['items'];
type SubmitResults = NorcFBody<'submit_result'>['items'];

interface Batch {
  readonly ids: readonly MessageId[];
  readonly items: SubmitItems;
}

/**
 * Sends what the outbox holds for one peer over one link, oldest first, several
 * frames at a time, and takes off what the peer answered. A row stays in the store
 * until its fate is known, so a link that breaks only means that it is sent again.
 */
export class OutboxDrain {
  readonly #peer: Domain;
  readonly #link: OutgoingLink;
  readonly #d: DrainDependencies;
  /** Sent on this link or waiting for their next try: not to be sent now. */
  readonly #pending = new Set<MessageId>();
  /** How often each was put off; only of rows that are still in the outbox. */
  readonly #failures = new Map<MessageId, number>();
  /** Stored since the last look into the store, or left over from it. */
  readonly #offered = new Map<MessageId, OutboxRow>();
  /** The store may have rows to send that were not offered. */
  #mustLook = true;
  #framesInFlight = 0;
  #announcesInFlight = 0;

  constructor(peer: Domain, link: OutgoingLink, dependencies: DrainDependencies) {
    this.#peer = peer;
    this.#link = link;
    this.#d = dependencies;
  }

  /** A row that was just stored: it need not be read back. */
  offer(row: OutboxRow): void {
    if (this.#offered.size < OFFERED_MAX && this.#pending.size < PENDING_MAX) this.#offered.set(row.id, row);
    else this.look();
  }

  /** The next run reads the store: it may have more than was offered, or rows whose time is over. */
  look(): void {
    this.#mustLook = true;
    this.#offered.clear();
  }

  /** Sends what is due now, announcements before the rest. `later` is called when there is reason to run again. */
  async run(): Promise<void> {
    if (this.#framesInFlight >= FRAMES_IN_FLIGHT_MAX) return;
    const rows = this.#mustLook ? await this.#read() : this.#takeOffered();
    const fresh = rows.filter((row) => !this.#pending.has(row.id));
    await this.#send(fresh);
    const later = this.#takeOffered();
    for (const row of [...fresh, ...later]) if (!this.#pending.has(row.id)) this.#offered.set(row.id, row);
  }

  #takeOffered(): readonly OutboxRow[] {
    const rows = [...this.#offered.values()];
    this.#offered.clear();
    return rows;
  }

  async #read(): Promise<readonly OutboxRow[]> {
    this.#mustLook = false;
    this.#offered.clear();
    const limit = Math.min(PENDING_MAX, READ_ROWS + this.#pending.size);
    const rows = await this.#d.store.read.outbox(this.#peer, limit);
    if (rows.length === limit) this.#mustLook = true; // there may be more
    this.#forgetAllBut(rows);
    const now = this.#d.now();
    await this.#expire(rows.filter((row) => row.expiresAt <= now));
    return rows.filter((row) => row.expiresAt > now);
  }

  /** As far as the bounds of what may be on its way allow. */
  async #send(fresh: readonly OutboxRow[]): Promise<void> {
    for (const row of fresh.filter(({ type }) => type === MESSAGE_TYPES.conversation_announce)) {
      if (this.#announcesInFlight >= ANNOUNCES_IN_FLIGHT_MAX) break;
      this.#announce(row);
    }
    for (const batch of submissionBatches(fresh)) {
      if (this.#framesInFlight >= FRAMES_IN_FLIGHT_MAX) return;
      const allowed = await this.#allowed(batch);
      if (allowed.ids.length > 0) this.#submit(allowed);
    }
  }

  /** `rows` reach past all that is pending and still in the outbox; the hub takes a repeated message as a duplicate. */
  #forgetAllBut(rows: readonly OutboxRow[]): void {
    const held = new Set(rows.map((row) => row.id));
    for (const id of this.#pending) if (!held.has(id)) this.#pending.delete(id);
    for (const id of this.#failures.keys()) if (!held.has(id)) this.#failures.delete(id);
  }

  /** Its time is over: the sender is told, and it is never sent. */
  async #expire(rows: readonly OutboxRow[]): Promise<void> {
    const items = rows.flatMap((row) => submittedItems(row)).map(expired);
    if (items.length > 0) await this.#d.delivery.submissionResolved(this.#peer, items);
    const others = rows.filter((row) => row.type !== MESSAGE_TYPES.message_submit).map((row) => row.id);
    if (others.length > 0) await this.#remove(others);
  }

  /**
   * What may not go now waits: it was allowed when it was queued, which may be long ago. It is not given back to its
   * sender, since the hub may have it from an earlier link: only the hub's answer keeps it from being said twice.
   */
  async #allowed(batch: Batch): Promise<Batch> {
    const denied: MessageId[] = [];
    const ids: MessageId[] = [];
    const items: SubmitItems[number][] = [];
    for (const [i, item] of batch.items.entries()) {
      const id = batch.ids[i] as MessageId; // the two lists go together
      if (await this.#d.delivery.mayCarry(this.#peer, item.conversation, item.body.length, item.kind)) {
        ids.push(id);
        items.push(item);
      } else denied.push(id);
    }
    this.#hold(denied);
    return { ids, items };
  }

  #submit(batch: Batch): void {
    for (const id of batch.ids) this.#pending.add(id);
    this.#framesInFlight += 1;
    const request = this.#link.request('interactive', { type: 'message_submit', body: { items: batch.items } });
    void request
      .then(async (answer) => {
        const results = answer.ok && answer.value.type === 'submit_result' ? answer.value.body.items : [];
        const settled = settledOf(batch, results);
        const known = new Set(settled.map((one) => one.message_id));
        this.#again(batch.items.map((item) => item.message_id).filter((id) => !known.has(id)));
        if (settled.length > 0) await this.#d.delivery.submissionResolved(this.#peer, settled);
      })
      .catch((error: unknown) => {
        this.#d.onFault(error);
        this.#again(batch.ids);
      })
      .finally(() => {
        this.#framesInFlight -= 1;
        this.#d.later();
      });
  }

  /** Not before a while: what a peer cannot take now (its rate, its disk) it cannot take a millisecond later either. */
  #again(ids: readonly MessageId[]): void {
    if (ids.length === 0) return;
    let failures = 0;
    for (const id of ids) {
      const before = this.#failures.get(id) ?? 0;
      failures = Math.max(failures, before);
      this.#failures.set(id, before + 1);
    }
    this.#hold(ids, failures);
  }

  #hold(ids: readonly MessageId[], failures = HELD_FAILURES): void {
    if (ids.length === 0) return;
    for (const id of ids) this.#pending.add(id);
    this.#d.after(retryDelayMilliseconds(failures, this.#d.random), () => {
      for (const id of ids) this.#pending.delete(id);
      this.look();
      this.#d.later();
    });
  }

  /** Relays of the conversation wait for the answer (Delivery.announced); everything else goes on beside it. */
  #announce(row: OutboxRow): void {
    this.#pending.add(row.id);
    this.#announcesInFlight += 1;
    void this.#announced(row)
      .catch((error: unknown) => {
        this.#d.onFault(error);
        this.#again([row.id]);
      })
      .finally(() => {
        this.#announcesInFlight -= 1;
        this.#d.later();
      });
  }

  async #announced(row: OutboxRow): Promise<void> {
    const body = decodeBody(conversationAnnounce, row.body, 'cbor');
    if (!body.ok) throw new TypeError('an outbox row of ours does not decode');
    const { conversation, entry } = body.value;
    if (!(await this.#d.delivery.mayCarry(this.#peer, conversation, entry.body.length))) return this.#again([row.id]);
    const answer = await this.#link.request('interactive', { type: 'conversation_announce', body: body.value });
    if (answer.ok && answer.value.type === 'relay_ack') {
      await this.#d.delivery.announced(this.#peer, conversation, answer.value.body.seq);
      return await this.#remove([row.id]);
    }
    if (answer.ok || mayPass(answer.error.code)) return this.#again([row.id]);
    await this.#remove([row.id]); // the conversation stays unannounced: nothing of it is relayed on this link
  }

  async #remove(ids: readonly MessageId[]): Promise<void> {
    await this.#d.store.commit([{ op: 'outbox.remove', peer: this.#peer, ids }]);
  }
}

/** What a refusal says of trust may be true today and not tomorrow; the row has its own end. */
const TRUST_CODES: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'not_trusted',
  'trust_expired',
  'trust_revoked',
  'insufficient_trust',
]);

function mayPass(code: ErrorName): boolean {
  return ERRORS[code].retryable || TRUST_CODES.has(code);
}

/** The final answers to what the batch asked, one each: a hub must not decide about messages that it was not asked about. */
function settledOf(batch: Batch, results: SubmitResults): SubmitResults {
  const asked = new Map(batch.items.map((item) => [item.message_id, item.conversation]));
  return results.filter(({ conversation, message_id, status }) => {
    if (asked.get(message_id) !== conversation) return false;
    asked.delete(message_id);
    return status !== 'retry';
  });
}

/** As many submissions in a frame as its bounds allow. */
function submissionBatches(
  rows: readonly OutboxRow[],
): { readonly ids: MessageId[]; readonly items: SubmitItems[number][] }[] {
  const batches: { ids: MessageId[]; items: SubmitItems[number][]; bytes: number }[] = [];
  for (const row of rows) {
    for (const item of submittedItems(row)) {
      let last = batches.at(-1);
      if (
        last === undefined ||
        last.items.length >= LIMITS.entriesPerFrameMax ||
        last.bytes + row.body.length > FRAME_BYTES_MAX
      ) {
        last = { ids: [], items: [], bytes: 0 };
        batches.push(last);
      }
      last.ids.push(row.id);
      last.items.push(item);
      last.bytes += row.body.length;
    }
  }
  return batches;
}

function expired(item: SubmitItems[number]): NorcFBody<'submit_result'>['items'][number] {
  return {
    conversation: item.conversation,
    message_id: item.message_id,
    status: 'refused',
    code: ERRORS.ttl_expired.code,
  };
}
