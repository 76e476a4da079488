import { request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Domain } from '@norc/protocol/base';
import { isPublicAddress } from './addresses.ts';
import type { Timers } from './timers.ts';

const PATH = '/.well-known/norc-trust';
const BYTES_MAX = 64 * 1024;
const TIME_MS_MAX = 5_000;
const HEADER_BYTES_MAX = 16 * 1024;

export interface WellKnownQuestion {
  readonly domain: Domain;
  /** Where the domain's name points; nothing else is asked. */
  readonly addresses: readonly string[];
  /** Which of them may be reached; public ones when absent. */
  readonly allowed?: (address: string) => boolean;
  readonly port: number;
  /** Certificate authorities (PEM) instead of the system's. */
  readonly ca?: string;
  readonly timers: Timers;
}

/**
 * Body of https://DOMAIN/.well-known/norc-trust, or `undefined` when it cannot be had:
 * no web server, a certificate that is not valid for the domain, another status than
 * 200, more than 64 KiB or 5 seconds, an address that may not be reached. Redirects are not followed: who controls the
 * target of a redirect has not shown control of the domain.
 */
export function fetchWellKnown(question: WellKnownQuestion): Promise<string | undefined> {
  const addresses = question.addresses.filter(question.allowed ?? isPublicAddress);
  if (addresses.length === 0) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const call = request({
      host: question.domain,
      servername: question.domain,
      port: question.port,
      path: PATH,
      lookup: fixedLookup(addresses),
      agent: false,
      maxHeaderSize: HEADER_BYTES_MAX,
      headers: { accept: 'text/plain', 'accept-encoding': 'identity' },
      minVersion: 'TLSv1.2',
      ...(question.ca !== undefined && { ca: question.ca }),
    });
    const cancel = question.timers.after(TIME_MS_MAX, () => finish(undefined));
    const finish = (body: string | undefined) => {
      cancel();
      call.destroy();
      resolve(body);
    };
    call.on('error', () => finish(undefined));
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      if (response.statusCode !== 200) finish(undefined);
      response.on('error', () => finish(undefined));
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > BYTES_MAX) finish(undefined);
        else chunks.push(chunk);
      });
      response.on('end', () => finish(decodeText(Buffer.concat(chunks))));
    });
    call.end();
  });
}

/** The addresses that were resolved before, so that the configured name servers count here too. */
function fixedLookup(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_hostname, options, done) => {
    if (options.all === true) done(null, found);
    else done(null, found[0]?.address ?? '', found[0]?.family);
  };
}

function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
