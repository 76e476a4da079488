import { type Domain, type Instant, sameBytes } from '@norc/protocol/base';
import { type EvidenceMaterial, type EvidenceQuestion, type Finding, MATERIAL } from '@norc/protocol/norc-t';
import { bytes, decodeBody, encodeBody, fixedBytes, list, struct } from '@norc/protocol/wire';
import type { Store } from '../../storage/port.ts';

/** X.509 chains of partners that held, so that they can be asked about again while trust is in force [EVID-66]. */

const CHAINS_MAX = 2;
const CHAIN_BYTES_MAX = 32_768;
const chainsSchema = struct({
  root_key: fixedBytes(32),
  chains: list(bytes(CHAIN_BYTES_MAX), CHAINS_MAX),
});

/**
 * Two places for each domain: the chains of the root key that is pinned, and the last ones of any other. Whoever
 * has another certificate of the domain cannot push out the partner's, nor fill the store.
 */
type Slot = 'pinned' | 'other';
const keyOf = (peer: Domain, slot: Slot): string => `${peer} ${slot}`;

export interface ChainOwner {
  readonly peer: Domain;
  readonly rootKey: Uint8Array;
}

export class PartnerChains {
  readonly #store: Pick<Store, 'commit' | 'read'>;

  constructor(store: Pick<Store, 'commit' | 'read'>) {
    this.#store = store;
  }

  async keep({ peer, rootKey }: ChainOwner, chains: readonly Uint8Array[], slot: Slot, at: Instant): Promise<void> {
    if (chains.length === 0) return;
    const body = { root_key: rootKey, chains: chains.slice(0, CHAINS_MAX) };
    const document = encodeBody(chainsSchema, body, 'json');
    const record = { kind: 'chain', key: keyOf(peer, slot), peer, at, document } as const;
    await this.#store.commit([{ op: 'trust.record.put', record }]);
  }

  /** Those bound to this root key; none when the partner showed none. */
  async of(owner: ChainOwner): Promise<readonly EvidenceMaterial[]> {
    for (const slot of ['pinned', 'other'] as const) {
      const row = await this.#store.read.trustRecord('chain', keyOf(owner.peer, slot));
      const read = row === undefined ? undefined : decodeBody(chainsSchema, row.document, 'json');
      if (read?.ok !== true || !sameBytes(read.value.root_key, owner.rootKey)) continue;
      // It came before trust did: from now on nobody else's can take its place.
      if (slot === 'other' && row !== undefined) await this.keep(owner, read.value.chains, 'pinned', row.at);
      return read.value.chains.map((data) => ({ kind: MATERIAL.x509Chain, data }));
    }
    return [];
  }
}

/** The chains of a question by which something in it holds. */
export function chainsThatHold({ material }: EvidenceQuestion, findings: readonly Finding[], hash: Hash) {
  const held = findings.filter(({ result, method = '' }) => result === 'held' && CHAIN_METHODS.has(method));
  return material
    .filter(({ kind }) => kind === MATERIAL.x509Chain)
    .map(({ data }) => data)
    .filter((data) => held.some((one) => one.hash !== undefined && sameBytes(one.hash, hash(data))));
}

type Hash = (data: Uint8Array) => Uint8Array;
const CHAIN_METHODS: ReadonlySet<string> = new Set(['x509', 'nato']);
