import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { type Domain, parseDomain } from '@norc/protocol/base';
import { isPublicAddress } from '../../transport/addresses.ts';
import type { Timers } from '../../transport/timers.ts';

/**
 * Fetches revocation lists and OCSP answers. The addresses come from certificates that strangers sent:
 * nothing of our own network may be reached, and nothing may cost more than a little.
 */

export const CRL_BYTES_MAX = 1_048_576;
export const OCSP_BYTES_MAX = 65_536;
const TIME_MS_MAX = 5_000;
const REDIRECTS_MAX = 2;
const HEADER_BYTES_MAX = 16_384;
const ADDRESS_LENGTH_MAX = 1024;
const PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

export interface FetchQuestion {
  readonly address: string;
  readonly bytesMax: number;
  readonly post?: { readonly type: string; readonly body: Uint8Array };
}

/** Undefined when it cannot be had, for whatever reason. Never rejects. */
export type CertificateFetch = (question: FetchQuestion) => Promise<Uint8Array | undefined>;

export interface FetchOptions {
  /** IP addresses of a host; empty or rejecting when there are none. */
  readonly addresses: (host: Domain) => Promise<readonly string[]>;
  readonly timers: Timers;
  /** Which addresses may be reached: public ones, unless the operator has authorities inside the own network. */
  readonly allowed?: (address: string) => boolean;
  /** Other ports than 80 and 443, for tests. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly timeMsMax?: number;
}

/**
 * HTTP and HTTPS only (lists and answers are signed, so plain HTTP is usual), the usual ports only, at most two
 * redirects. Each host is looked up first, and the connection goes to the very address that was looked at: a name
 * that later points elsewhere (DNS rebinding) changes nothing.
 */
export function createCertificateFetch(options: FetchOptions): CertificateFetch {
  return async (question) => {
    const end = performance.now() + (options.timeMsMax ?? TIME_MS_MAX);
    let address = question.address;
    for (let hop = 0; hop <= REDIRECTS_MAX; hop += 1) {
      const target = await targetOf(address, options).catch(() => undefined);
      const left = end - performance.now();
      if (target === undefined || left <= 0) return undefined;
      const answer = await once(target, question, options.timers, left);
      if (answer instanceof Uint8Array) return answer;
      if (answer === undefined || !URL.canParse(answer, address)) return undefined;
      address = new URL(answer, address).href;
    }
    return undefined;
  };
}

interface Target {
  readonly url: URL;
  readonly ip: string;
  readonly port: number;
}

async function targetOf(address: string, options: FetchOptions): Promise<Target | undefined> {
  if (address.length > ADDRESS_LENGTH_MAX || !URL.canParse(address)) return undefined;
  const url = new URL(address);
  const port = (options.ports ?? PORTS)[url.protocol];
  if (port === undefined || url.port !== '' || url.username !== '' || url.password !== '') return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const ip = isIP(host) !== 0 ? host : await lookUp(host, options);
  if (ip === undefined) return undefined;
  return allowed(options, ip) ? { url, ip, port } : undefined;
}

/** Undefined as soon as one of the addresses is a private one: a name that points at both is up to something. */
async function lookUp(host: string, options: FetchOptions): Promise<string | undefined> {
  const domain = parseDomain(host);
  if (!domain.ok) return undefined;
  const found = await options.addresses(domain.value);
  return found.every((address) => allowed(options, address)) ? found[0] : undefined;
}

const allowed = (options: FetchOptions, address: string): boolean => (options.allowed ?? isPublicAddress)(address);

/** The body, or where it says that the body is; undefined when there is none to be had. */
function once(
  target: Target,
  question: FetchQuestion,
  timers: Timers,
  timeMs: number,
): Promise<Uint8Array | string | undefined> {
  const { url, ip, port } = target;
  const { post, bytesMax } = question;
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const call = send({
      host: url.hostname,
      ...(url.protocol === 'https:' && isIP(url.hostname) === 0 ? { servername: url.hostname } : {}),
      port,
      path: `${url.pathname}${url.search}`,
      method: post === undefined ? 'GET' : 'POST',
      agent: false,
      maxHeaderSize: HEADER_BYTES_MAX,
      headers: {
        'accept-encoding': 'identity',
        ...(post === undefined ? {} : { 'content-type': post.type, 'content-length': post.body.length }),
      },
      lookup: (_host, options, done) =>
        options.all === true ? done(null, [{ address: ip, family: isIP(ip) }]) : done(null, ip, isIP(ip)),
    });
    const finish = (result: Uint8Array | string | undefined) => {
      cancel();
      call.destroy();
      resolve(result);
    };
    const cancel = timers.after(timeMs, () => finish(undefined));
    call.on('error', () => finish(undefined));
    call.on('response', (response) => {
      const status = response.statusCode ?? 0;
      // A request with a body is not sent to somebody else.
      if (status >= 301 && status <= 308 && post === undefined) return finish(response.headers.location);
      if (status !== 200) return finish(undefined);
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('error', () => finish(undefined));
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > bytesMax) finish(undefined);
        else chunks.push(chunk);
      });
      response.on('end', () => finish(Uint8Array.from(Buffer.concat(chunks))));
    });
    call.end(post?.body);
  });
}
