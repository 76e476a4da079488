import { createHash } from 'node:crypto';
import { isIP, isIPv4, isIPv6, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { LIMITS } from '@norc/protocol/base';
import { type ClientOptions, WebSocket } from 'ws';
import { addressText } from '../../session/address.ts';
import type {
  ClientConnection,
  ClientTransport,
  TransportEnd,
  TransportHandler,
  TransportPeer,
} from '../../session/transport.ts';
import type { ServerAddress } from '../../store/rows.ts';

export interface WebSocketTransportOptions {
  /** PEM of certificate authorities to believe instead of this machine's. */
  readonly ca?: string;
  /** Plain WebSocket to other machines than this one. Everybody on the way then sees who talks when. */
  readonly allowPlain?: boolean;
}

/** Current one first (spec/transport section 1). */
const SUBPROTOCOLS = ['norc-c.v2', 'norc-c-json.v1'];
const PATH = '/norc-c';
/** Of a normal end (RFC 6455 section 7.4.1). */
const CLOSE_NORMAL = 1000;
const CLOSE_GRACE_MS = 2_000;

/** TLS 1.3 and the one hybrid group: there is no second one to be talked down to. */
const POST_QUANTUM_TLS = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ecdhCurve: 'X25519MLKEM768' } as const;

/** NORC-C over WebSocket on Node.js. */
export function webSocketTransport(options: WebSocketTransportOptions = {}): ClientTransport {
  return { connect: (address, handler) => new WsConnection(address, handler, options) };
}

class WsConnection implements ClientConnection {
  readonly #ws: WebSocket;
  readonly #handler: TransportHandler;
  readonly #allowPlain: boolean;
  #peer: TransportPeer | undefined;
  #cause: TransportEnd['cause'] = 'unreachable';
  #ended = false;

  constructor(address: ServerAddress, handler: TransportHandler, options: WebSocketTransportOptions) {
    this.#handler = handler;
    this.#allowPlain = options.allowPlain === true;
    const scheme = address.tls ? 'wss' : 'ws';
    this.#ws = new WebSocket(
      `${scheme}://${addressText(address)}${PATH}`,
      SUBPROTOCOLS,
      socketOptions(address, options),
    );
    this.#ws.on('upgrade', (response) => this.#upgraded(response.socket));
    this.#ws.on('open', () => this.#opened());
    this.#ws.on('message', (data: Buffer, isBinary) => this.#received(data, isBinary));
    this.#ws.on('error', (error) => this.#failed(error));
    this.#ws.on('close', (code, reason) => this.#closed(code, reason.toString('utf8')));
  }

  send(message: string | Uint8Array): void {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.send(message);
  }

  close(reason?: string): void {
    if (this.#ended) return;
    if (this.#ws.readyState !== WebSocket.OPEN) {
      this.#ws.terminate();
      return;
    }
    this.#ws.close(CLOSE_NORMAL, reason ?? '');
    // A peer that does not answer the close is not waited for.
    setTimeout(() => this.#ws.terminate(), CLOSE_GRACE_MS).unref();
  }

  #upgraded(socket: Socket): void {
    if (socket instanceof TLSSocket) this.#peer = tlsPeer(socket);
    // A name such as localhost is what a hosts file says: the address counts.
    else if (this.#allowPlain || isLoopback(socket.remoteAddress)) this.#peer = {};
  }

  #opened(): void {
    if (this.#peer === undefined || !SUBPROTOCOLS.includes(this.#ws.protocol)) {
      this.#cause = this.#peer === undefined ? 'tls' : 'unreachable';
      this.#ws.terminate();
      return;
    }
    this.#cause = 'closed';
    this.#handler.opened(this.#peer);
  }

  #received(data: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    // A plain view of memory of its own: `Buffer` differs in `slice`, and may be a piece of a pool.
    this.#handler.message(isBinary ? Uint8Array.from(data) : data.toString('utf8'));
  }

  #failed(error: Error): void {
    const code = 'code' in error ? String(error.code) : '';
    if (/SSL|TLS|CERT|^EPROTO$/.test(code)) this.#cause = 'tls';
  }

  #closed(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const cause = this.#cause === 'closed' && code === CLOSE_ABNORMAL ? 'unreachable' : this.#cause;
    this.#handler.closed(reason === '' ? { cause } : { cause, reason });
  }
}

/** The connection broke without a close frame. */
const CLOSE_ABNORMAL = 1006;

function socketOptions(address: ServerAddress, { ca }: WebSocketTransportOptions): ClientOptions {
  return {
    perMessageDeflate: false, // compression tells the length of secrets, and ciphertext does not shrink
    maxPayload: LIMITS.frameBytesMax,
    handshakeTimeout: LIMITS.handshakeMillisecondsMax,
    followRedirects: false,
    ...(address.tls ? tlsOptions(address.host, ca) : {}),
  };
}

/**
 * Any certificate gets as far as the hello: the organisation's own server certificate
 * may name its key (spec/device section 1), and that is known only then. Until it is
 * checked, the session says nothing but its hello.
 */
function tlsOptions(host: string, ca: string | undefined): ClientOptions {
  return {
    ...POST_QUANTUM_TLS,
    rejectUnauthorized: false,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
  };
}

function tlsPeer(socket: TLSSocket): TransportPeer | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  const spkiSha256 = Uint8Array.from(createHash('sha256').update(spki).digest());
  return { tls: { authorized: socket.authorized, spkiSha256 } };
}

function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return isIPv4(plain) ? plain.startsWith('127.') : isIPv6(plain) && plain === '::1';
}
