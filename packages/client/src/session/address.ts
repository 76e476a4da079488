import type { ServerAddress } from '../store/rows.ts';

const IPV4_LOOPBACK = /^127(?:\.\d{1,3}){3}$/;

/** `localhost` is what the machine's hosts file says; the transport looks at the address it got. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || IPV4_LOOPBACK.test(host);
}

/** For people. */
export function addressText({ host, port }: ServerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
