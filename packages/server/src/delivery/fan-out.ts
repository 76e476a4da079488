import type { ConversationId, DeviceId, MessageId, Reject, UserAddress } from '@norc/protocol/base';
import type { Closure, DeliveryEar, OrderedPlace } from '../services.ts';

/** Who listens: the live sessions of local devices. Order of calls is order of facts. */
export class FanOut {
  readonly #ears = new Map<DeviceId, Set<DeliveryEar>>();

  /** Returns the call that takes the ear off again. */
  attach(device: DeviceId, ear: DeliveryEar): () => void {
    const ears = this.#ears.get(device) ?? new Set();
    ears.add(ear);
    this.#ears.set(device, ears);
    return () => {
      ears.delete(ear);
      if (ears.size === 0 && this.#ears.get(device) === ears) this.#ears.delete(device);
    };
  }

  grown(devices: Iterable<DeviceId>, conversation: ConversationId, headSeq: number): void {
    for (const device of devices) {
      for (const ear of this.#ears.get(device) ?? []) ear.grown(conversation, headSeq);
    }
  }

  resolved(
    device: DeviceId,
    conversation: ConversationId,
    messageId: MessageId,
    outcome: OrderedPlace | { readonly refused: Reject },
  ): void {
    for (const ear of this.#ears.get(device) ?? []) ear.resolved(conversation, messageId, outcome);
  }

  closed(devices: Iterable<DeviceId>, conversation: ConversationId, closure: Closure): void {
    for (const device of devices) {
      for (const ear of this.#ears.get(device) ?? []) ear.closed(conversation, closure);
    }
  }

  delivered(devices: Iterable<DeviceId>, conversation: ConversationId, user: UserAddress, seq: number): void {
    for (const device of devices) {
      for (const ear of this.#ears.get(device) ?? []) ear.delivered(conversation, user, seq);
    }
  }
}
