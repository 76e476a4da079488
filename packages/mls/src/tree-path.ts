import {
  encodeParentHashInput,
  leafToNodeIndex,
  leafWidth,
  left,
  type Node,
  parent,
  type RatchetTree,
  resolution,
  right,
  root,
  toLeafIndex,
  toNodeIndex,
} from './library.ts';
import type { MlsSuite } from './suite.ts';
import { at, type HashedTree, leafRange } from './tree-hash.ts';

/** One node of a leaf's filtered direct path (RFC 9420 section 4.1.2), from the leaf upwards. */
export interface PathStep {
  readonly node: number;
  /** The child of `node` that is not on the path. */
  readonly copath: number;
  /** Nodes whose keys together reach everybody under `copath`; never empty. */
  readonly resolution: readonly number[];
}

export function filteredPath(tree: RatchetTree, leafIndex: number): PathStep[] {
  return structuralPath(tree, leafIndex)
    .map((step) => ({ ...step, resolution: resolution(tree, toNodeIndex(step.copath)) }))
    .filter((step) => step.resolution.length > 0);
}

function structuralPath(tree: RatchetTree, leafIndex: number): { readonly node: number; readonly copath: number }[] {
  const width = leafWidth(tree.length);
  const top = root(width);
  const steps: { node: number; copath: number }[] = [];
  let child = leafToNodeIndex(toLeafIndex(leafIndex));
  while (child !== top) {
    const node = parent(child, width);
    steps.push({ node, copath: child < node ? right(node) : left(node) });
    child = node;
  }
  return steps;
}

export interface PlacedPath {
  /** The sender's leaf is still the old one: it carries `leafParentHash`, so it is made after this. */
  readonly tree: RatchetTree;
  readonly leafParentHash: Uint8Array;
}

/**
 * Puts new public keys on a sender's filtered direct path and computes the parent
 * hashes along it, root first (RFC 9420 sections 7.5 and 7.9). Sender and receivers
 * use the same function, so they cannot differ.
 *
 * @param keys One per step of `filteredPath(after.tree, sender)`.
 */
export function placePath(
  suite: MlsSuite,
  after: HashedTree,
  sender: number,
  steps: readonly PathStep[],
  keys: readonly Uint8Array[],
): PlacedPath {
  const tree = after.tree.slice();
  for (const { node } of structuralPath(after.tree, sender)) tree[node] = undefined;
  let above = new Uint8Array(0); // the root-most node's parent hash is empty
  for (const [i, step] of [...steps.entries()].reverse()) {
    const hpkePublicKey = at(keys, i);
    tree[step.node] = { nodeType: 'parent', parent: { hpkePublicKey, parentHash: above, unmergedLeaves: [] } };
    above = suite.hash(
      encodeParentHashInput({
        encryptionKey: hpkePublicKey,
        parentHash: above,
        originalSiblingTreeHash: at(after.hashes, step.copath),
      }),
    ) as Uint8Array<ArrayBuffer>; // a fresh hash value
  }
  return { tree, leafParentHash: above };
}

/** Those of a resolution that a path secret is encrypted to: not the leaves that the same commit adds. */
export function recipients(step: PathStep, newNodes: ReadonlySet<number>): readonly number[] {
  return newNodes.size === 0 ? step.resolution : step.resolution.filter((node) => !newNodes.has(node));
}

/** Whether the subtree at `node` holds the leaf. */
export function covers(node: number, leafIndex: number): boolean {
  const [first, last] = leafRange(node);
  return leafIndex >= first && leafIndex <= last;
}

export function publicKeyAt(tree: RatchetTree, index: number): Uint8Array | undefined {
  const node: Node | undefined = tree[index];
  if (node === undefined) return undefined;
  return node.nodeType === 'leaf' ? node.leaf.hpkePublicKey : node.parent.hpkePublicKey;
}
