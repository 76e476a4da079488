import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { ErrorName } from '@norc/protocol/base';
import { type WebSocket, WebSocketServer } from 'ws';
import { HandshakeDeadlines } from './deadlines.ts';
import { CLOSE, type DeviceSocketContext, WsDeviceSocket } from './device-socket.ts';
import { type GuardedListener, isLoopback, listenGuarded } from './guarded-listener.ts';
import { checkDeviceLimits, DEVICE_LIMITS, type DeviceLimits } from './limits.ts';
import { originAllowed } from './origin.ts';
import type { DeviceListener, DeviceSocket, DeviceSocketHandler } from './port.ts';
import { TickQueue } from './tick.ts';
import { every, systemTimers, type Timers } from './timers.ts';
import { POST_QUANTUM_TLS, TLS_HANDSHAKE_MILLISECONDS_MAX } from './tls-options.ts';

interface PemPair {
  readonly key: string;
  readonly cert: string;
}

/** Certificates in PEM, by the name that a client asks for (RFC 6066 section 3); without `otherwise`, other names are refused. */
export interface DeviceListenerTls {
  readonly byName: ReadonlyMap<string, PemPair>;
  readonly otherwise: PemPair | undefined;
}

export interface DeviceListenerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Without it the listener is plain WebSocket. */
  readonly tls?: DeviceListenerTls;
  /** Plain WebSocket on an address that others reach: only behind a proxy that does TLS. */
  readonly allowPlainNonLoopback?: boolean;
  /** Origins of web pages that may connect, for example `https://chat.example`. Programs that are no browser send none. */
  readonly allowedOrigins?: readonly string[];
  readonly limits?: Partial<DeviceLimits>;
  readonly timers?: Timers;
  /** A fault of our own in a handler. By default it stops the process. */
  readonly onFault?: (fault: unknown) => void;
}

/** In the server's order of preference (spec/transport section 1). */
export const DEVICE_SUBPROTOCOLS = ['norc-c.v2', 'norc-c-json.v1'] as const;

const PATHS: Readonly<Record<string, DeviceSocket['path']>> = { '/norc-c': '/norc-c', '/ws': '/ws' };
const HEADER_BYTES_MAX = 8 * 1024;
/** Parts that a message may come in. Ours come in one; a browser may split a large one. */
const FRAGMENTS_MAX = 256;
/** Pieces of one unfinished message: each costs memory beyond its bytes. */
const CHUNKS_MAX = 16 * 1024;
/** The sign-of-life check takes one of these parts at a time, so that ten thousand pings never stall the loop. */
const SWEEP_PARTS = 32;

/**
 * Listens for devices on WebSocket.
 * Throws RangeError for plain WebSocket on an address that others reach without the
 * explicit flag, and ListenError when the address cannot be had.
 */
export async function listenDevices(
  options: DeviceListenerOptions,
  accept: (socket: DeviceSocket) => DeviceSocketHandler,
): Promise<DeviceListener> {
  const plainAllowed = options.tls !== undefined || options.allowPlainNonLoopback === true;
  if (!plainAllowed && options.host !== 'localhost' && !isLoopback(options.host)) throw plainError(options.host);
  const listener = new WsListener(options, accept);
  const guard = await listenGuarded(options.host, options.port, listener.limits, (socket) =>
    listener.connected(socket),
  );
  if (!plainAllowed && !isLoopback(guard.address.host)) {
    await guard.stop(); // "localhost" is what the hosts file says, which may be anything
    throw plainError(guard.address.host);
  }
  listener.start(guard);
  return { address: guard.address, close: () => listener.close() };
}

function plainError(host: string): RangeError {
  return new RangeError(
    `plain WebSocket on ${host} would show everybody on the way who talks when: give a TLS certificate and key, ` +
      'listen on 127.0.0.1, or allow it explicitly behind a proxy that does TLS',
  );
}

class WsListener {
  readonly limits: DeviceLimits;
  readonly #options: DeviceListenerOptions;
  readonly #accept: (socket: DeviceSocket) => DeviceSocketHandler;
  readonly #timers: Timers;
  readonly #context: DeviceSocketContext;
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  readonly #deadlines: HandshakeDeadlines;
  readonly #parts: readonly Set<WsDeviceSocket>[] = Array.from({ length: SWEEP_PARTS }, () => new Set());
  #nextPart = 0;
  #sweepPart = 0;
  #guard: GuardedListener | undefined;
  #stopSweep: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  #openSockets = 0;
  #allClosed: (() => void) | undefined;

  constructor(options: DeviceListenerOptions, accept: (socket: DeviceSocket) => DeviceSocketHandler) {
    this.limits = checkDeviceLimits({ ...DEVICE_LIMITS, ...options.limits });
    this.#options = options;
    this.#accept = accept;
    this.#timers = options.timers ?? systemTimers;
    this.#deadlines = new HandshakeDeadlines(this.#timers, this.limits.handshakeMs);
    this.#context = {
      limits: this.limits,
      timers: this.#timers,
      tick: new TickQueue(),
      onFault: options.onFault ?? rethrow,
    };
    this.#http = createHttp(options);
    this.#webSockets = createWebSockets(this.limits);
    this.#http.on('request', answerRequest);
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#http.on('tlsClientError', ignore); // Node has cut the connection; a scanner is no news
    this.#http.on('clientError', (_error, socket) => socket.destroy());
  }

  start(guard: GuardedListener): void {
    this.#guard = guard;
    this.#stopSweep = every(this.#timers, this.limits.pingIntervalMs / SWEEP_PARTS, () => this.#sweep());
  }

  connected(socket: Socket): void {
    this.#deadlines.start(socket);
    this.#http.emit('connection', socket);
  }

  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    this.#stopSweep?.();
    await this.#guard?.stop();
    const open = this.#parts.flatMap((part) => [...part]);
    const finished = new Promise<void>((resolve) => {
      this.#allClosed = resolve;
    });
    for (const socket of open) socket.close(CLOSE.goingAway, 'shutting_down' satisfies ErrorName);
    if (this.#openSockets > 0) await finished;
    await this.#guard?.destroyAll(); // connections that never became a WebSocket
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', ignore);
    const path = PATHS[request.url ?? ''];
    if (path === undefined) refuseUpgrade(socket, '404 Not Found');
    else if (!originAllowed(request.headers, this.#options.allowedOrigins ?? []))
      refuseUpgrade(socket, '403 Forbidden');
    else if (this.#closed !== undefined) refuseUpgrade(socket, '503 Service Unavailable');
    else this.#webSockets.handleUpgrade(request, socket, head, (ws) => this.#open(ws, request, path));
  }

  #open(ws: WebSocket, request: IncomingMessage, path: DeviceSocket['path']): void {
    const net = request.socket;
    const deadline = this.#deadlines.of(net);
    if (deadline === undefined) {
      ws.terminate(); // the deadline has just passed
      return;
    }
    const device = new WsDeviceSocket(
      ws,
      net,
      { path, host: requestedHost(request), remoteAddress: net.remoteAddress ?? '' },
      this.#context,
    );
    deadline.mayStay = () => device.proven;
    const handler = this.#handlerFor(device);
    if (handler === undefined) return;
    const part = this.#parts[this.#nextPart] ?? new Set();
    this.#nextPart = (this.#nextPart + 1) % SWEEP_PARTS;
    part.add(device);
    this.#openSockets += 1;
    device.attach(
      handler,
      () => deadline.cancel(),
      () => {
        part.delete(device);
        this.#openSockets -= 1;
        if (this.#openSockets === 0) this.#allClosed?.();
      },
    );
  }

  #handlerFor(device: WsDeviceSocket): DeviceSocketHandler | undefined {
    try {
      return this.#accept(device);
    } catch (fault) {
      device.terminate();
      this.#context.onFault(fault);
      return undefined;
    }
  }

  #sweep(): void {
    const part = this.#parts[this.#sweepPart];
    this.#sweepPart = (this.#sweepPart + 1) % SWEEP_PARTS;
    for (const device of part ?? []) device.checkAlive();
  }
}

function createHttp(options: DeviceListenerOptions): Server {
  const http = { maxHeaderSize: HEADER_BYTES_MAX };
  if (options.tls === undefined) return createServer(http);
  const { byName, otherwise } = options.tls;
  return createTlsServer({
    ...http,
    ...POST_QUANTUM_TLS,
    ...otherwise,
    ...(byName.size === 0 ? {} : { SNICallback: chooseByName(options.tls) }),
    handshakeTimeout: TLS_HANDSHAKE_MILLISECONDS_MAX,
  });
}

/** A name that is not here gets no certificate, unless there is one for everybody: it must not learn who else is. */
function chooseByName({ byName, otherwise }: DeviceListenerTls) {
  const contextOf = (pair: PemPair) => createSecureContext({ ...POST_QUANTUM_TLS, ...pair });
  const contexts = new Map([...byName].map(([name, pair]) => [name, contextOf(pair)]));
  const other = otherwise === undefined ? undefined : contextOf(otherwise);
  return (serverName: string, done: (error: Error | null, context?: SecureContext) => void) => {
    const context = contexts.get(serverName.toLowerCase()) ?? other;
    if (context === undefined) done(new Error('no organisation of this name is here'));
    else done(null, context);
  };
}

function createWebSockets(limits: DeviceLimits): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false, // compression tells the length of secrets (CRIME), and ciphertext does not shrink
    maxPayload: limits.messageBytesMax,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: CHUNKS_MAX,
    handleProtocols: (offered) => DEVICE_SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
}

/** Health for load balancers; nothing else is here, and nothing says what runs here. */
function answerRequest(request: IncomingMessage, response: ServerResponse): void {
  response.sendDate = false;
  response.shouldKeepAlive = false;
  const healthy = request.url === '/healthz' && (request.method === 'GET' || request.method === 'HEAD');
  if (!healthy) {
    response.writeHead(404, { 'content-length': 0 }).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 2, 'cache-control': 'no-store' }).end('ok');
}

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function requestedHost(request: IncomingMessage): string {
  return (request.headers.host ?? '').toLowerCase().replace(/:\d+$/, '');
}

function rethrow(fault: unknown): void {
  setImmediate(() => {
    throw fault;
  });
}

function ignore(): void {}
