import { isIP } from 'node:net';
import { type Domain, parseDomain } from '@norc/protocol/base';
import type { LinkEndpoint, Resolver } from './port.ts';

/** NORC-F's port where nothing else is said. */
export const FEDERATION_PORT = 8843;

/** What an operator knows about another organisation without DNS. */
export interface StaticPeer {
  readonly domain: Domain;
  /** In order of preference. */
  readonly endpoints: readonly LinkEndpoint[];
  /** Stands for the TXT strings at `_norc-trust.DOMAIN`. */
  readonly trustTxt: readonly string[];
}

/** Answers from the configuration alone. */
export class StaticResolver implements Resolver {
  readonly #peers: ReadonlyMap<Domain, StaticPeer>;

  constructor(peers: readonly StaticPeer[]) {
    this.#peers = new Map(peers.map((peer) => [peer.domain, peer]));
  }

  async federationEndpoints(domain: Domain): Promise<readonly LinkEndpoint[]> {
    return this.#peers.get(domain)?.endpoints ?? [];
  }

  async trustTxt(domain: Domain): Promise<readonly string[]> {
    return this.#peers.get(domain)?.trustTxt ?? [];
  }

  async trustWellKnown(_domain: Domain): Promise<string | undefined> {
    return undefined;
  }
}

/** Asks each resolver in turn, for each question anew, until one knows something. */
export function combineResolvers(...resolvers: readonly Resolver[]): Resolver {
  async function firstList<T>(ask: (resolver: Resolver) => Promise<readonly T[]>): Promise<readonly T[]> {
    for (const resolver of resolvers) {
      const answer = await ask(resolver);
      if (answer.length > 0) return answer;
    }
    return [];
  }
  return {
    federationEndpoints: (domain, isPinned) => firstList((resolver) => resolver.federationEndpoints(domain, isPinned)),
    trustTxt: (domain) => firstList((resolver) => resolver.trustTxt(domain)),
    trustWellKnown: async (domain) => {
      for (const resolver of resolvers) {
        const body = await resolver.trustWellKnown(domain);
        if (body !== undefined) return body;
      }
      return undefined;
    },
  };
}

/**
 * `host`, `host:port`, `1.2.3.4:port` or `[::1]:port`; `undefined` for anything else.
 * Hosts are domain names or addresses, ports 1 to 65535.
 */
export function parseEndpoint(text: string, defaultPort = FEDERATION_PORT): LinkEndpoint | undefined {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(text);
  if (parts === null) return undefined;
  const [, address, name, digits] = parts;
  const port = digits === undefined ? defaultPort : Number(digits);
  if (port < 1 || port > 65_535) return undefined;
  if (address !== undefined) return isIP(address) === 6 ? { host: address.toLowerCase(), port } : undefined;
  const host = (name ?? '').toLowerCase();
  const looksNumeric = /^[\d.]+$/.test(host);
  const valid = looksNumeric ? isIP(host) === 4 : parseDomain(host).ok;
  return valid ? { host, port } : undefined;
}
