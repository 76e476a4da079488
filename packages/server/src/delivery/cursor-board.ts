import type { ConversationId, DeviceId, UserAddress } from '@norc/protocol/base';
import type { StoreWrite } from '../storage/port.ts';

/**
 * Cursors and delivery marks on their way to the store. They rise often and losing
 * one only causes a repeat, so they are written together a little later, the highest
 * of each alone.
 */
export class CursorBoard {
  readonly #pending = new Map<string, StoreWrite>();
  readonly #schedule: (run: () => void) => void;
  readonly #write: (writes: readonly StoreWrite[]) => void;
  #scheduled = false;

  constructor(schedule: (run: () => void) => void, write: (writes: readonly StoreWrite[]) => void) {
    this.#schedule = schedule;
    this.#write = write;
  }

  cursor(deviceId: DeviceId, conversationId: ConversationId, seq: number): void {
    this.#put(`c ${deviceId} ${conversationId}`, { op: 'cursor.advance', deviceId, conversationId, seq });
  }

  delivered(conversationId: ConversationId, user: UserAddress, seq: number): void {
    this.#put(`d ${user} ${conversationId}`, { op: 'delivered.advance', conversationId, user, seq });
  }

  follower(write: StoreWrite & { readonly op: 'follower.advance' }): void {
    this.#put(`f ${write.peer} ${write.conversationId}`, write);
  }

  #put(key: string, write: StoreWrite & { readonly seq: number }): void {
    const known = this.#pending.get(key);
    if (known !== undefined && 'seq' in known && known.seq >= write.seq) return;
    this.#pending.set(key, write);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(() => this.flush());
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#pending.size === 0) return;
    const writes = [...this.#pending.values()];
    this.#pending.clear();
    this.#write(writes);
  }
}
