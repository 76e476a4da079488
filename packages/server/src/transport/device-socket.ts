import type { Socket } from 'node:net';
import type { ErrorName } from '@norc/protocol/base';
import type { WebSocket } from 'ws';
import type { DeviceLimits } from './limits.ts';
import type { DeviceSocket, DeviceSocketHandler } from './port.ts';
import type { Flushable, TickQueue } from './tick.ts';
import type { Timers } from './timers.ts';

/** WebSocket close codes (RFC 6455 section 7.4.1) that the transport itself uses. */
export const CLOSE = { goingAway: 1001, policy: 1008, tooBig: 1009, internal: 1011, tryAgainLater: 1013 } as const;

export interface DeviceRequest {
  readonly path: DeviceSocket['path'];
  readonly host: string;
  readonly remoteAddress: string;
}

export interface DeviceSocketContext {
  readonly limits: DeviceLimits;
  readonly timers: Timers;
  readonly tick: TickQueue;
  readonly onFault: (fault: unknown) => void;
}

/** One WebSocket connection with its bounds on memory and time. */
export class WsDeviceSocket implements DeviceSocket, Flushable {
  readonly remoteAddress: string;
  readonly subprotocol: string;
  readonly path: DeviceSocket['path'];
  readonly host: string;
  readonly #ws: WebSocket;
  readonly #net: Socket;
  readonly #context: DeviceSocketContext;
  #handler: DeviceSocketHandler | undefined;
  #corked = false;
  #closing = false;
  #heard = true;
  #gotMessage = false;
  #inputBytes = 0;
  #cancelDeadline: (() => void) | undefined;

  constructor(ws: WebSocket, net: Socket, request: DeviceRequest, context: DeviceSocketContext) {
    this.#ws = ws;
    this.#net = net;
    this.#context = context;
    this.remoteAddress = request.remoteAddress;
    this.path = request.path;
    this.host = request.host;
    this.subprotocol = ws.protocol;
  }

  /** Starts delivery. `cancelDeadline` ends the connection's handshake deadline, which this socket now owns. */
  attach(handler: DeviceSocketHandler, cancelDeadline: () => void, closed: () => void): void {
    this.#handler = handler;
    this.#cancelDeadline = cancelDeadline;
    const ws = this.#ws;
    ws.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary));
    ws.on('pong', () => {
      this.#heard = true;
    });
    ws.on('error', ignore); // ws closes by itself with the code that RFC 6455 asks for
    ws.once('close', () => {
      this.#closing = true;
      this.#liftLimits();
      closed();
      this.#guard(() => handler.closed());
    });
    this.#net.prependListener('data', this.#countInput);
  }

  send(message: string | Uint8Array): void {
    if (this.#closing) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#net.cork();
      this.#context.tick.add(this);
    }
    this.#ws.send(message, { binary: typeof message !== 'string', compress: false });
    this.#boundOutput();
  }

  flush(): void {
    this.#corked = false;
    this.#net.uncork();
  }

  get bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ws.close(code, reason);
    const cancel = this.#context.timers.after(this.#context.limits.closeMs, () => this.terminate());
    this.#ws.once('close', cancel);
  }

  /** Cuts the connection without a closing handshake. */
  terminate(): void {
    this.#closing = true;
    this.#ws.terminate();
  }

  /** True once the device may have all the memory and time that a member gets. */
  get proven(): boolean {
    return this.#handler?.authenticated ?? this.#gotMessage;
  }

  /** Asks a silent device for a sign of life; cuts one that gave none since the last call. */
  checkAlive(): void {
    if (!this.#heard) {
      this.terminate();
      return;
    }
    this.#heard = false;
    if (!this.#closing) this.#ws.ping();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#heard = true;
    this.#inputBytes = 0;
    this.#gotMessage = true;
    if (this.#closing) return;
    if (!isBinary && data.length > this.#context.limits.textBytesMax) {
      this.#refuse(CLOSE.tooBig, 'frame_too_large');
      return;
    }
    // A plain view: a Buffer's `slice` shares memory where a Uint8Array's copies.
    const message = isBinary ? new Uint8Array(data.buffer, data.byteOffset, data.length) : data.toString('utf8');
    this.#guard(() => this.#handler?.message(message));
    if (this.proven) this.#liftLimits();
  }

  readonly #countInput = (chunk: Buffer) => {
    this.#inputBytes += chunk.length;
    if (this.#inputBytes <= this.#context.limits.unprovenBytesMax) return;
    if (this.proven) this.#liftLimits();
    else this.terminate(); // a stranger's half message is not worth a close frame
  };

  #liftLimits(): void {
    if (this.#cancelDeadline === undefined) return;
    this.#cancelDeadline();
    this.#cancelDeadline = undefined;
    this.#net.removeListener('data', this.#countInput);
  }

  #boundOutput(): void {
    if (this.bufferedBytes > this.#context.limits.bufferedBytesMax) this.#refuse(CLOSE.tryAgainLater, 'queue_full');
  }

  #refuse(code: number, reason: ErrorName): void {
    this.close(code, reason);
  }

  /** A fault in a handler ends its own connection, never the server's others. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (fault) {
      this.close(CLOSE.internal, 'internal' satisfies ErrorName);
      this.#context.onFault(fault);
    }
  }
}

function ignore(): void {}
