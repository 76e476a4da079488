import { type Domain, LIMITS, ok, type Result, reject } from '../base/index.ts';

/**
 * Routes (spec/norc-f section 5): the servers that something passed, its origin
 * first, each server adding itself before it sends on.
 */

declare const checked: unique symbol;

/** Evidence that a received route keeps the rules. Only `checkRoute` makes one. */
export type CheckedRoute = { readonly origin: Domain; readonly domains: readonly Domain[] } & {
  readonly [checked]: true;
};

/**
 * Checks the route of something that the link to `peer` brought to `self`.
 * Errors: `malformed` when it is empty or its last server is not the peer (a peer
 * cannot pass off as another's what it sends); `loop` when a server, or this one,
 * is in it twice; `ttl_expired` when it passed too many.
 */
export function checkRoute(route: readonly Domain[], peer: Domain, self: Domain): Result<CheckedRoute> {
  const origin = route[0];
  if (origin === undefined || route.at(-1) !== peer) return reject('malformed', 'route');
  if (new Set(route).size !== route.length || route.includes(self)) return reject('loop', 'route');
  if (route.length > LIMITS.hopsMax) return reject('ttl_expired', 'route');
  return ok({ origin, domains: route } as CheckedRoute); // the checks above are what the type stands for
}

/** The route of what starts here. */
export function originRoute(self: Domain): readonly Domain[] {
  return [self];
}

/** The route under which `self` sends on to `next`. Errors: `loop`, `ttl_expired`. */
export function extendRoute(route: CheckedRoute, self: Domain, next: Domain): Result<readonly Domain[]> {
  if (route.domains.includes(next)) return reject('loop', 'route');
  if (route.domains.length >= LIMITS.hopsMax) return reject('ttl_expired', 'route');
  return ok([...route.domains, self]);
}
