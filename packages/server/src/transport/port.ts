import type { Domain } from '@norc/protocol/base';

/** One device's connection: ordered messages in, ordered messages out. */
export interface DeviceSocket {
  readonly remoteAddress: string;
  /** Negotiated subprotocol (spec/norc-c section 1), or empty. */
  readonly subprotocol: string;
  readonly path: '/norc-c' | '/ws';
  /** Text for hellos, bytes for frames. Writes of one tick share one system call. */
  send(message: string | Uint8Array): void;
  /** Bytes accepted by `send` that the network has not taken. */
  readonly bufferedBytes: number;
  /** WebSocket close code and a reason that names a registry error, never more. */
  close(code: number, reason: string): void;
}

export interface DeviceSocketHandler {
  message(message: string | Uint8Array): void;
  /** No further calls follow. */
  closed(): void;
}

export interface DeviceListener {
  readonly address: { readonly host: string; readonly port: number };
  /** Stops accepting, lets open connections finish closing. */
  close(): Promise<void>;
}

export type PriorityClass = 'control' | 'interactive' | 'bulk';

/** One ordered, flow-controlled, two-way sequence of length-prefixed frames. */
export interface LinkStream {
  readonly priority: PriorityClass;
  send(frame: Uint8Array): void;
  readonly bufferedBytes: number;
  /** Resolves when `bufferedBytes` has fallen below the stream's low-water mark, or the stream closed. */
  drained(): Promise<void>;
}

export interface LinkHandler {
  frame(stream: LinkStream, frame: Uint8Array): void;
  /** No further calls follow. `cause` is for operators and users: "refused", "unreachable", "certificate". */
  closed(cause: LinkCloseCause): void;
}

export type LinkCloseCause = 'closed' | 'unreachable' | 'refused' | 'tls' | 'protocol' | 'timeout';

/** A mutual TLS connection to one other server; its three streams open with it. */
export interface LinkConnection {
  /** SHA-256 of the peer's SubjectPublicKeyInfo, from the TLS handshake. */
  readonly peerSpkiHash: Uint8Array;
  readonly remoteAddress: string;
  readonly alpn: string;
  readonly streams: Readonly<Record<PriorityClass, LinkStream>>;
  close(): void;
}

export interface LinkEndpoint {
  readonly host: string;
  readonly port: number;
}

export interface LinkTransport {
  /** Listens; `accept` returns the handler of a new incoming connection. */
  listen(endpoint: LinkEndpoint, accept: (connection: LinkConnection) => LinkHandler): Promise<LinkListener>;
  /**
   * `pinnedSpkiHashes`: the peer's TLS keys named by its trust certificate; `'any'`
   * only for the trust exchange, which proves the peer's key itself (spec/norc-t).
   */
  dial(
    endpoint: LinkEndpoint,
    serverName: Domain,
    pinnedSpkiHashes: readonly Uint8Array[] | 'any',
    handler: (connection: LinkConnection) => LinkHandler,
  ): Promise<LinkConnection>;
}

export interface LinkListener {
  readonly endpoint: LinkEndpoint;
  close(): Promise<void>;
}

/** Where to find an organisation's server. Addresses only: never identity. */
export interface Resolver {
  /** In order of preference: SRV priority, then weight. Empty when none is known. */
  federationEndpoints(domain: Domain): Promise<readonly LinkEndpoint[]>;
  /** TXT strings at `_norc-trust.DOMAIN`, each already joined. */
  trustTxt(domain: Domain): Promise<readonly string[]>;
  /** Body of https://DOMAIN/.well-known/norc-trust, or undefined. At most 64 KiB. */
  trustWellKnown(domain: Domain): Promise<string | undefined>;
}
