import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { ALPHA, IDENTITY, WORLD } from './device-test-support.ts';
import { createH2LinkTransport, type H2LinkOptions } from './h2-link.ts';
import type { LinkLimits } from './limits.ts';
import { ManualTimers } from './manual-timers.ts';
import type {
  LinkCloseCause,
  LinkConnection,
  LinkEndpoint,
  LinkHandler,
  LinkListener,
  LinkStream,
  PriorityClass,
} from './port.ts';
import { generateTlsIdentity } from './tls-identity.ts';

/** Helpers of the link tests; imported by tests only. */

export { ALPHA, IDENTITY };
export const PEER = generateTlsIdentity(ALPHA, WORLD);

/** One end of a link as a test sees it. */
export class LinkEnd implements LinkHandler {
  readonly connection: LinkConnection;
  readonly frames: { readonly priority: PriorityClass; readonly frame: Uint8Array }[] = [];
  authenticated?: boolean;
  cause: LinkCloseCause | undefined;
  onFrame: ((stream: LinkStream, frame: Uint8Array) => void) | undefined;
  #waiters: (() => void)[] = [];

  constructor(connection: LinkConnection) {
    this.connection = connection;
  }

  frame(stream: LinkStream, frame: Uint8Array): void {
    this.frames.push({ priority: stream.priority, frame });
    this.#wake();
    this.onFrame?.(stream, frame);
  }

  closed(cause: LinkCloseCause): void {
    if (this.cause !== undefined) throw new Error('closed twice');
    this.cause = cause;
    this.#wake();
  }

  async until(condition: (end: this) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  async ended(): Promise<LinkCloseCause | undefined> {
    await this.until((end) => end.cause !== undefined);
    return this.cause;
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

export interface LinkSetup {
  readonly limits?: Partial<LinkLimits>;
  readonly listen?: Partial<H2LinkOptions>;
  readonly accepting?: (end: LinkEnd) => void;
}

export interface LinkWorld {
  readonly listener: LinkListener;
  readonly endpoint: LinkEndpoint;
  readonly timers: ManualTimers;
  readonly accepted: LinkEnd[];
  readonly faults: unknown[];
  acceptedEnd(index: number): Promise<LinkEnd>;
  /** Dials the listener, or what stands before it. */
  dial(
    options?: Partial<H2LinkOptions> & {
      readonly endpoint?: LinkEndpoint;
      readonly pins?: readonly Uint8Array[] | 'any';
    },
  ): Promise<LinkEnd>;
}

/** A listening server on a free loopback port whose clock stands still, shared with what dials it. */
export async function startLinks(t: TestContext, setup: LinkSetup = {}): Promise<LinkWorld> {
  const timers = new ManualTimers();
  const accepted: LinkEnd[] = [];
  const faults: unknown[] = [];
  const waiting: (() => void)[] = [];
  const common = {
    timers,
    onFault: (fault: unknown) => faults.push(fault),
    ...(setup.limits !== undefined && { limits: setup.limits }),
  };
  const transport = createH2LinkTransport({ identity: IDENTITY, ...common, ...setup.listen });
  const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    const end = new LinkEnd(connection);
    accepted.push(end);
    for (const wake of waiting.splice(0)) wake();
    setup.accepting?.(end);
    return end;
  });
  t.after(async () => {
    const closing = listener.close();
    setImmediate(() => timers.advance(60_000));
    await closing;
  });
  return {
    listener,
    endpoint: listener.endpoint,
    timers,
    accepted,
    faults,
    acceptedEnd: async (index) => {
      for (;;) {
        const end = accepted[index];
        if (end !== undefined) return end;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    dial: async ({ endpoint = listener.endpoint, pins = [IDENTITY.spkiSha256], ...options } = {}) => {
      let end: LinkEnd | undefined;
      const dialer = createH2LinkTransport({ identity: PEER, ...common, ...options });
      await dialer.dial(endpoint, ALPHA, pins, (connection) => {
        end = new LinkEnd(connection);
        return end;
      });
      if (end === undefined) throw new Error('dial resolved without a handler');
      return end;
    },
  };
}

export interface Wire {
  readonly endpoint: LinkEndpoint;
  /** Nothing passes any more, either way, and nobody is told: a cable cut. */
  freeze(): void;
  /** Both sides see their connection break. */
  cut(): void;
  readonly bytesFromDialer: () => number;
}

/** A TCP relay in front of `far`. */
export async function wire(t: TestContext, far: LinkEndpoint): Promise<Wire> {
  const sockets: Socket[] = [];
  let bytes = 0;
  let frozen = false;
  const relay = (from: Socket, to: Socket, count: boolean) =>
    from.on('data', (chunk) => {
      if (count) bytes += chunk.length;
      if (!frozen) to.write(chunk);
    });
  const server = createServer((near) => {
    const onward = connect(far.port, far.host);
    relay(near, onward, true);
    relay(onward, near, false);
    for (const [one, other] of [
      [near, onward],
      [onward, near],
    ] as const) {
      sockets.push(one);
      one.on('error', () => {});
      one.on('close', () => {
        if (!frozen) other.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  return {
    endpoint: { host: '127.0.0.1', port: address.port },
    freeze: () => {
      frozen = true;
    },
    cut: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    bytesFromDialer: () => bytes,
  };
}
