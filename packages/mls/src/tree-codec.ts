import { type Result, reject, sameBytes } from '@norc/protocol/base';
import { decodeNode, encodeNode, type RatchetTree } from './library.ts';
import { attempt } from './messages.ts';
import { TREE_NODES_MAX } from './profile.ts';
import { readAll, TlsFault, TlsReader, TlsWriter } from './tls.ts';
import { checkTreeStructure } from './tree-rules.ts';

/**
 * `optional<Node> ratchet_tree<V>` (RFC 9420 section 12.4.3.3), without the blank nodes
 * at the end. Written node by node: the library's encoder nests a call per node and
 * runs out of stack on a tree of ten thousand.
 */
export function encodeTree(tree: RatchetTree): Uint8Array {
  let last = tree.length - 1;
  while (last >= 0 && tree[last] === undefined) last -= 1;
  const nodes = new TlsWriter(4096);
  for (const node of tree.slice(0, last + 1)) {
    nodes.optional(node !== undefined);
    if (node !== undefined) nodes.fixed(encodeNode(node));
  }
  const encoded = nodes.finish();
  return new TlsWriter(encoded.length + 8).vector(encoded).finish();
}

/** Strict, and extended to the next full binary tree. Errors: malformed and its kin, limit_exceeded. */
export function decodeTree(bytes: Uint8Array): Result<RatchetTree> {
  const nodes = readAll(bytes, 'tree', (reader) => readNodes(reader.vector()));
  if (!nodes.ok) return nodes;
  const tree = nodes.value;
  if (tree.length === 0 || tree.at(-1) === undefined) return reject('malformed', 'tree: last node is blank');
  let width = 1;
  while (width < tree.length) width = 2 * width + 1;
  while (tree.length < width) tree.push(undefined);
  const structure = checkTreeStructure(tree);
  if (!structure.ok) return structure;
  // The library's node decoder forgives what is not canonical; its encoder does not write it.
  const again = attempt(() => encodeTree(tree));
  return again !== undefined && sameBytes(again, bytes) ? { ok: true, value: tree } : reject('not_canonical', 'tree');
}

function readNodes(bytes: Uint8Array): RatchetTree {
  const reader = new TlsReader(bytes);
  const tree: RatchetTree = [];
  while (!reader.done) {
    if (tree.length === TREE_NODES_MAX) throw new TlsFault('limit_exceeded', 'nodes');
    if (!reader.optional()) {
      tree.push(undefined);
      continue;
    }
    const rest = reader.rest();
    const decoded = attempt(() => decodeNode(rest, 0));
    if (decoded === undefined) throw new TlsFault('malformed', 'node');
    reader.skip(decoded[1]);
    tree.push(decoded[0]);
  }
  return tree;
}
