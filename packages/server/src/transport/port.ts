import type { Domain } from '@norc/protocol/base';

/** One device's connection: ordered messages in, ordered messages out. */
export interface DeviceSocket {
  readonly remoteAddress: string;
  /** Negotiated subprotocol (spec/norc-c section 1), or empty. */
  readonly subprotocol: string;
  readonly path: '/norc-c' | '/ws';
  /** Host that the client asked for (HTTP Host header, without port, lower case): picks one of several organisations. */
  readonly host?: string;
  /** Text for hellos, bytes for frames. Writes of one tick share one system call. */
  send(message: string | Uint8Array): void;
  /** Bytes accepted by `send` that the network has not taken. */
  readonly bufferedBytes: number;
  /** WebSocket close code and a reason that names a registry error, never more. */
  close(code: number, reason: string): void;
}

export interface DeviceSocketHandler {
  /** The bytes are the handler's to keep; it never gets a call after `close` or `closed`. */
  message(message: string | Uint8Array): void;
  /**
   * `false` while the device has not proven who it is. Until then the transport allows
   * it little memory and `handshakeMs` of time. Absent: only until the first message.
   */
  readonly authenticated?: boolean;
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
  /** The bytes are the handler's to keep. */
  frame(stream: LinkStream, frame: Uint8Array): void;
  /** `false` while the peer has not proven who it is: until then it gets small frames only. Absent: no such bound. */
  readonly authenticated?: boolean;
  /** No further calls follow. `cause` is for operators and users. */
  closed(cause: LinkCloseCause): void;
}

/**
 * closed: either side ended it in order. unreachable: no route, or the connection broke.
 * refused: nothing listens there, or the peer turned us away. tls: handshake, certificate
 * or pin. protocol: the peer broke HTTP/2 or the framing, or says that we did.
 * timeout: no answer, or the peer did not take our bytes.
 */
export type LinkCloseCause = 'closed' | 'unreachable' | 'refused' | 'tls' | 'protocol' | 'timeout';

/** A mutual TLS connection to one other server; its three streams open with it. */
export interface LinkConnection {
  /** SHA-256 of the peer's SubjectPublicKeyInfo, from the TLS handshake. */
  readonly peerSpkiHash: Uint8Array;
  readonly remoteAddress: string;
  /** The server name in the TLS handshake: dialed by us, or asked for by the peer, where one was given. */
  readonly serverName?: string;
  readonly alpn: string;
  readonly streams: Readonly<Record<PriorityClass, LinkStream>>;
  /**
   * Ends the link in order, after what waits to be sent; with `control-only` after what
   * waits on the control stream, so that a revocation goes out and nothing else does.
   * No frame is delivered any more.
   */
  close(waiting?: 'send' | 'control-only'): void;
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
   * Resolves when all three streams are open; rejects with LinkError (errors.ts),
   * and `handler` is then never called.
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
  /**
   * In order of preference: SRV priority, then weight. Empty when none is known. `isPinned`: we know the organisation's keys
   * and trust it; the addresses of any other lead to the public internet only.
   */
  federationEndpoints(domain: Domain, isPinned?: boolean): Promise<readonly LinkEndpoint[]>;
  /** TXT strings at `_norc-trust.DOMAIN`, each already joined. */
  trustTxt(domain: Domain): Promise<readonly string[]>;
  /** Body of https://DOMAIN/.well-known/norc-trust, or undefined. At most 64 KiB. */
  trustWellKnown(domain: Domain): Promise<string | undefined>;
}
