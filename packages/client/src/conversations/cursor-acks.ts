import type { ConversationId } from '@norc/protocol/base';
import type { Asking } from '../session/ask.ts';
import { Alarm, type Timers } from '../session/timers.ts';

/** As many as one frame holds. */
const CURSORS_MAX = 256;

/**
 * Tells the server how far this device has come: collected for a moment, since each
 * one also travels on as a tick on somebody's screen. Only of what is stored.
 */
export class CursorAcks {
  readonly #session: Asking;
  readonly #alarm: Alarm;
  readonly #delayMs: number;
  readonly #cursors = new Map<ConversationId, number>();

  constructor(session: Asking, timers: Timers, delayMs: number) {
    this.#session = session;
    this.#alarm = new Alarm(timers);
    this.#delayMs = delayMs;
  }

  add(conversation: ConversationId, seq: number): void {
    this.#cursors.set(conversation, Math.max(seq, this.#cursors.get(conversation) ?? 0));
    if (this.#cursors.size >= CURSORS_MAX) this.flush();
    else if (!this.#alarm.isSet) this.#alarm.set(this.#delayMs, () => this.flush());
  }

  flush(): void {
    this.#alarm.clear();
    const cursors = [...this.#cursors].map(([conversation, seq]) => ({ conversation, seq }));
    this.#cursors.clear();
    if (cursors.length > 0) this.#session.tell({ type: 'cursor_ack', body: { cursors } });
  }

  /** The server asks again by pushing again. */
  clear(): void {
    this.#alarm.clear();
    this.#cursors.clear();
  }
}
