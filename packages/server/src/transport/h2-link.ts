import {
  connect as connectHttp2,
  type Http2Session,
  type Http2Stream,
  performServerHandshake,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import { type Domain, invariant } from '@norc/protocol/base';
import { type Deadline, HandshakeDeadlines } from './deadlines.ts';
import { formatHostPort, LinkError } from './errors.ts';
import { type GuardedListener, listenGuarded } from './guarded-listener.ts';
import { H2Link, type LinkContext, type LinkParts } from './h2-connection.ts';
import { dialTls, type PinnedSocket } from './h2-dial.ts';
import {
  CLIENT_SESSION_OPTIONS,
  causeOfH2Code,
  destroySession,
  H2_ERROR,
  LINK_ALPN,
  PRIORITY_CLASSES,
  pathOf,
  priorityOf,
  SERVER_SESSION_OPTIONS,
} from './h2-settings.ts';
import { checkLinkLimits, LINK_LIMITS, type LinkLimits } from './limits.ts';
import type { LinkConnection, LinkHandler, LinkListener, LinkTransport, PriorityClass } from './port.ts';
import { TickQueue } from './tick.ts';
import { systemTimers, type Timers } from './timers.ts';
import { spkiSha256, type TlsIdentity } from './tls-identity.ts';
import { POST_QUANTUM_TLS, TLS_HANDSHAKE_MILLISECONDS_MAX } from './tls-options.ts';

export interface H2LinkOptions {
  /** Presented to peers that we dial, and to callers where `identityFor` is absent. */
  readonly identity: TlsIdentity;
  /**
   * Several organisations behind one port: the identity of the server name that a caller
   * asks for. A caller that asks for none, or for one that is not here, is refused.
   */
  readonly identityFor?: (serverName: string) => TlsIdentity | undefined;
  /** ALPN names to offer and accept, best first: follows the versions that the server speaks. */
  readonly alpn?: readonly string[];
  readonly limits?: Partial<LinkLimits>;
  readonly timers?: Timers;
  /** A fault of our own in a handler. By default it stops the process. */
  readonly onFault?: (fault: unknown) => void;
}

/** Node knows `sendDate`, its type does not. */
const RESPONSE_OPTIONS = { endStream: false, sendDate: false };

/** Links over HTTP/2 and mutual TLS 1.3 (spec/transport section 2). */
export function createH2LinkTransport(options: H2LinkOptions): LinkTransport {
  const context: LinkContext = {
    limits: checkLinkLimits({ ...LINK_LIMITS, ...options.limits }),
    timers: options.timers ?? systemTimers,
    tick: new TickQueue(),
    onFault: options.onFault ?? rethrow,
  };
  const alpn = options.alpn ?? LINK_ALPN;
  return {
    listen: async (endpoint, accept) => {
      const listener = new LinkServer({ ...options, alpn }, context, accept);
      const { host, port } = endpoint;
      return listener.start(await listenGuarded(host, port, context.limits, (socket) => listener.connected(socket)));
    },
    dial: (endpoint, serverName, pinnedSpkiHashes, handler) =>
      dialLink({ endpoint, serverName, identity: options.identity, alpn, pins: pinnedSpkiHashes }, context, handler),
  };
}

async function dialLink(
  dial: Parameters<typeof dialTls>[0],
  context: LinkContext,
  handler: (connection: LinkConnection) => LinkHandler,
): Promise<LinkConnection> {
  let socket: TLSSocket | undefined;
  let late = false;
  const cancel = context.timers.after(context.limits.connectMs, () => {
    late = true;
    socket?.destroy();
  });
  try {
    const pinned = await dialTls(dial, (opening) => {
      socket = opening;
    });
    return await openLink(pinned, dial.serverName, context, handler);
  } catch (error) {
    socket?.destroy();
    const place = formatHostPort(dial.endpoint.host, dial.endpoint.port);
    if (late) throw new LinkError('timeout', `no link to ${place} within ${context.limits.connectMs} ms`);
    if (error instanceof LinkError) throw error;
    throw new LinkError('unreachable', `no link to ${place}: the connection broke`, { cause: error });
  } finally {
    cancel();
  }
}

/** Opens the three streams and starts the link in the very turn in which the last one is answered: no event is missed. */
function openLink(
  pinned: PinnedSocket,
  serverName: Domain,
  context: LinkContext,
  handler: (connection: LinkConnection) => LinkHandler,
): Promise<LinkConnection> {
  const session = connectHttp2(`https://${serverName}`, {
    ...CLIENT_SESSION_OPTIONS,
    createConnection: () => pinned.socket,
  });
  return new Promise((resolve, reject) => {
    const refuse = (what: string) => reject(new LinkError('refused', `${serverName} turned the link away: ${what}`));
    session.on('error', () => reject(new LinkError('protocol', `${serverName} does not speak HTTP/2 as a link does`)));
    session.once('goaway', (code) => refuse(causeOfH2Code(code)));
    session.once('close', () => refuse('closed'));
    const streams = new Map<PriorityClass, Http2Stream>();
    for (const priority of PRIORITY_CLASSES) {
      const stream = session.request({ ':method': 'POST', ':path': pathOf(priority) }, { endStream: false });
      stream.on('error', () => {
        if (!session.destroyed) refuse('stream'); // otherwise the session says why
      });
      stream.once('response', (headers) => {
        if (headers[':status'] !== 200) {
          refuse('status');
          return;
        }
        streams.set(priority, stream);
        if (streams.size < PRIORITY_CLASSES.length) return;
        const link = new H2Link(linkParts(pinned, session, streams, serverName), context, ignore);
        link.start(handler(link));
        resolve(link);
      });
    }
  });
}

function linkParts(
  pinned: PinnedSocket,
  session: Http2Session,
  streams: ReadonlyMap<PriorityClass, Http2Stream>,
  serverName: string | undefined,
): LinkParts {
  const stream = (priority: PriorityClass) => {
    const found = streams.get(priority);
    invariant(found !== undefined, 'a complete link has a stream of each class');
    return found;
  };
  return {
    ...pinned,
    session,
    serverName,
    streams: { control: stream('control'), interactive: stream('interactive'), bulk: stream('bulk') },
  };
}

class LinkServer {
  readonly #context: LinkContext;
  readonly #accept: (connection: LinkConnection) => LinkHandler;
  readonly #deadlines: HandshakeDeadlines;
  readonly #tls: Server;
  readonly #needsServerName: boolean;
  readonly #links = new Set<H2Link>();
  #guard: GuardedListener | undefined;
  #closed: Promise<void> | undefined;
  #lastLinkEnded: (() => void) | undefined;

  constructor(
    options: H2LinkOptions & { readonly alpn: readonly string[] },
    context: LinkContext,
    accept: (connection: LinkConnection) => LinkHandler,
  ) {
    this.#context = context;
    this.#accept = accept;
    this.#deadlines = new HandshakeDeadlines(context.timers, context.limits.connectMs);
    this.#tls = createTls(options);
    this.#needsServerName = options.identityFor !== undefined;
    this.#tls.on('secureConnection', (socket: TLSSocket) => this.#secured(socket));
    this.#tls.on('tlsClientError', ignore); // Node has cut the connection; a scanner is no news
  }

  start(guard: GuardedListener): LinkListener {
    this.#guard = guard;
    return { endpoint: guard.address, close: () => this.close() };
  }

  connected(socket: Socket): void {
    this.#deadlines.start(socket);
    this.#tls.emit('connection', socket);
  }

  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    await this.#guard?.stop();
    const ended = new Promise<void>((resolve) => {
      this.#lastLinkEnded = resolve;
    });
    for (const link of this.#links) link.close();
    if (this.#links.size > 0) await ended;
    await this.#guard?.destroyAll(); // connections that never became a link
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignore); // the session reports it
    const deadline = this.#deadlines.of(socket);
    const certificate = socket.getPeerX509Certificate();
    const nameless = this.#needsServerName && serverNameOf(socket) === undefined;
    if (nameless || deadline === undefined || certificate === undefined || typeof socket.alpnProtocol !== 'string') {
      socket.destroy();
      return;
    }
    const pinned = { socket, peerSpkiHash: spkiSha256(certificate), alpn: socket.alpnProtocol };
    const session = performServerHandshake(socket, SERVER_SESSION_OPTIONS);
    session.on('error', ignore); // the link, or the end of the connection, tells
    const streams = new Map<PriorityClass, ServerHttp2Stream>();
    session.on('stream', (stream, headers) => {
      stream.on('error', ignore);
      const priority = headers[':method'] === 'POST' ? priorityOf(headers[':path']) : undefined;
      if (priority === undefined || streams.has(priority) || stream.endAfterHeaders) {
        destroySession(session, H2_ERROR.protocol); // also the first stream of a rapid-reset flood
        return;
      }
      streams.set(priority, stream);
      if (streams.size === PRIORITY_CLASSES.length) this.#complete(pinned, session, streams, deadline);
    });
  }

  #complete(
    pinned: PinnedSocket,
    session: Http2Session,
    streams: ReadonlyMap<PriorityClass, ServerHttp2Stream>,
    deadline: Deadline,
  ): void {
    deadline.cancel();
    const parts = linkParts(pinned, session, streams, serverNameOf(pinned.socket));
    const link = new H2Link(parts, this.#context, () => this.#forget(link));
    let handler: LinkHandler;
    try {
      handler = this.#accept(link);
    } catch (fault) {
      pinned.socket.destroy();
      this.#context.onFault(fault);
      return;
    }
    this.#links.add(link);
    for (const stream of streams.values()) stream.respond({ ':status': 200 }, RESPONSE_OPTIONS);
    link.start(handler);
    if (this.#closed !== undefined) link.close();
  }

  #forget(link: H2Link): void {
    this.#links.delete(link);
    if (this.#links.size === 0) this.#lastLinkEnded?.();
  }
}

function serverNameOf(socket: TLSSocket): string | undefined {
  return typeof socket.servername === 'string' && socket.servername !== '' ? socket.servername : undefined;
}

function createTls(options: H2LinkOptions & { readonly alpn: readonly string[] }): Server {
  const { identity, identityFor } = options;
  return createServer({
    ...POST_QUANTUM_TLS,
    key: identity.keyPem,
    cert: identity.certPem,
    ALPNProtocols: [...options.alpn],
    requestCert: true,
    rejectUnauthorized: false, // self-signed on purpose: the handler decides by the key's hash
    handshakeTimeout: TLS_HANDSHAKE_MILLISECONDS_MAX,
    ...(identityFor !== undefined && { SNICallback: sniCallback(identityFor) }),
  });
}

type SniCallback = (serverName: string, done: (error: Error | null, context?: SecureContext) => void) => void;

function sniCallback(identityFor: (serverName: string) => TlsIdentity | undefined): SniCallback {
  const contexts = new WeakMap<TlsIdentity, SecureContext>();
  return (serverName, done) => {
    const identity = identityFor(serverName);
    if (identity === undefined) {
      done(new Error('no organisation of this name is here'));
      return;
    }
    const context =
      contexts.get(identity) ??
      createSecureContext({ ...POST_QUANTUM_TLS, key: identity.keyPem, cert: identity.certPem });
    contexts.set(identity, context);
    done(null, context);
  };
}

function rethrow(fault: unknown): void {
  setImmediate(() => {
    throw fault;
  });
}

function ignore(): void {}
