import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyParentHashes } from 'ts-mls/parentHash.js';
import { treeHash } from 'ts-mls/treeHash.js';
import { stateOf, suite } from '../../../tests/mls/forge.ts';
import { Simulation } from '../../../tests/mls/simulation.ts';
import { type RatchetTree, toNodeIndex } from './library.ts';
import { decodeTree, encodeTree } from './tree-codec.ts';
import { hashTree, leafRange, parentHash, rootHash } from './tree-hash.ts';
import { checkTree } from './tree-rules.ts';

async function treesOfARun(seed: string): Promise<RatchetTree[]> {
  const trees: RatchetTree[] = [];
  const collect = async () => (after: Parameters<typeof stateOf>[0]) =>
    void trees.push(stateOf(after).group.hashed.tree);
  await new Simulation(seed, { onCommit: collect }).run(40);
  return trees;
}

test("hashes of all subtrees are the library's, computed whole or from the tree before", async () => {
  let previous: ReturnType<typeof hashTree> | undefined;
  const trees = await treesOfARun('hashes');
  assert.ok(trees.length > 20);
  for (const tree of trees) {
    const whole = hashTree(suite, tree);
    const next = hashTree(suite, tree, previous);
    for (const index of tree.keys()) {
      assert.deepEqual(whole.hashes[index], await treeHash(tree, toNodeIndex(index), suite.impl.hash));
      assert.deepEqual(next.hashes[index], whole.hashes[index]);
    }
    previous = next;
  }
});

test('a tree that a change was made to is hashed anew exactly where it changed', async () => {
  const [tree] = (await treesOfARun('change')).slice(-1);
  assert.ok(tree);
  const before = hashTree(suite, tree);
  const index = tree.findIndex((node) => node !== undefined);
  const changed = tree.slice();
  changed[index] = undefined;
  const after = hashTree(suite, changed, before);
  assert.deepEqual(after.hashes, hashTree(suite, changed).hashes);
  assert.notDeepEqual(rootHash(after), rootHash(before));
});

test("the trees of honest groups pass every check, and the library's parent-hash check", async () => {
  const simulation = new Simulation('parents');
  await simulation.run(40);
  const [member] = simulation.members;
  assert.ok(member);
  const { group } = stateOf(member);
  assert.deepEqual(await checkTree(suite, hashTree(suite, group.hashed.tree), group.context), {
    ok: true,
    value: undefined,
  });
  assert.equal(await verifyParentHashes(group.hashed.tree, suite.impl.hash), true);
});

test('a changed parent, leaf or list of unmerged leaves fails the checks', async () => {
  const simulation = new Simulation('broken');
  await simulation.run(30);
  const [member] = simulation.members;
  assert.ok(member);
  const { group } = stateOf(member);
  const { tree } = group.hashed;
  const hashed = hashTree(suite, tree);
  for (const [index, node] of tree.entries()) {
    if (node?.nodeType !== 'parent') continue;
    const { parent } = node;
    for (const bent of [
      { ...parent, parentHash: new Uint8Array(32) },
      { ...parent, hpkePublicKey: suite.kem.generate(suite.random).publicKey },
      { ...parent, unmergedLeaves: [...parent.unmergedLeaves, 0, 0] },
      { ...parent, unmergedLeaves: [99] },
    ]) {
      const broken = tree.slice();
      broken[index] = { nodeType: 'parent', parent: bent };
      const again = hashTree(suite, broken, hashed);
      const context = { ...group.context, treeHash: rootHash(again) };
      assert.equal((await checkTree(suite, again, context)).ok, false, `node ${index}`);
    }
    assert.ok(parentHash(suite, hashed, index, index - 1).length === 32);
  }
});

test('a tree reads back as it was written, and only so', async () => {
  for (const tree of await treesOfARun('codec')) {
    const bytes = encodeTree(tree);
    const decoded = decodeTree(bytes);
    assert.ok(decoded.ok);
    assert.deepEqual(rootHash(hashTree(suite, decoded.value)), rootHash(hashTree(suite, tree)));
    assert.deepEqual(encodeTree(decoded.value), bytes);
  }
  const empty = decodeTree(Uint8Array.of(0));
  const blank = decodeTree(Uint8Array.of(1, 0));
  const presence = decodeTree(Uint8Array.of(1, 2));
  assert.deepEqual(
    [empty, blank, presence].map((r) => r.ok),
    [false, false, false],
  );
});

test('leaves below a node', () => {
  assert.deepEqual([0, 1, 3, 5, 7, 11].map(leafRange), [
    [0, 0],
    [0, 1],
    [0, 3],
    [2, 3],
    [0, 7],
    [4, 7],
  ]);
});
