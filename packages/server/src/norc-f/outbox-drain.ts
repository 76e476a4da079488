import { type Domain, ERRORS, type Instant, LIMITS, MESSAGE_TYPES, type MessageId } from '@norc/protocol/base';
import { conversationAnnounce, messageSubmit, type NorcFBody } from '@norc/protocol/norc-f';
import { decodeBody } from '@norc/protocol/wire';
import type { Delivery } from '../services.ts';
import type { OutboxRow, Store } from '../storage/port.ts';
import type { OutgoingLink } from './outgoing-link.ts';

const READ_ROWS = 256;
const FRAME_BYTES_MAX = 1 << 20;
const FRAMES_IN_FLIGHT_MAX = 16;
/** What a peer cannot take now (its rate, its disk) it cannot take a millisecond later either. */
const RETRY_MS = 1_000;

export interface DrainDependencies {
  readonly store: Store;
  readonly delivery: Delivery;
  readonly now: () => Instant;
  /** There may be more to send: look again. */
  readonly later: () => void;
  readonly after: (delayMilliseconds: number, run: () => void) => void;
  readonly onFault: (error: unknown) => void;
}

type SubmitItems = NorcFBody<'message_submit'>['items'];

/**
 * Sends what the outbox holds for one peer over one link, oldest first, several
 * frames at a time, and takes off what the peer answered. A row stays in the store
 * until its fate is known, so a link that breaks only means that it is sent again.
 */
export class OutboxDrain {
  readonly #peer: Domain;
  readonly #link: OutgoingLink;
  readonly #d: DrainDependencies;
  /** Sent on this link; not sent again on it unless the peer says so. */
  readonly #sent = new Set<MessageId>();
  #framesInFlight = 0;

  constructor(peer: Domain, link: OutgoingLink, dependencies: DrainDependencies) {
    this.#peer = peer;
    this.#link = link;
    this.#d = dependencies;
  }

  /** Sends what is due now, announcements before the rest. `later` is called when there is reason to run again. */
  async run(): Promise<void> {
    if (this.#framesInFlight >= FRAMES_IN_FLIGHT_MAX) return;
    const rows = await this.#d.store.read.outbox(this.#peer, READ_ROWS + this.#sent.size);
    const now = this.#d.now();
    const fresh = rows.filter((row) => !this.#sent.has(row.id) && row.expiresAt > now);
    await this.#expire(rows.filter((row) => row.expiresAt <= now));
    for (const announce of fresh.filter((row) => row.type === MESSAGE_TYPES.conversation_announce))
      await this.#announce(announce);
    for (const batch of submissionBatches(fresh)) {
      if (this.#framesInFlight >= FRAMES_IN_FLIGHT_MAX) return;
      this.#submit(batch);
    }
  }

  /** Its time is over: the sender is told, and it is never sent. */
  async #expire(rows: readonly OutboxRow[]): Promise<void> {
    const items = rows.flatMap((row) => submissionOf(row)).map(expired);
    if (items.length > 0) await this.#d.delivery.submissionResolved(this.#peer, items);
    const others = rows.filter((row) => row.type !== MESSAGE_TYPES.message_submit).map((row) => row.id);
    if (others.length > 0) await this.#d.store.commit([{ op: 'outbox.remove', peer: this.#peer, ids: others }]);
  }

  #submit(batch: { readonly ids: readonly MessageId[]; readonly items: SubmitItems }): void {
    for (const id of batch.ids) this.#sent.add(id);
    this.#framesInFlight += 1;
    const request = this.#link.request('interactive', { type: 'message_submit', body: { items: batch.items } });
    void request
      .then(async (answer) => {
        if (!answer.ok || answer.value.type !== 'submit_result') return this.#again(batch.ids);
        const retry = answer.value.body.items.filter((one) => one.status === 'retry').map((one) => one.message_id);
        if (retry.length > 0) this.#again(retry);
        await this.#d.delivery.submissionResolved(this.#peer, answer.value.body.items);
      })
      .catch(this.#d.onFault)
      .finally(() => {
        this.#framesInFlight -= 1;
        this.#d.later();
      });
  }

  #again(ids: readonly MessageId[]): void {
    this.#d.after(RETRY_MS, () => {
      for (const id of ids) this.#sent.delete(id);
      this.#d.later();
    });
  }

  /** Waits for the answer: what follows in this conversation makes no sense to the peer before it. */
  async #announce(row: OutboxRow): Promise<void> {
    const body = decodeBody(conversationAnnounce, row.body, 'cbor');
    if (!body.ok) throw new TypeError('an outbox row of ours does not decode');
    this.#sent.add(row.id);
    const answer = await this.#link.request('interactive', { type: 'conversation_announce', body: body.value });
    if (!answer.ok && answer.error.code !== 'forbidden' && answer.error.code !== 'commit_invalid') {
      this.#again([row.id]);
      return;
    }
    await this.#d.store.commit([{ op: 'outbox.remove', peer: this.#peer, ids: [row.id] }]);
  }
}

function submissionOf(row: OutboxRow): SubmitItems {
  if (row.type !== MESSAGE_TYPES.message_submit) return [];
  const body = decodeBody(messageSubmit, row.body, 'cbor');
  if (!body.ok) throw new TypeError('an outbox row of ours does not decode');
  return body.value.items;
}

/** As many submissions in a frame as its bounds allow. */
function submissionBatches(
  rows: readonly OutboxRow[],
): { readonly ids: MessageId[]; readonly items: SubmitItems[number][] }[] {
  const batches: { ids: MessageId[]; items: SubmitItems[number][]; bytes: number }[] = [];
  for (const row of rows) {
    for (const item of submissionOf(row)) {
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
