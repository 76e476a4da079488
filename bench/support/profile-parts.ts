import { readdirSync, readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

/** Microseconds by part of the program. */
export type Parts = Readonly<Record<string, number>>;

const SAMPLING_MICROS = 500;

/** By the place in the source of what ran; the first that fits. What has no place counts for its caller. */
const PARTS: readonly (readonly [part: string, place: RegExp])[] = [
  ['frame AEAD', /sodium-native|crypto\/src\/node\/aead/],
  ['BLAKE3: frame chain, log chain', /blake3|^wasm:/],
  ['TLS, TCP, WebSocket', /node_modules\/ws\/|^node:(net|tls|_tls|internal\/(stream|tls))|server\/src\/transport\//],
  ['frames: pad, head, nonce', /protocol\/src\/(handshake\/|wire\/(frame|padding))/],
  ['bodies: CBOR in and out', /protocol\/src\/wire\//],
  ['MLS head', /packages\/mls\//],
  ['hub: decide, link, fan out', /protocol\/src\/norc-f\/|server\/src\/delivery\//],
  ['session: admit, limit, answer, push', /protocol\/src\/norc-c\/|server\/src\/norc-c\//],
  ['hand over to the store', /server\/src\/storage\/|node:internal\/(worker|per_context\/messageport|event_target)/],
  ['ids and bytes', /protocol\/src\/base\//],
];
const REST = 'rest: event loop, timers, promises';
const COLLECTOR = 'garbage collection, main thread';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[] | undefined;
}

/** Profiles this thread until `stop`, which says where its time went. Sampling itself costs: use the shares. */
export async function profileParts(): Promise<{ stop(): Promise<Parts> }> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLING_MICROS });
  await session.post('Profiler.start');
  return {
    async stop() {
      const { profile } = await session.post('Profiler.stop');
      session.disconnect();
      return sumParts(profile.nodes, profile.samples ?? [], profile.timeDeltas ?? []);
    },
  };
}

function sumParts(nodes: readonly ProfileNode[], samples: readonly number[], deltas: readonly number[]): Parts {
  const partOfNode = classify(nodes);
  const sums: Record<string, number> = {};
  for (const [i, id] of samples.entries()) {
    const part = partOfNode.get(id);
    if (part !== undefined) sums[part] = (sums[part] ?? 0) + (deltas[i + 1] ?? 0);
  }
  return sums;
}

function classify(nodes: readonly ProfileNode[]): ReadonlyMap<number, string | undefined> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parts = new Map<number, string | undefined>();
  const visit = (node: ProfileNode, inherited: string): void => {
    const part = ownPart(node) ?? inherited;
    parts.set(node.id, node.callFrame.functionName === '(idle)' ? undefined : part);
    for (const child of node.children ?? []) {
      const next = byId.get(child);
      if (next !== undefined) visit(next, part);
    }
  };
  const [root] = nodes;
  if (root !== undefined) visit(root, REST);
  return parts;
}

function ownPart({ callFrame: { functionName, url } }: ProfileNode): string | undefined {
  if (functionName === '(garbage collector)') return COLLECTOR;
  return PARTS.find(([, place]) => place.test(url))?.[0];
}

const TICKS_PER_SECOND = 100;
const THREADS: readonly (readonly [part: string, name: RegExp])[] = [
  ['store: writer thread', /^norc-store-writ/],
  ['store: reader, checkpoints', /^norc-store/],
  ['helpers: garbage collection, compiler', /V8Worker/],
];

/** CPU of the other threads of this process so far, where the system tells (Linux). */
export function threadParts(): Parts {
  const sums: Record<string, number> = {};
  for (const thread of tasks()) {
    const part = THREADS.find(([, name]) => name.test(thread.name))?.[0];
    if (part !== undefined) sums[part] = (sums[part] ?? 0) + thread.micros;
  }
  return sums;
}

function tasks(): readonly { readonly name: string; readonly micros: number }[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc/self/task').flatMap((task) => {
    try {
      const text = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
      const after = text.lastIndexOf(')');
      const fields = text.slice(after + 2).split(' ');
      const ticks = Number(fields[11]) + Number(fields[12]);
      return [{ name: text.slice(text.indexOf('(') + 1, after), micros: (ticks * 1e6) / TICKS_PER_SECOND }];
    } catch {
      return []; // it has just ended
    }
  });
}
