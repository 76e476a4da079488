import type { Http2Stream } from 'node:http2';
import { FrameReader, joinFrames, LENGTH_BYTES } from './frame-reader.ts';
import type { LinkLimits } from './limits.ts';
import type { LinkStream, PriorityClass } from './port.ts';
import type { Flushable, TickQueue } from './tick.ts';

/** What a stream tells its connection. */
export interface StreamEvents {
  /** What the peer may send in one frame now. */
  frameBytesMax(): number;
  frame(stream: H2LinkStream, frame: Uint8Array): void;
  /** The peer broke the framing. */
  broken(): void;
  /** More waits than the limit allows: the peer does not read. */
  overfull(): void;
  /** The peer has ended its direction. */
  ended(): void;
}

/**
 * One priority class of a link. Frames of one turn of the event loop, and all that
 * gather while HTTP/2 is still busy with the batch before, go out as one buffer.
 */
export class H2LinkStream implements LinkStream, Flushable {
  readonly priority: PriorityClass;
  readonly #stream: Http2Stream;
  readonly #limits: LinkLimits;
  readonly #tick: TickQueue;
  readonly #events: StreamEvents;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #inFlightBytes = 0;
  #scheduled = false;
  #closed = false;
  #endWhenFlushed = false;
  #drainWaiters: (() => void)[] = [];
  /** Batches that HTTP/2 has taken: a link that stands still shows in it. */
  batchesTaken = 0;

  constructor(priority: PriorityClass, stream: Http2Stream, limits: LinkLimits, tick: TickQueue, events: StreamEvents) {
    this.priority = priority;
    this.#stream = stream;
    this.#limits = limits;
    this.#tick = tick;
    this.#events = events;
  }

  /** Starts delivery: until then HTTP/2's flow control holds back what the peer sends. */
  start(): void {
    const reader = new FrameReader(this.#events.frameBytesMax, (frame) => this.#events.frame(this, frame));
    let faulty = false;
    this.#stream.on('data', (chunk: Buffer) => {
      if (faulty || this.#closed) return;
      faulty = reader.feed(chunk) !== undefined;
      if (faulty) this.#events.broken();
    });
    this.#stream.once('end', () => this.#events.ended());
  }

  send(frame: Uint8Array): void {
    if (frame.length === 0 || frame.length > this.#limits.frameBytesMax) {
      throw new RangeError(`a link frame has 1 to ${this.#limits.frameBytesMax} bytes`);
    }
    if (this.#closed || this.#endWhenFlushed) return;
    this.#waiting.push(frame);
    this.#waitingBytes += LENGTH_BYTES + frame.length;
    if (this.bufferedBytes > this.#limits.bufferedBytesMax) this.#events.overfull();
    else if (!this.#scheduled && this.#inFlightBytes === 0) {
      this.#scheduled = true;
      this.#tick.add(this);
    }
  }

  get bufferedBytes(): number {
    return this.#waitingBytes + this.#inFlightBytes;
  }

  drained(): Promise<void> {
    if (this.#closed || this.bufferedBytes < this.#limits.lowWaterBytes) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#closed || this.#inFlightBytes > 0) return;
    if (this.#waiting.length === 0) {
      if (this.#endWhenFlushed) this.#stream.end();
      return;
    }
    const batch = joinFrames(this.#takeBatch());
    this.#waitingBytes -= batch.length;
    this.#inFlightBytes = batch.length;
    this.#stream.write(batch, () => this.#batchTaken());
  }

  /** Sends what waits, then ends our direction. */
  end(): void {
    this.#endWhenFlushed = true;
    this.flush();
  }

  /** Forgets what waits. A batch that HTTP/2 holds already still goes out. */
  discard(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** Forgets everything: the connection is gone. */
  drop(): void {
    this.#closed = true;
    this.discard();
    this.#inFlightBytes = 0;
    this.#wakeDrained();
  }

  #takeBatch(): readonly Uint8Array[] {
    let bytes = 0;
    let count = 0;
    for (const frame of this.#waiting) {
      bytes += LENGTH_BYTES + frame.length;
      if (count > 0 && bytes > this.#limits.batchBytesMax) break;
      count += 1;
    }
    if (count < this.#waiting.length) return this.#waiting.splice(0, count);
    const all = this.#waiting;
    this.#waiting = [];
    return all;
  }

  #batchTaken(): void {
    if (this.#closed) return;
    this.batchesTaken += 1;
    this.#inFlightBytes = 0;
    this.flush();
    if (this.bufferedBytes < this.#limits.lowWaterBytes) this.#wakeDrained();
  }

  #wakeDrained(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const wake of waiters) wake();
  }
}
