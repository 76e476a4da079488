import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { type Domain, sameBytes } from '@norc/protocol/base';
import { errorCode, formatHostPort, LinkError } from './errors.ts';
import type { LinkCloseCause, LinkEndpoint } from './port.ts';
import { spkiSha256, type TlsIdentity } from './tls-identity.ts';
import { POST_QUANTUM_TLS, TLS_GROUP } from './tls-options.ts';

export interface TlsDial {
  readonly endpoint: LinkEndpoint;
  readonly serverName: Domain;
  readonly identity: TlsIdentity;
  readonly alpn: readonly string[];
  readonly pins: readonly Uint8Array[] | 'any';
}

export interface PinnedSocket {
  readonly socket: TLSSocket;
  readonly peerSpkiHash: Uint8Array;
  readonly alpn: string;
}

/**
 * Connects and checks the peer's key before one byte of ours follows the TLS handshake.
 * `onSocket` gets the socket at once, so that the caller can cut it.
 * Certificates are self-signed on both sides: the pin takes the place of a CA's word.
 */
export function dialTls(dial: TlsDial, onSocket: (socket: TLSSocket) => void): Promise<PinnedSocket> {
  const { endpoint, serverName, identity, alpn } = dial;
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...POST_QUANTUM_TLS,
      host: endpoint.host,
      port: endpoint.port,
      ...(isIP(serverName) === 0 && { servername: serverName }), // RFC 6066 section 3: a name, never an address
      key: identity.keyPem,
      cert: identity.certPem,
      ALPNProtocols: [...alpn],
      rejectUnauthorized: false,
    });
    onSocket(socket);
    socket.setNoDelay(true);
    let connected = false;
    socket.once('connect', () => {
      connected = true;
    });
    const failed = (error: unknown) => reject(dialError(endpoint, causeOfDialError(error, connected), error));
    socket.once('error', failed);
    socket.once('close', () => failed(undefined));
    socket.once('secureConnect', () => {
      const checked = checkPeer(socket, dial);
      if (checked instanceof LinkError) {
        socket.destroy();
        reject(checked);
        return;
      }
      socket.removeListener('error', failed);
      resolve(checked); // its reader comes in the microtask that follows: before the next byte does
    });
  });
}

function checkPeer(socket: TLSSocket, dial: TlsDial): PinnedSocket | LinkError {
  const refuse = (cause: LinkCloseCause, what: string) =>
    new LinkError(cause, `${formatHostPort(dial.endpoint.host, dial.endpoint.port)} ${what}`);
  const key = socket.getEphemeralKeyInfo();
  const group = key !== null && 'name' in key ? key.name : undefined;
  if (socket.getProtocol() !== 'TLSv1.3' || group !== TLS_GROUP)
    return refuse('tls', `does not use TLS 1.3 with ${TLS_GROUP}`);
  if (typeof socket.alpnProtocol !== 'string') return refuse('protocol', 'does not speak NORC-F (no ALPN)');
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return refuse('tls', 'gave no certificate');
  const peerSpkiHash = spkiSha256(certificate);
  if (dial.pins !== 'any' && !dial.pins.some((pin) => sameBytes(pin, peerSpkiHash))) {
    return refuse('tls', `presents a TLS key that the trust certificate of ${dial.serverName} does not name`);
  }
  return { socket, peerSpkiHash, alpn: socket.alpnProtocol };
}

function dialError(endpoint: LinkEndpoint, cause: LinkCloseCause, error: unknown): LinkError {
  const code = errorCode(error) ?? 'connection closed';
  const place = formatHostPort(endpoint.host, endpoint.port);
  return new LinkError(cause, `no link to ${place}: ${cause} (${code})`, error === undefined ? {} : { cause: error });
}

const NO_ALPN = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';

/** `connected`: TCP was there, so that what failed is TLS. */
function causeOfDialError(error: unknown, connected: boolean): LinkCloseCause {
  const code = errorCode(error);
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'ETIMEDOUT') return 'timeout';
  if (code === NO_ALPN) return 'protocol';
  return connected ? 'tls' : 'unreachable';
}
