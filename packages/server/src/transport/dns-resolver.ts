import type { SrvRecord } from 'node:dns';
import { Resolver as NodeResolver } from 'node:dns/promises';
import { type Domain, parseDomain, type Random } from '@norc/protocol/base';
import { isPublicAddress } from './addresses.ts';
import { errorCode, ResolverError } from './errors.ts';
import type { LinkEndpoint, Resolver } from './port.ts';
import { FEDERATION_PORT } from './resolver.ts';
import { systemTimers, type Timers } from './timers.ts';
import { fetchWellKnown } from './well-known.ts';

export interface DnsResolverOptions {
  /** Name servers as `address` or `address:port`; the system's when empty or absent. */
  readonly servers?: readonly string[];
  /** Chooses among SRV records of one priority. */
  readonly random: Random;
  readonly timers?: Timers;
  /** Per question and try. */
  readonly timeoutMs?: number;
  readonly tries?: number;
  /** Which addresses of strangers may be reached: public ones, unless the operator's network has partners inside. */
  readonly allowed?: (address: string) => boolean;
  /** Port and certificate authorities (PEM) of the HTTPS proof, for tests; 443 and the system's when absent. */
  readonly wellKnown?: { readonly port?: number; readonly ca?: string };
}

const TIMEOUT_MS = 2_000;
const TRIES = 2;
const SRV_RECORDS_MAX = 16;
const ADDRESSES_PER_HOST_MAX = 4;
const TXT_STRINGS_MAX = 32;
const HTTPS_PORT = 443;
/** Below are the ports of other services, which expect other things than a link. */
const UNPRIVILEGED_PORT_MIN = 1024;

/**
 * Finds servers and domain proofs through DNS and HTTPS. Whoever owns the answers can
 * send us elsewhere, and no further: identity comes from pinned keys (spec/norc-t). A stranger, who needs no more than a name
 * to make us connect, can send us nowhere in our own network [TRANSPORT-19].
 * Rejects with ResolverError when DNS does not answer; "no such name" is an empty answer.
 */
export class DnsResolver implements Resolver {
  readonly #dns: NodeResolver;
  readonly #random: Random;
  readonly #timers: Timers;
  readonly #allowed: (address: string) => boolean;
  readonly #wellKnown: { readonly port: number; readonly ca?: string };

  constructor(options: DnsResolverOptions) {
    this.#dns = new NodeResolver({ timeout: options.timeoutMs ?? TIMEOUT_MS, tries: options.tries ?? TRIES });
    if (options.servers !== undefined && options.servers.length > 0) this.#dns.setServers(options.servers);
    this.#random = options.random;
    this.#timers = options.timers ?? systemTimers;
    this.#allowed = options.allowed ?? isPublicAddress;
    this.#wellKnown = { port: HTTPS_PORT, ...options.wellKnown };
  }

  async federationEndpoints(domain: Domain, isPinned = false): Promise<readonly LinkEndpoint[]> {
    const found = await this.#endpoints(domain);
    return isPinned ? found : found.filter(({ host, port }) => this.#allowed(host) && isLinkPort(port));
  }

  async #endpoints(domain: Domain): Promise<readonly LinkEndpoint[]> {
    const records = await this.#ask(`SRV of ${domain}`, () => this.#dns.resolveSrv(`_norc-federation._tcp.${domain}`));
    if (records.length === 0) return this.#endpointsOf(domain, FEDERATION_PORT);
    const endpoints: LinkEndpoint[] = [];
    for (const { name, port } of orderSrv(records.slice(0, SRV_RECORDS_MAX), this.#random)) {
      const target = parseDomain(name.toLowerCase().replace(/\.$/, ''));
      if (target.ok && port > 0) endpoints.push(...(await this.#endpointsOf(target.value, port)));
    }
    return endpoints; // empty for the target ".": the domain says that it has no such service (RFC 2782)
  }

  async trustTxt(domain: Domain): Promise<readonly string[]> {
    const records = await this.#ask(`TXT of ${domain}`, () => this.#dns.resolveTxt(`_norc-trust.${domain}`));
    return records.slice(0, TXT_STRINGS_MAX).map((parts) => parts.join(''));
  }

  async trustWellKnown(domain: Domain): Promise<string | undefined> {
    const addresses = await this.addresses(domain);
    return fetchWellKnown({ domain, addresses, timers: this.#timers, allowed: this.#allowed, ...this.#wellKnown });
  }

  async #endpointsOf(host: Domain, port: number): Promise<LinkEndpoint[]> {
    return (await this.addresses(host)).map((address) => ({ host: address, port }));
  }

  /** At most a few, IPv4 first. */
  async addresses(host: Domain): Promise<readonly string[]> {
    const [v4, v6] = await Promise.all([
      this.#ask(`A of ${host}`, () => this.#dns.resolve4(host)),
      this.#ask(`AAAA of ${host}`, () => this.#dns.resolve6(host)),
    ]);
    return [...v4.slice(0, ADDRESSES_PER_HOST_MAX), ...v6.slice(0, ADDRESSES_PER_HOST_MAX)];
  }

  async #ask<T>(what: string, question: () => Promise<T[]>): Promise<T[]> {
    try {
      return await question();
    } catch (cause) {
      const code = errorCode(cause) ?? 'unknown';
      if (NO_SUCH.has(code)) return [];
      throw new ResolverError(`DNS did not answer for ${what} (${code})`, { cause });
    }
  }
}

/** EBADNAME: the name with its prefix is longer than DNS allows, so nothing can be there. */
const NO_SUCH = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME']);

const isLinkPort = (port: number): boolean => port === HTTPS_PORT || port >= UNPRIVILEGED_PORT_MIN;

/** RFC 2782: lowest priority first; within one priority a draw by weight, each record once. */
export function orderSrv(records: readonly SrvRecord[], random: Random): readonly SrvRecord[] {
  const ordered: SrvRecord[] = [];
  const priorities = [...new Set(records.map((record) => record.priority))].sort((a, b) => a - b);
  for (const priority of priorities) {
    // Weight 0 comes first in the list, so that it is drawn only when the draw is 0.
    const left = records.filter((record) => record.priority === priority).sort((a, b) => a.weight - b.weight);
    while (left.length > 0) ordered.push(...left.splice(drawByWeight(left, random), 1));
  }
  return ordered;
}

function drawByWeight(records: readonly SrvRecord[], random: Random): number {
  const total = records.reduce((sum, record) => sum + record.weight, 0);
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4);
  const draw = (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) % (total + 1); // total is at most 16 * 65535: the bias is below 2^-11
  let sum = 0;
  return records.findIndex((record) => {
    sum += record.weight;
    return sum >= draw;
  });
}
