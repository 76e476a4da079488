import type { RemovalCause } from '@norc/mls';
import {
  type Clock,
  type DeviceId,
  type Domain,
  InvariantError,
  idFromBytes,
  type MessageId,
  type Random,
} from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  type ConversationState,
  decideAppend,
  HUB_DEVICE,
  hubUser,
  type LinkedEntry,
  type Member,
  proposalEvidence,
  type TrustPaths,
} from '@norc/protocol/norc-f';
import type { ConversationLog } from './conversation-log.ts';
import { readHeader } from './mls-header.ts';
import type { PublicGroup } from './public-group.ts';

/** One append's worth: what a relay carries at once. */
const PROPOSALS_PER_APPEND = 64;
/** A log that is appended to all the time by somebody else; the next start goes on. */
const ATTEMPTS_MAX = 64;
const ID_BYTES = 16;
const NO_PATHS: TrustPaths = new Map();

export interface HubProposalsDependencies {
  readonly self: Domain;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * `proposed`: they wait for a commit, from now or from before. `gone`: nobody of them is a
 * member. `nobody`: no member would be left to commit. `unnamed`: the group does not name our key.
 */
export type ProposalOutcome = 'proposed' | 'gone' | 'nobody' | 'unnamed';

/** The hub's word, as MLS external sender, that members have to go (spec/mls-profile section 4). */
export class HubProposals {
  readonly #d: HubProposalsDependencies;

  constructor(dependencies: HubProposalsDependencies) {
    this.#d = dependencies;
  }

  /** Proposes whom `wanted` names and who is not proposed yet; freezes the conversation with the first entry. */
  async propose(
    log: ConversationLog,
    wanted: (device: DeviceId, member: Member) => boolean,
    cause: RemovalCause,
  ): Promise<ProposalOutcome> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      if (log.reloading !== undefined) await log.reloading;
      const group = await log.group();
      const { state } = log;
      if (group.facts.epoch !== state.epoch) continue;
      const going = [...state.members].filter(([device, member]) => wanted(device, member));
      if (going.length === 0) return 'gone';
      // Who is proposed already, for whatever cause, can commit no more.
      const stays = [...state.members].some(
        ([device, member]) => !(wanted(device, member) || group.proposed.has(device)),
      );
      if (!stays) return 'nobody';
      const missing = going.filter(([device]) => !group.proposed.has(device)).slice(0, PROPOSALS_PER_APPEND);
      if (missing.length === 0) return 'proposed';
      const planned = await this.#plan(state, group, missing, cause);
      if (planned === undefined) return 'unnamed';
      if (log.state === state && log.reloading === undefined) await log.append(planned);
    }
    throw new InvariantError('a frozen log is contended');
  }

  async #plan(
    before: ConversationState,
    group: PublicGroup,
    going: readonly (readonly [DeviceId, Member])[],
    cause: RemovalCause,
  ): Promise<{ entries: LinkedEntry[]; state: ConversationState; group: PublicGroup } | undefined> {
    const entries: LinkedEntry[] = [];
    let [state, waiting] = [before, group];
    for (const [, { leafIndex }] of going) {
      const { conversation, label } = state;
      const messageId: MessageId = idFromBytes(this.#d.random.bytes(ID_BYTES));
      const body = await waiting.propose(leafIndex, { label, conversation, messageId, cause });
      if (body === undefined) return undefined;
      const applied = await waiting.applyProposal(body);
      if (!applied.ok) throw new InvariantError(`our own proposal: ${applied.error.code}`);
      const ordered = this.#order(state, messageId, body);
      entries.push(ordered.entry);
      state = ordered.state;
      waiting = applied.value.group;
    }
    return { entries, state, group: waiting };
  }

  #order(state: ConversationState, messageId: MessageId, body: Uint8Array) {
    const { self, crypto, clock } = this.#d;
    const header = readHeader(body);
    if (!header.ok) throw new InvariantError(`our own proposal: ${header.error.code}`);
    const { conversation } = state;
    const from = { sender: HUB_DEVICE, senderUser: hubUser(self), origin: self } as const;
    const decided = decideAppend(
      crypto,
      state,
      { conversation, messageId, kind: 'proposal', body, ...from },
      { header: header.value, proposal: proposalEvidence('hub'), paths: NO_PATHS, now: clock.now() },
    );
    if (!decided.ok || decided.value.outcome !== 'ordered') throw new InvariantError('our own proposal is refused');
    return decided.value;
  }
}
