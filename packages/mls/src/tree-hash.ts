import { InvariantError } from '@norc/protocol/base';
import {
  encodeLeafNodeHashInput,
  encodeParentHashInput,
  encodeParentNodeHashInput,
  isLeaf,
  left,
  type Node,
  nodeToLeafIndex,
  type ParentNode,
  type RatchetTree,
  right,
  toLeafIndex,
  toNodeIndex,
} from './library.ts';
import type { MlsSuite } from './suite.ts';

/** A ratchet tree with the hash of each of its subtrees (RFC 9420 section 7.8), by node index. */
export interface HashedTree {
  readonly tree: RatchetTree;
  readonly hashes: readonly Uint8Array[];
}

/**
 * Hashes every subtree. Subtrees that `previous` has at the same place, unchanged, keep
 * their hash: a commit then costs a path, not the whole tree. Trees are never changed
 * in place, so the same node object is the same node.
 */
export function hashTree(suite: MlsSuite, tree: RatchetTree, previous?: HashedTree): HashedTree {
  const hashes = new Array<Uint8Array>(tree.length);
  const kept = new Array<boolean>(tree.length);
  for (const index of bottomUp(tree.length)) {
    const leaf = isLeaf(toNodeIndex(index));
    const l = leaf ? index : left(toNodeIndex(index));
    const r = leaf ? index : right(toNodeIndex(index));
    const same = previous !== undefined && index < previous.tree.length && previous.tree[index] === tree[index];
    kept[index] = same && (leaf || (kept[l] === true && kept[r] === true));
    const known = kept[index] ? previous?.hashes[index] : undefined;
    hashes[index] =
      known ?? (leaf ? hashLeaf(suite, tree, index) : hashParent(suite, tree, index, at(hashes, l), at(hashes, r)));
  }
  return { tree, hashes };
}

/** Children before parents: a full binary tree in array form, level by level. */
function* bottomUp(width: number): Generator<number> {
  for (let step = 1; step <= width; step *= 2) {
    for (let index = step - 1; index < width; index += 2 * step) yield index;
  }
}

function hashLeaf(suite: MlsSuite, tree: RatchetTree, index: number): Uint8Array {
  const node = tree[index];
  const leafNode = node?.nodeType === 'leaf' ? node.leaf : undefined;
  const leafIndex = nodeToLeafIndex(toNodeIndex(index));
  return suite.hash(encodeLeafNodeHashInput({ nodeType: 'leaf', leafIndex, leafNode }));
}

function hashParent(
  suite: MlsSuite,
  tree: RatchetTree,
  index: number,
  leftHash: Uint8Array,
  rightHash: Uint8Array,
): Uint8Array {
  const parentNode = parentAt(tree, index);
  return suite.hash(encodeParentNodeHashInput({ nodeType: 'parent', parentNode, leftHash, rightHash }));
}

export function parentAt(tree: RatchetTree, index: number): ParentNode | undefined {
  const node: Node | undefined = tree[index];
  return node?.nodeType === 'parent' ? node.parent : undefined;
}

export function at<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw new InvariantError('tree index out of range');
  return value;
}

export function rootHash(hashed: HashedTree): Uint8Array {
  return at(hashed.hashes, (hashed.tree.length - 1) / 2);
}

/**
 * The parent hash that a child of `parentIndex` must carry, given that its sibling is
 * `siblingIndex` (RFC 9420 section 7.9): over the parent's key and its own parent hash,
 * and the sibling's subtree as it was before the parent's unmerged leaves were added.
 */
export function parentHash(suite: MlsSuite, hashed: HashedTree, parentIndex: number, siblingIndex: number): Uint8Array {
  const node = parentAt(hashed.tree, parentIndex);
  if (node === undefined) throw new InvariantError('parent hash of a blank node');
  return suite.hash(
    encodeParentHashInput({
      encryptionKey: node.hpkePublicKey,
      parentHash: node.parentHash,
      originalSiblingTreeHash: hashWithout(suite, hashed, siblingIndex, new Set(node.unmergedLeaves)),
    }),
  );
}

/** Hash of a subtree with these leaves blank, and out of every list of unmerged leaves. */
function hashWithout(suite: MlsSuite, hashed: HashedTree, index: number, leaves: ReadonlySet<number>): Uint8Array {
  if (!holdsAny(index, leaves)) return at(hashed.hashes, index);
  if (isLeaf(toNodeIndex(index))) {
    const leafIndex = toLeafIndex(index / 2);
    return suite.hash(encodeLeafNodeHashInput({ nodeType: 'leaf', leafIndex, leafNode: undefined }));
  }
  const leftHash = hashWithout(suite, hashed, left(toNodeIndex(index)), leaves);
  const rightHash = hashWithout(suite, hashed, right(toNodeIndex(index)), leaves);
  const node = parentAt(hashed.tree, index);
  const parentNode =
    node === undefined
      ? undefined
      : { ...node, unmergedLeaves: node.unmergedLeaves.filter((leaf) => !leaves.has(leaf)) };
  return suite.hash(encodeParentNodeHashInput({ nodeType: 'parent', parentNode, leftHash, rightHash }));
}

function holdsAny(index: number, leaves: ReadonlySet<number>): boolean {
  const [first, last] = leafRange(index);
  for (const leaf of leaves) if (leaf >= first && leaf <= last) return true;
  return false;
}

/** First and last leaf index of the subtree at `index`. */
export function leafRange(index: number): readonly [first: number, last: number] {
  let half = 0;
  for (let bits = index; (bits & 1) === 1; bits >>>= 1) half = 2 * half + 1;
  return [(index - half) / 2, (index + half) / 2];
}
