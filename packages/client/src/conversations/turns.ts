import type { Member } from '@norc/mls';
import type { DeviceId, UserAddress } from '@norc/protocol/base';
import { Alarm, type Timers } from '../session/timers.ts';

/** However many devices there are, nobody waits longer for its turn. */
const TURNS_MAX = 20;

/**
 * Something that one device of several has to do, without asking each other: they take
 * turns by device id. Whoever finds it done when its turn comes leaves it.
 */
export class Turn {
  readonly #alarm: Alarm;
  readonly #turnMs: number;

  constructor(timers: Timers, turnMs: number) {
    this.#alarm = new Alarm(timers);
    this.#turnMs = turnMs;
  }

  get waits(): boolean {
    return this.#alarm.isSet;
  }

  /** `candidates`: all that may do it, this device included. */
  take(self: DeviceId, candidates: readonly DeviceId[], run: () => void): void {
    const rank = [...candidates].sort().indexOf(self);
    this.#alarm.set(Math.min(Math.max(rank, 0), TURNS_MAX) * this.#turnMs, run);
  }

  /** For what may be done by several at once. */
  after(delayMs: number, run: () => void): void {
    this.#alarm.set(delayMs, run);
  }

  cancel(): void {
    this.#alarm.clear();
  }
}

export function devicesOf(members: readonly Member[], of: (user: UserAddress) => boolean): readonly DeviceId[] {
  return members.filter(({ identity }) => of(identity.user)).map(({ identity }) => identity.deviceId);
}
