import assert from 'node:assert/strict';
import { test } from 'node:test';
import { comparePolicies, defaultPolicy, type Finding, loosens, type TrustAnchor } from '@norc/protocol/norc-t';
import fc from 'fast-check';
import { anchor, chainMaterial, findingFor, POLICY_1, POLICY_2, question, world } from './evidence.fixture.ts';
import { checkX509 } from './x509.ts';

/** All of one root: what differs is what the policy says of it. */
const ANCHORS: readonly TrustAnchor[] = [
  anchor({ name: 'a pki', purpose: 'pki' }),
  anchor({ name: 'b pki', purpose: 'pki', policies: [POLICY_1] }),
  anchor({ name: 'c nato', purpose: 'nato', policies: [POLICY_1] }),
  anchor({ name: 'd nato', purpose: 'nato', policies: [POLICY_2], revocationUnknown: 'fail' }),
  anchor({ name: 'e organisation', purpose: 'organisation' }),
];
const MATERIAL = [
  [chainMaterial('good')],
  [chainMaterial('policy-explicit-kept')],
  [chainMaterial('policy-mapped'), chainMaterial('good', { crls: ['sub', 'root'] })],
  [chainMaterial('good', { crls: ['sub', 'root'] }), chainMaterial('policy-explicit-kept')],
];
const LEVELS = ['classified', 'nato'] as const;

const checked = new Map<string, Promise<readonly Finding[]>>();

/** Each question is asked once. */
function find(anchors: readonly TrustAnchor[], chains: number, level: (typeof LEVELS)[number]) {
  const key = `${anchors.map(({ name }) => name).join(',')} ${chains} ${level}`;
  const known = checked.get(key) ?? checkX509(world({ anchors }), question(MATERIAL[chains] ?? [], { level }));
  checked.set(key, known);
  return known;
}

test('[EVID-15] an authority that is struck off the policy never makes a chain worth more', async () => {
  const subset = fc.subarray([...ANCHORS], { minLength: 1 });
  const property = fc.asyncProperty(
    subset.chain((more) => fc.tuple(fc.constant(more), fc.subarray(more))),
    fc.nat(MATERIAL.length - 1),
    fc.constantFrom(...LEVELS),
    async ([more, fewer], chains, level) => {
      assert.equal(
        loosens(comparePolicies(defaultPolicy({ anchors: more }), defaultPolicy({ anchors: fewer }))),
        false,
      );
      const [before, after] = [await find(more, chains, level), await find(fewer, chains, level)];
      for (const kind of ['organisation_identity', 'pki_chain'] as const) {
        const [was, is] = [findingFor(before, kind), findingFor(after, kind)];
        if (is.result !== 'held') continue;
        assert.equal(was.result, 'held');
        assert.ok(was.weight >= is.weight, `${kind} weighs ${is.weight} instead of ${was.weight}`);
        if (is.method === 'nato') assert.equal(was.method, 'nato', kind);
      }
    },
  );
  await fc.assert(property, { numRuns: 150 });
});

test('[EVID-15] a chain that NATO and another authority accept is one of NATO, for the weight that either gives', async () => {
  const anchors = [anchor({ name: 'a pki' }), anchor({ name: 'b nato', purpose: 'nato', policies: [POLICY_1] })];
  const chains = [chainMaterial('policy-explicit-kept'), chainMaterial('good', { crls: ['sub', 'root'] })];
  const found = findingFor(await checkX509(world({ anchors }), question(chains)), 'pki_chain');
  assert.deepEqual([found.method, found.weight], ['nato', 1]);
});
