import {
  type Clock,
  type Domain,
  type Instant,
  InvariantError,
  instant,
  MESSAGE_TYPES,
  ok,
  type Result,
  reject,
} from '@norc/protocol/base';
import { type Crypto, ML_DSA_65_PUBLIC_KEY_BYTES, parseDocument } from '@norc/protocol/crypto';
import {
  documentBytes,
  forkOf,
  RECOVERY_SET,
  type RecoveryPin,
  type RootLineage,
  startLineage,
  verifyRecoverySet,
  verifyRootRotation,
} from '@norc/protocol/norc-t';
import { decodeBody, domain, encodeBody, fixedBytes, optional, struct, uint } from '@norc/protocol/wire';
import type { Audit } from '../../services.ts';
import type { Store, StoreWrite } from '../../storage/port.ts';
import type { TrustBoard } from '../trust-facts.ts';
import { type RootKeys, recoveryPins } from './root-keys.ts';

/** A rotation as it was taken: with what was pinned then, so that it can be checked again. */
const recordSchema = struct({
  org: domain(),
  first_root_key: fixedBytes(32),
  first_root_pq_key: optional(fixedBytes(ML_DSA_65_PUBLIC_KEY_BYTES)),
  rotation: documentBytes,
  recovery: optional(documentBytes),
  taken_at: uint(),
});

export interface RootRotationsOptions {
  readonly self: Domain;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly board: TrustBoard;
  /** Our own rotations in canonical JSON, in their order. */
  readonly own: readonly Uint8Array[];
  readonly send: (peer: Domain, type: number, document: Uint8Array) => void;
  /** Begins the exchange after which the certificates name our new key. */
  readonly renew: (peer: Domain) => Promise<void>;
  /** A partner's key was replaced in two ways, and whoever did it could sign for both. */
  readonly onFork: (peer: Domain, sequence: number, held: Uint8Array, other: Uint8Array) => Promise<void>;
  /** What counts may have changed. */
  readonly onTaken: (peer: Domain) => void;
  /** Something stored cannot be verified any more. */
  readonly onUnusable: (what: string, code: string) => void;
}

/** Root keys that partners replaced, and our own until every partner knows (spec/root-rotation section 4). */
export class RootRotations {
  readonly #o: RootRotationsOptions;
  readonly #announced = new Set<Domain>();
  /** Of each organisation one after the other: each is checked against what the one before has left. */
  readonly #turns = new Map<Domain, Promise<unknown>>();

  constructor(options: RootRotationsOptions) {
    this.#o = options;
  }

  async load(): Promise<void> {
    const rows = await this.#o.store.read.trustRecords('rotation');
    for (const { document } of [...rows].sort((a, b) => (a.key < b.key ? -1 : 1))) this.#restore(document);
  }

  #restore(bytes: Uint8Array): void {
    const { crypto, onUnusable } = this.#o;
    const record = decodeBody(recordSchema, bytes, 'json');
    if (!record.ok) throw new InvariantError('a stored root rotation does not decode');
    const {
      org,
      first_root_key: first,
      first_root_pq_key: firstPq,
      rotation,
      recovery,
      taken_at: takenAt,
    } = record.value;
    const extended = verifyRootRotation(
      crypto,
      this.#roots.lineage(org) ?? startLineage(org, first, firstPq),
      rotation,
      {
        pins: recovery === undefined ? [] : this.#storedSet(org, recovery),
        now: instant(takenAt),
      },
    );
    if (extended.ok) this.#roots.set(extended.value);
    else onUnusable('root rotation', extended.error.code);
  }

  /** It counted when the rotation was taken: since when it was pinned is no question any more. */
  #storedSet(org: Domain, bytes: Uint8Array): readonly RecoveryPin[] {
    const parsed = parseDocument(RECOVERY_SET, bytes);
    if (!parsed.ok) return [];
    const set = verifyRecoverySet(this.#o.crypto, bytes, { org, rootKey: parsed.value.body.root_key });
    return set.ok ? [{ set: set.value, since: instant(0) }] : [];
  }

  get #roots(): RootKeys {
    return this.#o.board.roots;
  }

  /**
   * A rotation of a partner, from its server or from a file: nothing but what was pinned decides.
   * Errors: not_trusted (nobody whose key was pinned), internal (not kept, so not taken), and those of `verifyRootRotation`.
   */
  async take(peer: Domain, document: Uint8Array, actor: string): Promise<Result<RootLineage>> {
    const before = this.#turns.get(peer) ?? Promise.resolve();
    const mine = before.then(() => this.#take(peer, document, actor));
    const turn = mine.catch(() => undefined); // whoever asked is told; the next one goes on
    this.#turns.set(peer, turn);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(peer) === turn) this.#turns.delete(peer);
    }
  }

  async #take(peer: Domain, document: Uint8Array, actor: string): Promise<Result<RootLineage>> {
    const { crypto, clock } = this.#o;
    const pins = await this.#pins(peer);
    const now = clock.now();
    const before = this.#lineageOf(peer);
    if (before === undefined) return reject('not_trusted', 'no root key of this organisation is pinned');
    const taken = verifyRootRotation(crypto, before, document, { pins, now });
    if (!taken.ok && taken.error.code === 'rotation_fork') await this.#keepFork(peer, before, document, pins);
    if (!taken.ok || taken.value === before) return taken;
    const kept = await this.#keep(before, taken.value, actor, now);
    if (!kept) return reject('internal', 'the rotation was not kept');
    this.#roots.set(taken.value);
    this.#o.onTaken(peer);
    return taken;
  }

  async #pins(peer: Domain): Promise<readonly RecoveryPin[]> {
    const { crypto, store, board, self, clock } = this.#o;
    const rows = await store.read.trustRecords('recovery', peer);
    const since = new Map(rows.map(({ key, at }) => [key, at]));
    const given = board.certificatesWith(peer).filter(({ issuer, subject }) => issuer === self && subject === peer);
    const now = clock.now();
    return recoveryPins(
      crypto,
      given.map((certificate) => ({ certificate, since: since.get(certificate.certificateId) ?? now })),
    );
  }

  /** Both documents, for officers and for whoever judges later [ROOT-13]. */
  async #keepFork(
    peer: Domain,
    lineage: RootLineage,
    document: Uint8Array,
    pins: readonly RecoveryPin[],
  ): Promise<void> {
    const held = forkOf(this.#o.crypto, lineage, document, pins);
    if (held !== undefined) await this.#o.onFork(peer, held.sequence, held.document.bytes, document);
  }

  #lineageOf(peer: Domain): RootLineage | undefined {
    const known = this.#roots.lineage(peer);
    if (known !== undefined) return known;
    const { board, self } = this.#o;
    const given = board.certificatesWith(peer).findLast(({ issuer, subject }) => issuer === self && subject === peer);
    if (given === undefined) return undefined;
    return startLineage(peer, given.subjectRootKey, given.document.body.subject.root_pq_key);
  }

  async #keep(before: RootLineage, after: RootLineage, actor: string, now: Instant): Promise<boolean> {
    const step = after.steps.at(-1);
    if (step === undefined) throw new InvariantError('a rotation was taken and is not there');
    const { org, first } = after;
    const { recovery } = step;
    const record = {
      org,
      first_root_key: first.rootKey,
      ...(first.rootPqKey === undefined ? {} : { first_root_pq_key: first.rootPqKey }),
      rotation: step.document.bytes,
      ...(recovery !== undefined ? { recovery: recovery.document.bytes } : {}),
      taken_at: now,
    };
    const superseded = before.steps.slice(after.steps.length - 1).filter(({ sequence }) => sequence !== step.sequence);
    const writes: StoreWrite[] = [
      ...superseded.map(
        ({ sequence }) => ({ op: 'trust.record.delete', kind: 'rotation', key: keyOf(org, sequence) }) as const,
      ),
      {
        op: 'trust.record.put',
        record: {
          kind: 'rotation',
          key: keyOf(org, step.sequence),
          peer: org,
          at: now,
          document: encodeBody(recordSchema, record, 'json'),
        },
      },
    ];
    const detail = { sequence: step.sequence, by: step.by, reason: step.reason };
    const event = { type: 'root_rotated', actor, subject: `org:${org}`, outcome: 'ok', detail } as const;
    return (await this.#o.audit.commit(writes, [event])).ok;
  }

  /** For the link: a peer may speak of itself alone. */
  async receive(peer: Domain, document: Uint8Array): Promise<Result<undefined>> {
    const taken = await this.take(peer, document, `org:${peer}`);
    return taken.ok ? ok(undefined) : taken;
  }

  /**
   * Every minute: partners whose certificates still name a key that we replaced are told,
   * and from the next time on the exchange is begun that names the new one.
   */
  async poll(): Promise<void> {
    const { own, board, clock, self, send, renew } = this.#o;
    if (own.length === 0) return;
    for (const peer of board.peers()) {
      const now = clock.now();
      if (board.pair(peer, now) === undefined) continue; // theirs may have ended while ours stands: then nothing is said
      const given = board.givenInForce(peer, now);
      if (given.length === 0 || given.some((one) => this.#roots.isCurrent(self, one.issuerRootKey, now))) continue;
      for (const document of own) send(peer, MESSAGE_TYPES.root_rotation, document);
      if (this.#announced.has(peer)) await renew(peer);
      this.#announced.add(peer);
    }
  }
}

/** Sorts in the order of the numbers. */
function keyOf(org: Domain, sequence: number): string {
  return `${org}:${String(sequence).padStart(8, '0')}`;
}
