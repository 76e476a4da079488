import { type Result, reject, sameBytes, toHex } from '@norc/protocol/base';
import { checkLeaf, checkLifetimeRange, leafSignatureValid } from './leaf-rules.ts';
import {
  type GroupContext,
  isLeaf,
  type LeafNode,
  left,
  type ParentNode,
  type RatchetTree,
  resolution,
  right,
  toNodeIndex,
} from './library.ts';
import { TREE_NODES_MAX } from './profile.ts';
import type { MlsSuite } from './suite.ts';
import { type HashedTree, leafRange, parentAt, parentHash, rootHash } from './tree-hash.ts';
import { publicKeyAt } from './tree-path.ts';

const OK: Result<void> = { ok: true, value: undefined };

export function leafAt(tree: RatchetTree, leafIndex: number): LeafNode | undefined {
  const node = tree[2 * leafIndex];
  return node?.nodeType === 'leaf' ? node.leaf : undefined;
}

export function* leaves(tree: RatchetTree): Generator<readonly [leafIndex: number, leaf: LeafNode]> {
  for (let leafIndex = 0; 2 * leafIndex < tree.length; leafIndex += 1) {
    const leaf = leafAt(tree, leafIndex);
    if (leaf !== undefined) yield [leafIndex, leaf];
  }
}

/**
 * The checks of RFC 9420 section 12.4.3.1 on a tree that a peer gave, all but the
 * credentials. Before any hashing: `checkTreeStructure`.
 */
export async function checkTree(suite: MlsSuite, hashed: HashedTree, context: GroupContext): Promise<Result<void>> {
  if (!sameBytes(rootHash(hashed), context.treeHash)) return reject('malformed', 'tree: hash');
  const keys = checkUniqueKeys(suite, hashed.tree);
  if (!keys.ok) return keys;
  for (const [index, node] of hashed.tree.entries()) {
    if (node?.nodeType !== 'parent') continue;
    const valid = checkParent(suite, hashed, index, node.parent);
    if (!valid.ok) return valid;
  }
  for (const [leafIndex, leaf] of leaves(hashed.tree)) {
    const valid = await checkTreeLeaf(suite, leaf, context.groupId, leafIndex);
    if (!valid.ok) return valid;
  }
  return OK;
}

/** Leaves at even places and parents at odd ones, and not too many. */
export function checkTreeStructure(tree: RatchetTree): Result<void> {
  if (tree.length > TREE_NODES_MAX) return reject('limit_exceeded', 'tree: nodes');
  for (const [index, node] of tree.entries()) {
    if (node !== undefined && (node.nodeType === 'leaf') !== isLeaf(toNodeIndex(index))) {
      return reject('malformed', 'tree: structure');
    }
  }
  return OK;
}

function checkUniqueKeys(suite: MlsSuite, tree: RatchetTree): Result<void> {
  const encryptionKeys = new Set<string>();
  const signatureKeys = new Set<string>();
  let nodes = 0;
  let members = 0;
  for (const [index, node] of tree.entries()) {
    const key = publicKeyAt(tree, index);
    if (node === undefined || key === undefined) continue;
    nodes += 1;
    encryptionKeys.add(toHex(suite.hash(key)));
    if (node.nodeType === 'parent') continue;
    members += 1;
    signatureKeys.add(toHex(node.leaf.signaturePublicKey));
  }
  if (encryptionKeys.size !== nodes) return reject('malformed', 'tree: encryption key twice');
  if (signatureKeys.size !== members) return reject('malformed', 'tree: signature key twice');
  return OK;
}

async function checkTreeLeaf(
  suite: MlsSuite,
  leaf: LeafNode,
  groupId: Uint8Array,
  leafIndex: number,
): Promise<Result<void>> {
  // Update proposals are not part of the profile, so no leaf can come from one.
  if (leaf.leafNodeSource === 'update') return reject('malformed', 'leaf: source');
  const shape = checkLeaf(suite, leaf);
  if (!shape.ok) return shape;
  const lifetime = checkLifetimeRange(leaf); // not "now": a member may have joined long ago
  if (!lifetime.ok) return lifetime;
  const signed = await leafSignatureValid(suite, leaf, groupId, leafIndex);
  return signed ? OK : reject('signature_invalid', 'leaf');
}

function checkParent(suite: MlsSuite, hashed: HashedTree, index: number, node: ParentNode): Result<void> {
  if (!suite.kem.isPublicKey(node.hpkePublicKey)) return reject('malformed', 'tree: parent key');
  const unmerged = checkUnmergedLeaves(hashed.tree, index, node.unmergedLeaves);
  if (!unmerged.ok) return unmerged;
  return parentHashValid(suite, hashed, index, node) ? OK : reject('malformed', 'tree: parent hash');
}

/**
 * Each unmerged leaf is a member below the node, and every parent in between lists it
 * too. It may list others besides: the library (1.6.4) demands equal lists on the whole
 * path and so refuses ordinary groups.
 */
function checkUnmergedLeaves(tree: RatchetTree, index: number, unmerged: readonly number[]): Result<void> {
  const [first, last] = leafRange(index);
  let previous = -1;
  for (const leafIndex of unmerged) {
    const inside = leafIndex >= first && leafIndex <= last && leafIndex > previous;
    if (!inside || leafAt(tree, leafIndex) === undefined) return reject('malformed', 'tree: unmerged leaves');
    if (!listedBetween(tree, index, leafIndex)) return reject('malformed', 'tree: unmerged leaf is not listed below');
    previous = leafIndex;
  }
  return OK;
}

function listedBetween(tree: RatchetTree, top: number, leafIndex: number): boolean {
  let index = toNodeIndex(top);
  while (!isLeaf(index)) {
    const node = parentAt(tree, index);
    if (node !== undefined && !node.unmergedLeaves.includes(leafIndex)) return false;
    index = 2 * leafIndex < index ? left(index) : right(index);
  }
  return true;
}

/**
 * RFC 9420 section 7.9.2: some node D below carries this node's parent hash, and all
 * others that D's side resolves to are leaves that joined since.
 */
function parentHashValid(suite: MlsSuite, hashed: HashedTree, index: number, node: ParentNode): boolean {
  const l = left(toNodeIndex(index));
  const r = right(toNodeIndex(index));
  return sideValid(suite, hashed, index, node, l, r) || sideValid(suite, hashed, index, node, r, l);
}

function sideValid(
  suite: MlsSuite,
  hashed: HashedTree,
  index: number,
  node: ParentNode,
  child: number,
  sibling: number,
): boolean {
  const expected = parentHash(suite, hashed, index, sibling);
  const [first, last] = leafRange(child);
  const joined = new Set(node.unmergedLeaves.filter((leaf) => leaf >= first && leaf <= last).map((leaf) => 2 * leaf));
  const below = resolution(hashed.tree, toNodeIndex(child));
  const carrier = below.find((candidate) => !joined.has(candidate));
  if (carrier === undefined || below.length !== joined.size + 1) return false;
  const carried = parentHashOf(hashed.tree, carrier);
  return carried !== undefined && sameBytes(carried, expected);
}

function parentHashOf(tree: RatchetTree, index: number): Uint8Array | undefined {
  const node = tree[index];
  if (node?.nodeType === 'parent') return node.parent.parentHash;
  return node?.leaf.leafNodeSource === 'commit' ? node.leaf.parentHash : undefined;
}
