import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type Domain, instant } from '@norc/protocol/base';
import { WebSocket } from 'ws';
import { ManualTimers } from './manual-timers.ts';
import type { DeviceListener, DeviceSocket } from './port.ts';
import { generateTlsIdentity } from './tls-identity.ts';
import { type DeviceListenerOptions, listenDevices } from './ws-server.ts';

/** Helpers of the transport tests; imported by tests only. */

export const ALPHA = 'alpha.example' as Domain; // a domain as parseDomain gives it
export const WORLD = {
  clock: { now: () => instant(Date.now()) },
  random: { bytes: (length: number) => Uint8Array.from(randomBytes(length)) },
};
export const IDENTITY = generateTlsIdentity(ALPHA, WORLD);
export const TLS = { byName: new Map(), otherwise: { key: IDENTITY.keyPem, cert: IDENTITY.certPem } };

export type Happening =
  | { readonly kind: 'open' }
  | { readonly kind: 'message'; readonly message: string | Uint8Array }
  | { readonly kind: 'closed' };

/** What one accepted device socket went through, with a way to wait for the next thing. */
export class AcceptedDevice {
  readonly socket: DeviceSocket;
  readonly messages: (string | Uint8Array)[] = [];
  authenticated: boolean | undefined;
  closed = false;
  onMessage: ((message: string | Uint8Array) => void) | undefined;
  #waiters: (() => void)[] = [];

  constructor(socket: DeviceSocket) {
    this.socket = socket;
  }

  message(message: string | Uint8Array): void {
    this.messages.push(message);
    this.#wake();
    this.onMessage?.(message);
  }

  end(): void {
    this.closed = true;
    this.#wake();
  }

  async until(condition: (device: this) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

export interface TestListener {
  readonly listener: DeviceListener;
  readonly timers: ManualTimers;
  readonly devices: AcceptedDevice[];
  readonly faults: unknown[];
  readonly url: string;
  /** The device that was accepted as number `index`, waiting for it if need be. */
  device(index: number): Promise<AcceptedDevice>;
}

export interface TestListenerOptions extends Partial<DeviceListenerOptions> {
  /** The handler tells whether the device is authenticated (`AcceptedDevice.authenticated`). */
  readonly tellsAuthentication?: boolean;
  readonly accepting?: (device: AcceptedDevice) => void;
}

/** A listener on a free loopback port whose clock stands still; closed when the test ends. */
export async function startListener(t: TestContext, options: TestListenerOptions = {}): Promise<TestListener> {
  const timers = new ManualTimers();
  const devices: AcceptedDevice[] = [];
  const faults: unknown[] = [];
  let accepted: (() => void)[] = [];
  const defaults = { host: '127.0.0.1', port: 0, timers, onFault: (fault: unknown) => faults.push(fault) };
  const listener = await listenDevices({ ...defaults, ...options }, (socket) => {
    const device = new AcceptedDevice(socket);
    devices.push(device);
    options.accepting?.(device);
    for (const wake of accepted.splice(0)) wake();
    accepted = [];
    const handler = {
      message: (message: string | Uint8Array) => device.message(message),
      closed: () => device.end(),
    };
    if (options.tellsAuthentication !== true) return handler;
    return Object.defineProperty(handler, 'authenticated', { get: () => device.authenticated ?? false });
  });
  t.after(async () => {
    const closing = listener.close();
    setImmediate(() => timers.advance(60_000));
    await closing;
  });
  const scheme = options.tls === undefined ? 'ws' : 'wss';
  const url = `${scheme}://127.0.0.1:${listener.address.port}`;
  const device = async (index: number) => {
    for (;;) {
      const found = devices[index];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => accepted.push(resolve));
    }
  };
  return { listener, timers, devices, faults, url, device };
}

/** A connected client; ended with the test. */
export async function openClient(
  t: TestContext,
  url: string,
  subprotocols: readonly string[] = [],
  options: ConstructorParameters<typeof WebSocket>[2] = {},
): Promise<WebSocket> {
  const client = new WebSocket(url, [...subprotocols], {
    rejectUnauthorized: false,
    perMessageDeflate: false,
    ...options,
  });
  t.after(() => client.terminate());
  await once(client, 'open');
  client.on('error', () => {});
  return client;
}

/** The close code and reason that a client is given. */
export async function closeOf(client: WebSocket): Promise<{ readonly code: number; readonly reason: string }> {
  const [code, reason] = (await once(client, 'close')) as [number, Buffer]; // the arguments of ws's event
  return { code, reason: reason.toString() };
}

/** The HTTP status that an upgrade is answered with, or 101. */
export function upgradeStatus(url: string, options: ConstructorParameters<typeof WebSocket>[2] = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const client = new WebSocket(url, options);
    client.once('unexpected-response', (_request, response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    client.once('open', () => {
      client.terminate();
      resolve(101);
    });
    client.once('error', reject);
  });
}

/** A TCP connection that speaks whatever the test writes; `closed` resolves when the far side ends it. */
export async function rawClient(
  t: TestContext,
  port: number,
): Promise<{ readonly socket: Socket; readonly closed: Promise<void> }> {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => {});
  await once(socket, 'connect');
  return { socket, closed };
}

/** A WebSocket spoken by hand, for what no library would send. */
export async function rawWebSocket(
  t: TestContext,
  port: number,
): Promise<{ readonly socket: Socket; readonly closed: Promise<void> }> {
  const raw = await rawClient(t, port);
  raw.socket.write(
    'GET /norc-c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  await once(raw.socket, 'data');
  return raw;
}

/** Header of a masked binary frame of `length` bytes with an all-zero mask. */
export function frameHeader(length: number, opcode = 0x82): Uint8Array {
  const header = Buffer.alloc(14);
  header[0] = opcode;
  header[1] = 0xff;
  header.writeBigUInt64BE(BigInt(length), 2);
  return header;
}
