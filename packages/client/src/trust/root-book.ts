import {
  type Clock,
  type Domain,
  decodeUtf8,
  fromBase64Url,
  instant,
  sameBytes,
  toBase64Url,
  utf8,
} from '@norc/protocol/base';
import { type Crypto, type PinnedOrg, parseDocument } from '@norc/protocol/crypto';
import {
  pinRecoverySet,
  RECOVERY_SET,
  type RecoveryPin,
  type RootLineage,
  type RootStanding,
  rootStanding,
  startLineage,
  verifyRecoverySet,
  verifyRootRotation,
} from '@norc/protocol/norc-t';
import type { ClientStore } from '../store/port.ts';

interface Taken {
  readonly rotation: Uint8Array;
  readonly takenAt: number;
  /** What counted then, when officers signed. */
  readonly recovery?: Uint8Array;
}

interface Entry {
  readonly lineage: RootLineage;
  readonly taken: readonly Taken[];
  readonly pins: readonly RecoveryPin[];
}

export interface RootBookOptions {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly store: ClientStore;
}

/**
 * Root keys that this device pinned, and what became of them (spec/root-rotation). The server hands the
 * documents over and decides nothing: a key moves only with what the old key or the
 * recovery officers, whom the device knew before, have signed.
 */
export class RootBook {
  readonly #o: RootBookOptions;
  readonly #entries = new Map<Domain, Entry>();

  constructor(options: RootBookOptions) {
    this.#o = options;
  }

  /** Reads what the device kept. `first`: as it was pinned at enrolment, or by the first trust certificate. */
  async load(first: PinnedOrg): Promise<void> {
    if (this.#entry(first) !== undefined) return;
    const stored = await this.#o.store.read.meta(metaKey(first.org));
    this.#entries.set(first.org, (stored === undefined ? undefined : this.#decode(first, stored)) ?? fresh(first));
  }

  /** The keys that count now; `first` itself before `load`. */
  standing(first: PinnedOrg): PinnedOrg {
    return this.#standing(first) ?? first;
  }

  #standing(first: PinnedOrg): RootStanding | undefined {
    const entry = this.#entry(first);
    return entry === undefined ? undefined : rootStanding(entry.lineage, this.#o.clock.now());
  }

  #entry({ org, rootKey }: PinnedOrg): Entry | undefined {
    const entry = this.#entries.get(org);
    return entry !== undefined && sameBytes(entry.lineage.first.rootKey, rootKey) ? entry : undefined;
  }

  /**
   * Takes over what holds of a server's answer: rotations in their order, then the recovery
   * set of the key that counts. What does not hold is passed over.
   */
  async learn(
    first: PinnedOrg,
    told: {
      readonly rotations?: readonly Uint8Array[];
      readonly recovery?: Uint8Array;
      /** From a trust certificate that holds: the root keys that it names. */
      readonly keys?: { readonly rootKey: Uint8Array; readonly rootPqKey: Uint8Array | undefined };
    },
  ): Promise<void> {
    await this.load(first);
    const before = this.#entry(first) ?? fresh(first);
    let entry = told.keys === undefined ? before : pinPostQuantum(before, told.keys);
    for (const rotation of told.rotations ?? []) entry = this.#follow(entry, rotation);
    if (told.recovery !== undefined) entry = this.#pin(entry, told.recovery);
    if (entry === before) return;
    this.#entries.set(first.org, entry);
    await this.#o.store.transact([{ op: 'meta.put', key: metaKey(first.org), value: encode(entry) }]);
  }

  #follow(entry: Entry, rotation: Uint8Array): Entry {
    const now = this.#o.clock.now();
    const followed = verifyRootRotation(this.#o.crypto, entry.lineage, rotation, { pins: entry.pins, now });
    if (!followed.ok || followed.value === entry.lineage) return entry;
    const { steps } = followed.value;
    const recovery = steps.at(-1)?.recovery;
    const set = recovery === undefined ? {} : { recovery: recovery.document.bytes };
    // A rotation by officers may have put out some that came before.
    const taken = [...entry.taken.slice(0, steps.length - 1), { rotation, takenAt: now, ...set }];
    return { ...entry, lineage: followed.value, taken };
  }

  #pin(entry: Entry, bytes: Uint8Array): Entry {
    const now = this.#o.clock.now();
    const set = verifyRecoverySet(this.#o.crypto, bytes, rootStanding(entry.lineage, now));
    const pins = set.ok ? pinRecoverySet(entry.pins, set.value, now) : set;
    return pins.ok && pins.value !== entry.pins ? { ...entry, pins: pins.value } : entry;
  }

  /** Kept by this device for itself. Another first key than before begins anew. */
  #decode(first: PinnedOrg, bytes: Uint8Array): Entry | undefined {
    const stored: StoredRoots = JSON.parse(decodeUtf8(bytes) ?? '');
    if (stored.first !== toBase64Url(first.rootKey)) return undefined;
    const pins = stored.pins.flatMap(({ set, since }) => {
      const read = this.#ownSet(first.org, bytesOf(set));
      return read === undefined ? [] : [{ set: read, since: instant(since) }];
    });
    const pq = stored.firstPq === undefined ? undefined : fromBase64Url(stored.firstPq);
    let entry: Entry = { ...fresh(first, pq), pins };
    for (const one of stored.taken) {
      // It counted then: since when it was pinned is no question any more.
      const set = one.recovery === undefined ? undefined : this.#ownSet(first.org, bytesOf(one.recovery));
      const expected = { pins: set === undefined ? [] : [{ set, since: instant(0) }], now: instant(one.takenAt) };
      const followed = verifyRootRotation(this.#o.crypto, entry.lineage, bytesOf(one.rotation), expected);
      if (!followed.ok) return entry;
      const { recovery: text, takenAt } = one;
      const kept = text === undefined ? {} : { recovery: bytesOf(text) };
      entry = {
        ...entry,
        lineage: followed.value,
        taken: [...entry.taken, { rotation: bytesOf(one.rotation), takenAt, ...kept }],
      };
    }
    return entry;
  }

  /** Its key was the pinned one when the device kept the set. */
  #ownSet(org: Domain, bytes: Uint8Array): RecoveryPin['set'] | undefined {
    const parsed = parseDocument(RECOVERY_SET, bytes);
    if (!parsed.ok) return undefined;
    const set = verifyRecoverySet(this.#o.crypto, bytes, { org, rootKey: parsed.value.body.root_key });
    return set.ok ? set.value : undefined;
  }
}

interface StoredRoots {
  readonly first: string;
  /** ML-DSA-65, where it was learned before any rotation. */
  readonly firstPq?: string;
  readonly taken: readonly { readonly rotation: string; readonly takenAt: number; readonly recovery?: string }[];
  readonly pins: readonly { readonly set: string; readonly since: number }[];
}

function encode({ lineage, taken, pins }: Entry): Uint8Array {
  const stored: StoredRoots = {
    first: toBase64Url(lineage.first.rootKey),
    ...(lineage.first.rootPqKey === undefined ? {} : { firstPq: toBase64Url(lineage.first.rootPqKey) }),
    taken: taken.map(({ rotation, takenAt, recovery }) => ({
      ...{ rotation: toBase64Url(rotation), takenAt },
      ...(recovery === undefined ? {} : { recovery: toBase64Url(recovery) }),
    })),
    pins: pins.map(({ set, since }) => ({ set: toBase64Url(set.document.bytes), since })),
  };
  return utf8(JSON.stringify(stored));
}

function fresh({ org, rootKey }: PinnedOrg, rootPqKey?: Uint8Array): Entry {
  return { lineage: startLineage(org, rootKey, rootPqKey), taken: [], pins: [] };
}

/**
 * The post-quantum key of the root key that was pinned first: from then on no rotation by the old key counts without
 * it. Never another one in its place, and none after the first rotation, which was taken without.
 */
function pinPostQuantum(
  entry: Entry,
  { rootKey, rootPqKey }: { readonly rootKey: Uint8Array; readonly rootPqKey: Uint8Array | undefined },
): Entry {
  const { org, first, steps } = entry.lineage;
  if (rootPqKey === undefined || first.rootPqKey !== undefined || steps.length > 0) return entry;
  if (!sameBytes(first.rootKey, rootKey)) return entry;
  return { ...entry, lineage: startLineage(org, rootKey, rootPqKey) };
}

function bytesOf(text: string): Uint8Array {
  return fromBase64Url(text) ?? new Uint8Array();
}

const metaKey = (org: Domain) => `roots:${org}`;
