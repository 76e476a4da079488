import { join } from 'node:path';
import { nodeClock } from '@norc/crypto/node';
import { type Domain, MESSAGE_TYPES } from '@norc/protocol/base';
import { openOrganisation } from '@norc/server';
import {
  createH2LinkTransport,
  type LinkConnection,
  type LinkListener,
  type PriorityClass,
  type TlsIdentity,
} from '@norc/server/transport';
import type { TestServer } from './servers.ts';

/** One frame as it went from server to server. What is in it stays sealed; its header says what kind it is. */
export interface TappedFrame {
  readonly from: Domain;
  readonly to: Domain;
  readonly priority: PriorityClass;
  /** Name in the registry, `hello`, or the number of a type that has none. */
  readonly type: string;
  readonly bytes: number;
}

const TYPE_AT = 1;
const OPENING_BRACE = 0x7b;
const NAMES = new Map<number, string>(Object.entries(MESSAGE_TYPES).map(([name, code]) => [code, name]));

/**
 * Stands between servers on their links, with the TLS keys of both sides, and writes down every frame
 * that goes by. It sees what anybody sees who broke TLS, which is less than what is in the frames.
 */
export class LinkTap {
  readonly frames: TappedFrame[] = [];
  readonly #identities = new Map<string, { readonly domain: Domain; readonly tls: TlsIdentity }>();
  readonly #listeners: LinkListener[] = [];
  readonly #open = new Set<LinkConnection>();

  /** Frames from now on. */
  get mark(): number {
    return this.frames.length;
  }

  /** Kinds of frames since a mark, each once with its direction, in order. */
  since(mark: number): readonly string[] {
    return [...new Set(this.frames.slice(mark).map(({ from, to, type }) => `${from} > ${to}: ${type}`))];
  }

  async learn(server: TestServer): Promise<void> {
    const { domain, folder } = server;
    const { tls, signer } = await openOrganisation(join(folder, domain), domain, nodeClock.now());
    signer.close();
    this.#identities.set(key(tls.spkiSha256), { domain, tls });
  }

  /** Listens in a server's place, where the others look for it. */
  async listen(server: TestServer): Promise<void> {
    const own = [...this.#identities.values()].find(({ domain }) => domain === server.domain);
    if (own === undefined) throw new RangeError('its keys were not learned');
    const transport = createH2LinkTransport({ identity: own.tls });
    const endpoint = { host: '127.0.0.1', port: server.reachedAt };
    this.#listeners.push(await transport.listen(endpoint, (connection) => this.#between(connection, server)));
  }

  async close(): Promise<void> {
    for (const connection of this.#open) connection.close();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  #between(incoming: LinkConnection, server: TestServer) {
    const caller = this.#identities.get(key(incoming.peerSpkiHash));
    const waiting: [PriorityClass, Uint8Array][] = [];
    let onward: LinkConnection | undefined;
    let ended = false;
    const end = () => {
      ended = true;
      for (const one of [incoming, onward]) {
        if (one === undefined) continue;
        one.close();
        this.#open.delete(one);
      }
    };
    this.#open.add(incoming);
    const from = caller?.domain ?? server.domain;
    if (caller === undefined) queueMicrotask(end);
    else {
      const transport = createH2LinkTransport({ identity: caller.tls, alpn: [incoming.alpn] });
      const endpoint = { host: '127.0.0.1', port: server.federationPort };
      transport
        .dial(endpoint, server.domain, 'any', () => ({
          authenticated: true,
          frame: ({ priority }, bytes) => {
            this.#write(server.domain, from, priority, bytes);
            if (!ended) incoming.streams[priority].send(bytes);
          },
          closed: end,
        }))
        .then((connection) => {
          onward = connection;
          this.#open.add(connection);
          if (ended) return end();
          for (const [priority, bytes] of waiting.splice(0)) connection.streams[priority].send(bytes);
        })
        .catch(end);
    }
    return {
      authenticated: true,
      frame: ({ priority }: { readonly priority: PriorityClass }, bytes: Uint8Array) => {
        this.#write(from, server.domain, priority, bytes);
        if (onward === undefined) waiting.push([priority, bytes]);
        else onward.streams[priority].send(bytes);
      },
      closed: end,
    };
  }

  #write(from: Domain, to: Domain, priority: PriorityClass, bytes: Uint8Array): void {
    const code = bytes[TYPE_AT] ?? 0;
    const type = bytes[0] === OPENING_BRACE ? 'hello' : (NAMES.get(code) ?? `type ${code.toString(16)}`);
    this.frames.push({ from, to, priority, type, bytes: bytes.length });
  }
}

function key(spkiSha256: Uint8Array): string {
  return Buffer.from(spkiSha256).toString('hex');
}
