import { type Domain, type Result, reject } from '@norc/protocol/base';
import { type CheckedRoute, checkRoute } from '@norc/protocol/norc-f';

/**
 * Servers talk directly: who sends is who vouches. Nothing signs the earlier hops of a
 * longer route yet, so a peer could speak in another organisation's name by writing it
 * there; until origins sign what they send, such a route is refused [F-40].
 */
export function directRoute(route: readonly Domain[], peer: Domain, self: Domain): Result<CheckedRoute> {
  const checked = checkRoute(route, peer, self);
  if (checked.ok && checked.value.origin !== peer) return reject('forbidden', 'route with an unsigned origin');
  return checked;
}
