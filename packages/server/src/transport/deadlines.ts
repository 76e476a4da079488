import type { Socket } from 'node:net';
import type { Timers } from './timers.ts';

export interface Deadline {
  /** Asked when the time is over; absent or `false` means that the connection is cut. */
  mayStay: (() => boolean) | undefined;
  cancel(): void;
}

/**
 * One deadline per accepted connection, from its first packet to the end of its
 * handshakes, whatever layers come to lie between. TLS wraps the TCP socket into
 * another object, so a connection is known by its remote address and port.
 */
export class HandshakeDeadlines {
  readonly #timers: Timers;
  readonly #delayMs: number;
  readonly #open = new Map<string, Deadline>();

  constructor(timers: Timers, delayMs: number) {
    this.#timers = timers;
    this.#delayMs = delayMs;
  }

  /** `socket` is the TCP connection as it was accepted. */
  start(socket: Socket): void {
    const key = keyOf(socket);
    const stop = this.#timers.after(this.#delayMs, () => {
      this.#open.delete(key);
      if (deadline.mayStay?.() !== true) socket.destroy();
    });
    const deadline: Deadline = {
      mayStay: undefined,
      cancel: () => {
        stop();
        this.#open.delete(key);
      },
    };
    this.#open.set(key, deadline);
    socket.once('close', () => deadline.cancel());
  }

  /** The running deadline of a connection, by its TCP or TLS socket; `undefined` when it has passed. */
  of(socket: Socket): Deadline | undefined {
    return this.#open.get(keyOf(socket));
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}`;
}
