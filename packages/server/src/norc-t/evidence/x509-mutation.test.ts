import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeX509Chain, encodeX509Chain, MATERIAL, type X509Chain } from '@norc/protocol/norc-t';
import fc from 'fast-check';
import { anchor, chainMaterial, findingFor, question, world } from './evidence.fixture.ts';
import { checkX509 } from './x509.ts';

const decoded = decodeX509Chain(chainMaterial('good', { crls: ['sub', 'root'], ocsp: ['good'] }).data);
assert.ok(decoded.ok);
const GOOD: X509Chain = decoded.value;
const STRICT = world({ anchors: [anchor({ revocationUnknown: 'fail' })] });

async function resultOf(chain: X509Chain): Promise<string> {
  const material = { kind: MATERIAL.x509Chain, data: encodeX509Chain(chain) };
  return findingFor(await checkX509(STRICT, question([material])), 'pki_chain').result;
}

const change = fc.record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }), cut: fc.boolean() });
type Change = { readonly at: number; readonly flip: number; readonly cut: boolean };

function changed(bytes: Uint8Array, { at, flip, cut }: Change): Uint8Array {
  const place = at % bytes.length;
  if (cut) return bytes.slice(0, place);
  const copy = Uint8Array.from(bytes);
  copy[place] = (copy[place] ?? 0) ^ flip;
  return copy;
}

const replaced = (list: readonly Uint8Array[] | undefined, index: number, one: Change): readonly Uint8Array[] =>
  (list ?? []).map((bytes, place) => (place === index ? changed(bytes, one) : bytes));

test('[EVID-12] no certificate survives a change, and none breaks the check', async () => {
  assert.equal(await resultOf(GOOD), 'held');
  const property = fc.asyncProperty(fc.nat(1), change, async (index, one) => {
    const result = await resultOf({ ...GOOD, certificates: replaced(GOOD.certificates, index, one) });
    assert.equal(result, 'failed');
  });
  await fc.assert(property, { numRuns: 120 });
});

test('[EVID-17] [EVID-18] a changed list or response makes nothing known, and breaks nothing', async () => {
  const { ocsp: _, ...lists } = GOOD;
  const { crls, ...response } = GOOD;
  assert.equal(await resultOf(lists), 'held');
  const byList = fc.asyncProperty(fc.nat(1), change, async (index, one) => {
    assert.equal(await resultOf({ ...lists, crls: replaced(crls, index, one) }), 'failed');
  });
  await fc.assert(byList, { numRuns: 50 });
  const root = crls?.slice(1) ?? [];
  assert.equal(await resultOf({ ...response, crls: root }), 'held');
  const byResponse = fc.asyncProperty(change, async (one) => {
    // Held is right when the change is in the responder's copies of other certificates or in what nobody reads.
    const result = await resultOf({ ...response, crls: root, ocsp: replaced(response.ocsp, 0, one) });
    assert.ok(result === 'failed' || result === 'held');
  });
  await fc.assert(byResponse, { numRuns: 50 });
});
