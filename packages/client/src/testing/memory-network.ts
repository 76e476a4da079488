import { addressText } from '../session/address.ts';
import type { ClientConnection, ClientTransport, TransportHandler, TransportPeer } from '../session/transport.ts';
import type { ServerAddress } from '../store/rows.ts';

/** The server's end of a connection in memory. */
export interface ServerSocket {
  send(message: string | Uint8Array): void;
  close(reason?: string): void;
}

export interface ServerSocketHandler {
  message(message: string | Uint8Array): void;
  closed(): void;
}

export type Accept = (socket: ServerSocket) => ServerSocketHandler;

/** Connections in memory: ordered, each message in a turn of its own, cut when a test says so. */
export class MemoryNetwork {
  readonly #servers = new Map<string, { readonly accept: Accept; readonly peer: TransportPeer }>();
  readonly #wires = new Set<Wire>();
  /** Messages that arrived, either way. */
  delivered = 0;
  /** Every connection breaks when so many messages have arrived. */
  cutAt: number | undefined;

  #count = (): void => {
    this.delivered += 1;
    if (this.delivered === this.cutAt) this.cut();
  };

  listen(address: ServerAddress, accept: Accept, peer: TransportPeer = {}): void {
    this.#servers.set(addressText(address), { accept, peer });
  }

  unlisten(address: ServerAddress): void {
    this.#servers.delete(addressText(address));
  }

  /** A machine's way into the network. */
  transport(): MemoryTransport {
    return new MemoryTransport(
      (address) => this.#servers.get(addressText(address)),
      (wire) => this.#wires.add(wire),
      this.#count,
    );
  }

  /** Every connection breaks. */
  cut(): void {
    for (const wire of [...this.#wires]) wire.break();
    this.#wires.clear();
  }
}

interface Listening {
  readonly accept: Accept;
  readonly peer: TransportPeer;
}

export class MemoryTransport implements ClientTransport {
  readonly #find: (address: ServerAddress) => Listening | undefined;
  readonly #added: (wire: Wire) => void;
  readonly #count: () => void;
  readonly #wires = new Set<Wire>();
  #dead = false;
  dials = 0;

  constructor(find: (address: ServerAddress) => Listening | undefined, added: (wire: Wire) => void, count: () => void) {
    this.#find = find;
    this.#added = added;
    this.#count = count;
  }

  connect(address: ServerAddress, handler: TransportHandler): ClientConnection {
    this.dials += 1;
    const wire = new Wire(handler, this.#count);
    if (!this.#dead) wire.open(this.#find(address));
    this.#wires.add(wire);
    this.#added(wire);
    return wire;
  }

  /** The machine's connections break; it may dial again. */
  cut(): void {
    for (const wire of this.#wires) wire.break();
    this.#wires.clear();
  }

  /** The machine stops: nothing reaches it any more, and nothing leaves it. */
  kill(): void {
    this.#dead = true;
    for (const wire of this.#wires) wire.die();
    this.#wires.clear();
  }
}

class Wire implements ClientConnection {
  readonly #client: TransportHandler;
  #server: ServerSocketHandler | undefined;
  #ended = false;
  #dead = false;

  readonly #count: () => void;

  constructor(client: TransportHandler, count: () => void) {
    this.#client = client;
    this.#count = count;
  }

  open(listening: Listening | undefined): void {
    this.#later(() => {
      if (this.#ended) return;
      if (listening === undefined) {
        this.#endClient('unreachable');
        return;
      }
      this.#server = listening.accept({
        send: (message) => this.#later(() => this.#deliver(message)),
        close: (reason) => this.#later(() => this.#endBoth('closed', reason)),
      });
      this.#client.opened(listening.peer);
    });
  }

  #deliver(message: string | Uint8Array): void {
    if (this.#ended || this.#dead) return;
    this.#client.message(message);
    this.#count();
  }

  send(message: string | Uint8Array): void {
    if (this.#ended || this.#dead) return;
    this.#later(() => {
      if (this.#ended) return;
      this.#server?.message(message);
      this.#count();
    });
  }

  close(): void {
    this.#later(() => this.#endBoth('closed'));
  }

  break(): void {
    this.#endBoth('unreachable');
  }

  die(): void {
    this.#dead = true;
    this.#endBoth('unreachable');
  }

  #endBoth(cause: 'closed' | 'unreachable', reason?: string): void {
    if (this.#ended) return;
    this.#server?.closed();
    this.#endClient(cause, reason);
  }

  #endClient(cause: 'closed' | 'unreachable', reason?: string): void {
    this.#ended = true;
    if (!this.#dead) this.#client.closed(reason === undefined ? { cause } : { cause, reason });
  }

  /** As from a real network: never inside the call that causes it. */
  #later(run: () => void): void {
    setImmediate(run);
  }
}
