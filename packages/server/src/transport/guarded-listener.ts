import { createServer, isIPv6, type Socket } from 'node:net';
import { invariant } from '@norc/protocol/base';
import { ListenError } from './errors.ts';

export interface GuardLimits {
  readonly connectionsMax: number;
  readonly connectionsPerSourceMax: number;
}

export interface GuardedListener {
  readonly address: { readonly host: string; readonly port: number };
  readonly connectionCount: number;
  /** Stops accepting; the port is free when it resolves. Open connections stay. */
  stop(): Promise<void>;
  /** Cuts every open connection; resolves when all of them are gone. After `stop`. */
  destroyAll(): Promise<void>;
}

/**
 * Accepts TCP connections within limits. Over a limit a connection is cut at once,
 * before any TLS: its handshake is the dearest thing that a stranger can ask for.
 */
export async function listenGuarded(
  host: string,
  port: number,
  limits: GuardLimits,
  accept: (socket: Socket) => void,
): Promise<GuardedListener> {
  const sockets = new Set<Socket>();
  const perSource = new Map<string, number>();
  let emptied: (() => void) | undefined;
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) => {
    const source = sourceKey(socket.remoteAddress ?? '');
    const fromSource = perSource.get(source) ?? 0;
    if (sockets.size >= limits.connectionsMax || fromSource >= limits.connectionsPerSourceMax) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    perSource.set(source, fromSource + 1);
    socket.on('error', ignore); // 'close' follows and tells all that there is to know
    socket.once('close', () => {
      sockets.delete(socket);
      const left = (perSource.get(source) ?? 1) - 1;
      if (left === 0) perSource.delete(source);
      else perSource.set(source, left);
      if (sockets.size === 0) emptied?.();
    });
    accept(socket);
  });
  const bound = await listen(server, host, port);
  return {
    address: bound,
    get connectionCount() {
      return sockets.size;
    },
    stop: () => {
      server.close(); // frees the port at once, and calls back only with the end of the last connection
      return new Promise((resolve) => setImmediate(resolve));
    },
    destroyAll: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => {
        emptied = resolve;
        if (sockets.size === 0) resolve();
      });
    },
  };
}

function listen(
  server: ReturnType<typeof createServer>,
  host: string,
  port: number,
): Promise<GuardedListener['address']> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new ListenError(host, port, cause)));
    server.listen({ host, port, backlog: 1024 }, () => {
      server.removeAllListeners('error');
      server.on('error', ignore); // accept failures (out of files) pass; the connections that stand go on
      const address = server.address();
      invariant(address !== null && typeof address === 'object', 'a listening TCP server has an address');
      resolve({ host: address.address, port: address.port });
    });
  });
}

function ignore(): void {}

/**
 * What a limit counts as one source: an IPv4 address (also when mapped into IPv6),
 * or the /64 of an IPv6 address, since whoever has one address has 2^64 of them.
 */
export function sourceKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!isIPv6(address)) return address;
  const [head = '', tail = ''] = address.toLowerCase().split('%', 1)[0]?.split('::') ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const groups = address.includes('::')
    ? [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
    : left;
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1|::ffff:127(?:\.\d{1,3}){3})$/i;

/** True for addresses that never leave this machine. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address);
}
