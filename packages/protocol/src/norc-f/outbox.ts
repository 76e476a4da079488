import type { Instant, MessageId } from '../base/index.ts';

/** In the order in which streams are served: control and revocation never wait behind anything. */
export const PRIORITIES = ['control', 'interactive', 'bulk'] as const;
export type Priority = (typeof PRIORITIES)[number];

export interface OutboxItem {
  readonly id: MessageId;
  readonly priority: Priority;
  readonly bytes: number;
  readonly expiresAt: Instant;
}

/** What a stream takes now. Streams have separate windows: a full one holds up no other. */
export interface StreamRoom {
  readonly count: number;
  readonly bytes: number;
}

export interface OutboxPlan<T> {
  /** To send in this order, each on the stream of its priority. */
  readonly send: readonly T[];
  /** Will not be sent: their senders are told `ttl_expired`. */
  readonly expired: readonly T[];
  /** The earliest expiry among what stays, when something stays. */
  readonly nextExpiryAt?: Instant;
}

/**
 * What of a peer's outbox to send now (spec/norc-f section 6). `items` are oldest
 * first. Within a class order is kept: the first item that does not fit holds the
 * later ones of its class. An item larger than its whole window goes when it comes
 * first, or it would never go.
 */
export function planOutbox<T extends OutboxItem>(
  items: readonly T[],
  room: Readonly<Record<Priority, StreamRoom>>,
  now: Instant,
): OutboxPlan<T> {
  const expired = items.filter((item) => item.expiresAt <= now);
  const alive = items.filter((item) => item.expiresAt > now);
  const send = PRIORITIES.flatMap((priority) =>
    fitting(
      alive.filter((item) => item.priority === priority),
      room[priority],
    ),
  );
  const sent = new Set(send);
  const waiting = alive.filter((item) => !sent.has(item));
  if (waiting.length === 0) return { send, expired };
  const nextExpiryAt = waiting.reduce((least, item) => (item.expiresAt < least.expiresAt ? item : least)).expiresAt;
  return { send, expired, nextExpiryAt };
}

function fitting<T extends OutboxItem>(items: readonly T[], room: StreamRoom): T[] {
  const taken: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const fits = bytes + item.bytes <= room.bytes || (taken.length === 0 && room.bytes > 0);
    if (taken.length >= room.count || !fits) break;
    taken.push(item);
    bytes += item.bytes;
  }
  return taken;
}
