import type { Http2Session, Http2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { errorCode } from './errors.ts';
import { causeOfH2Code, destroySession, H2_ERROR, PRIORITY_CLASSES, SESSION_WINDOW_BYTES } from './h2-settings.ts';
import { H2LinkStream } from './h2-stream.ts';
import type { LinkLimits } from './limits.ts';
import type { LinkCloseCause, LinkConnection, LinkHandler, LinkStream, PriorityClass } from './port.ts';
import type { TickQueue } from './tick.ts';
import { every, type Timers } from './timers.ts';

export interface LinkContext {
  readonly limits: LinkLimits;
  readonly timers: Timers;
  readonly tick: TickQueue;
  readonly onFault: (fault: unknown) => void;
}

export interface LinkParts {
  readonly session: Http2Session;
  readonly socket: TLSSocket;
  readonly streams: Readonly<Record<PriorityClass, Http2Stream>>;
  readonly peerSpkiHash: Uint8Array;
  readonly alpn: string;
  readonly serverName: string | undefined;
}

/** One open link, whichever side dialed. */
export class H2Link implements LinkConnection {
  readonly peerSpkiHash: Uint8Array;
  readonly remoteAddress: string;
  readonly alpn: string;
  readonly serverName?: string;
  readonly streams: Readonly<Record<PriorityClass, H2LinkStream>>;
  readonly #session: Http2Session;
  readonly #socket: TLSSocket;
  readonly #context: LinkContext;
  readonly #ended: () => void;
  #handler: LinkHandler | undefined;
  #stopPings: () => void = () => {};
  #cancelCut: () => void = () => {};
  #closing = false;
  #peerIsClosing = false;
  #openFromPeer: number = PRIORITY_CLASSES.length;
  #cause: LinkCloseCause | undefined;
  #pingUnanswered = false;
  #peerPings = 0;
  readonly #stalledAt = new Map<PriorityClass, number>();

  /** `ended` is called once, when nothing of the connection is left. */
  constructor(parts: LinkParts, context: LinkContext, ended: () => void) {
    this.peerSpkiHash = parts.peerSpkiHash;
    this.remoteAddress = parts.socket.remoteAddress ?? '';
    this.alpn = parts.alpn;
    if (parts.serverName !== undefined) this.serverName = parts.serverName;
    this.#session = parts.session;
    this.#socket = parts.socket;
    this.#context = context;
    this.#ended = ended;
    this.streams = {
      control: this.#linkStream('control', parts.streams.control),
      interactive: this.#linkStream('interactive', parts.streams.interactive),
      bulk: this.#linkStream('bulk', parts.streams.bulk),
    };
  }

  #linkStream(priority: PriorityClass, stream: Http2Stream): H2LinkStream {
    const broken = () => {
      // When the whole session goes, each of its streams does too: then the session says why.
      if (!this.#session.destroyed && !this.#closing) this.#fail(causeOfH2Code(stream.rstCode));
    };
    stream.on('error', broken);
    stream.once('close', broken);
    return new H2LinkStream(priority, stream, this.#context.limits, this.#context.tick, {
      frameBytesMax: () => this.#frameBytesMax(),
      frame: (from, frame) => this.#deliver(from, frame),
      broken: () => this.#fail('protocol', H2_ERROR.protocol),
      overfull: () => this.#fail('timeout', H2_ERROR.calm),
      ended: () => {
        if (!this.#session.destroyed && stream.rstCode === H2_ERROR.none) this.#peerEnded();
      },
    });
  }

  /** Starts delivery to `handler`. */
  start(handler: LinkHandler): void {
    this.#handler = handler;
    const session = this.#session;
    session.on('error', (error) => this.#fail(causeOfError(error)));
    session.on('goaway', (code) => {
      if (code === H2_ERROR.none) this.#peerCloses();
      else this.#fail(causeOfH2Code(code));
    });
    session.once('close', () => this.#gone());
    session.on('ping', () => this.#countPeerPing());
    session.on('remoteSettings', () => this.#countPeerPing());
    if (session.destroyed || this.#cause !== undefined) {
      this.#gone();
      return;
    }
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    this.#stopPings = every(this.#context.timers, this.#context.limits.pingIntervalMs, () => this.#checkAlive());
    for (const priority of PRIORITY_CLASSES) this.streams[priority].start();
  }

  /** Cut when the peer takes too long to end its side. */
  close(waiting: 'send' | 'control-only' = 'send'): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#stopPings();
    this.#cutLater();
    for (const priority of PRIORITY_CLASSES) {
      if (waiting === 'control-only' && priority !== 'control') this.streams[priority].discard();
      this.streams[priority].end();
    }
    if (!this.#session.destroyed) this.#session.close();
  }

  /** The peer is about to end: what it sent before is still on its way. */
  #peerCloses(): void {
    if (this.#closing || this.#peerIsClosing) return;
    this.#peerIsClosing = true;
    this.#cutLater();
  }

  #peerEnded(): void {
    this.#peerCloses();
    this.#openFromPeer -= 1;
    if (this.#openFromPeer === 0) this.close();
  }

  #cutLater(): void {
    this.#cancelCut();
    this.#cancelCut = this.#context.timers.after(this.#context.limits.closeMs, () => this.#socket.destroy());
  }

  #frameBytesMax(): number {
    const { frameBytesMax, unprovenFrameBytesMax } = this.#context.limits;
    return this.#handler?.authenticated === false ? Math.min(unprovenFrameBytesMax, frameBytesMax) : frameBytesMax;
  }

  #deliver(stream: LinkStream, frame: Uint8Array): void {
    if (this.#closing || this.#handler === undefined) return;
    try {
      this.#handler.frame(stream, frame);
    } catch (fault) {
      this.close(); // a fault in a handler ends its own link, never the server's others
      this.#context.onFault(fault);
    }
  }

  /** Ends at once; the first cause counts. `code` tells the peer why. */
  #fail(cause: LinkCloseCause, code: number = H2_ERROR.none): void {
    if (this.#cause !== undefined) return;
    this.#cause = this.#closing || this.#peerIsClosing ? 'closed' : cause;
    this.#closing = true;
    this.#stopPings();
    for (const priority of PRIORITY_CLASSES) this.streams[priority].drop();
    if (this.#session.destroyed) return;
    this.#cutLater();
    destroySession(this.#session, code);
  }

  #gone(): void {
    this.#fail('unreachable'); // nobody said why
    this.#cancelCut();
    this.#socket.destroy();
    const handler = this.#handler;
    this.#handler = undefined;
    if (handler === undefined) return;
    this.#ended();
    try {
      handler.closed(this.#cause ?? 'closed');
    } catch (fault) {
      this.#context.onFault(fault);
    }
  }

  #countPeerPing(): void {
    this.#peerPings += 1;
    if (this.#peerPings > this.#context.limits.peerPingsPerIntervalMax) this.#fail('protocol', H2_ERROR.calm);
  }

  #checkAlive(): void {
    if (this.#pingUnanswered || this.#standsStill()) {
      this.#fail('timeout', H2_ERROR.calm);
      return;
    }
    this.#peerPings = 0;
    this.#pingUnanswered = this.#session.ping((error) => {
      if (error === null) this.#pingUnanswered = false;
    });
  }

  /** A peer that answers pings but takes nothing from a stream for a whole interval holds our memory for nothing. */
  #standsStill(): boolean {
    let still = false;
    for (const priority of PRIORITY_CLASSES) {
      const { bufferedBytes, batchesTaken } = this.streams[priority];
      if (bufferedBytes === 0) {
        this.#stalledAt.delete(priority);
        continue;
      }
      still ||= this.#stalledAt.get(priority) === batchesTaken;
      this.#stalledAt.set(priority, batchesTaken);
    }
    return still;
  }
}

const UNREACHABLE = new Set(['ECONNRESET', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'ECONNABORTED']);

function causeOfError(error: unknown): LinkCloseCause {
  const code = errorCode(error) ?? '';
  if (UNREACHABLE.has(code)) return 'unreachable';
  return code === 'ETIMEDOUT' ? 'timeout' : 'protocol';
}
