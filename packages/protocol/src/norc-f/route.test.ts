import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Domain, LIMITS, parseDomain } from '@norc/protocol/base';
import fc from 'fast-check';
import { checkRoute, extendRoute, originRoute } from './index.ts';

const domains = ['a', 'b', 'c', 'd', 'e', 'f'].map((name): Domain => {
  const parsed = parseDomain(`${name}.example`);
  assert.ok(parsed.ok);
  return parsed.value;
});
const [a, b, c] = domains as [Domain, Domain, Domain];
const codeOf = (result: ReturnType<typeof checkRoute>) => (result.ok ? 'ok' : result.error.code);

test('[F-40] a route that starts at the peer is its own', () => {
  const route = checkRoute(originRoute(a), a, b);
  assert.ok(route.ok && route.value.origin === a);
});

test('[F-40] a peer cannot send under another name', () => {
  assert.equal(codeOf(checkRoute([a], b, c)), 'malformed');
  assert.equal(codeOf(checkRoute([a, b], a, c)), 'malformed');
  assert.equal(codeOf(checkRoute([], a, b)), 'malformed');
});

test('[F-41] a server twice in a route, or this one, is a loop', () => {
  assert.equal(codeOf(checkRoute([a, b, a], a, c)), 'loop');
  assert.equal(codeOf(checkRoute([c, a], a, c)), 'loop');
});

/** Sends along a walk of servers: how many of them took it, and what ended it. */
function walkOf(walk: readonly Domain[]): { readonly servers: number; readonly end: string } {
  let route = originRoute(walk[0] ?? a);
  for (let i = 1; ; i += 1) {
    const [previous, self, next] = [walk[i - 1] ?? a, walk[i], walk[i + 1]];
    if (self === undefined) return { servers: i, end: 'arrived' };
    const checked = checkRoute(route, previous, self);
    if (!checked.ok) return { servers: i, end: checked.error.code };
    assert.equal(checked.value.origin, walk[0]);
    if (next === undefined) continue;
    const extended = extendRoute(checked.value, self, next);
    if (!extended.ok) return { servers: i + 1, end: extended.error.code };
    route = extended.value;
  }
}

test('[F-41] [F-42] no walk of servers passes one twice, or more than hopsMax before its last', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...domains), { minLength: 2, maxLength: 12 }), (walk) => {
      const firstRepeat = walk.findIndex((domain, i) => walk.indexOf(domain) < i);
      const simple = firstRepeat === -1 ? walk.length : firstRepeat;
      const { servers, end } = walkOf(walk);
      assert.equal(servers, Math.min(simple, LIMITS.hopsMax + 1));
      if (simple > LIMITS.hopsMax + 1) assert.equal(end, 'ttl_expired');
      else if (simple === walk.length) assert.equal(end, 'arrived');
      else assert.ok(end === 'loop' || (end === 'ttl_expired' && simple > LIMITS.hopsMax));
    }),
  );
});
