import type { IncomingHttpHeaders } from 'node:http';
import { isIPv4, isIPv6 } from 'node:net';

/**
 * Whether a web page from this origin may open a session. Programs that are no
 * browser send no Origin header. The page's own host counts only when it is an
 * address: a name can be made to point here by whoever owns it (DNS rebinding), so a
 * named origin must be in the operator's list.
 */
export function originAllowed(headers: IncomingHttpHeaders, allowed: readonly string[]): boolean {
  const origin = headers.origin;
  if (origin === undefined) return true;
  if (allowed.includes(origin)) return true;
  const parsed = URL.parse(origin);
  if (parsed === null || !isAddress(parsed.hostname)) return false;
  return parsed.host === headers.host?.toLowerCase();
}

function isAddress(hostname: string): boolean {
  return hostname === 'localhost' || isIPv4(hostname) || isIPv6(hostname.replace(/^\[|\]$/g, ''));
}
