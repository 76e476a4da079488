import { type Clock, type Domain, EVIDENCE, type EvidenceKind, sameBytes } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import type { EvidenceMaterial, ExchangeContext, OfficerId, TrustEvidence } from '@norc/protocol/norc-t';
import type { Officers } from '../../services.ts';
import type { TrustBoard } from '../trust-facts.ts';

export interface ContextDependencies {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly board: TrustBoard;
  readonly material: () => readonly EvidenceMaterial[];
  readonly officers?: () => Officers | undefined;
}

const EVIDENCE_KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds

/** The world as the machines of the trust exchange see it now. */
export function exchangeContext(
  { crypto, clock, board, material, officers }: ContextDependencies,
  peer: Domain,
): ExchangeContext {
  const now = clock.now();
  const cutOff = board.cutOff(peer);
  const pinnedRootKey = board.knownRootKey(peer, now);
  const pinnedRootPqKey = board.roots.standing(peer, now)?.rootPqKey ?? knownPostQuantumKey(board, peer, pinnedRootKey);
  return {
    ...{ crypto, now, policy: board.policy },
    ...{ checkable: EVIDENCE_KINDS, material: material(), revokedOfficers: revoked(officers?.()) },
    ...(cutOff === undefined ? {} : { cutOff }),
    ...(pinnedRootKey === undefined ? {} : { pinnedRootKey }),
    ...(pinnedRootPqKey === undefined ? {} : { pinnedRootPqKey }),
  };
}

function revoked(officers: Officers | undefined): ReadonlySet<OfficerId> {
  const left = officers?.list().filter(({ state }) => state === 'revoked') ?? [];
  return new Set(left.map(({ officerId }) => officerId));
}

/** The post-quantum root key that goes with the pinned root key, where one was ever named: it is not left out later without a word. */
function knownPostQuantumKey(board: TrustBoard, peer: Domain, rootKey: Uint8Array | undefined): Uint8Array | undefined {
  if (rootKey === undefined) return undefined;
  const last = board.roots.lineage(peer)?.steps.at(-1);
  const unproven = last !== undefined && last.rootPqKey === undefined;
  for (const { document } of board.certificatesWith(peer)) {
    const { issuer, subject } = document.body;
    const party = issuer.domain === peer ? issuer : subject;
    // After recovery officers named it, who sign with Ed25519 alone, only an exchange that found its proof pins it [ROOT-23].
    if (unproven && !(issuer.domain !== peer && document.body.evidence.some(provesPostQuantum))) continue;
    if (party.root_pq_key !== undefined && sameBytes(party.root_key, rootKey)) return party.root_pq_key;
  }
  return undefined;
}

function provesPostQuantum({ kind }: TrustEvidence): boolean {
  return kind === 'post_quantum_signature';
}
