import type { ServerAddress } from '../store/rows.ts';

/**
 * How a session reaches its server: ordered messages, text for hellos and bytes for
 * frames. Implementations: platform/node/websocket.ts, and in memory for tests.
 */
export interface ClientTransport {
  /** Dials at once. Whatever happens is told to `handler`; this never throws for a peer's or a network's fault. */
  connect(address: ServerAddress, handler: TransportHandler): ClientConnection;
}

export interface TransportHandler {
  /** The connection is there. Called once at most, before any message. */
  opened(peer: TransportPeer): void;
  /** The bytes are the handler's to keep. */
  message(message: string | Uint8Array): void;
  /** The end, exactly once, also of a connection that never opened. No call follows. */
  closed(end: TransportEnd): void;
}

/** What the transport knows about who answered. It decides nothing: the session does (spec/device section 1). */
export interface TransportPeer {
  /** Absent for plain WebSocket. */
  readonly tls?: {
    /** Whether the certificate chains to a certificate authority of this machine, and is for this name. */
    readonly authorized: boolean;
    /** SHA-256 of the SubjectPublicKeyInfo of the key that the peer proved: 32 bytes. */
    readonly spkiSha256: Uint8Array;
  };
}

/**
 * unreachable: no route, nobody listens, or the connection broke. tls: no TLS 1.3
 * with the hybrid group came about. closed: either side ended it in order; `reason`
 * as the peer gave it, which proves nothing.
 */
export interface TransportEnd {
  readonly cause: 'unreachable' | 'tls' | 'closed';
  readonly reason?: string;
}

export interface ClientConnection {
  /** Does nothing once the connection has ended. */
  send(message: string | Uint8Array): void;
  /** `reason` names a registry error, never more. `closed` follows. */
  close(reason?: string): void;
}
