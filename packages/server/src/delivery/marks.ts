import { type ConversationId, type Domain, domainOf, type UserAddress } from '@norc/protocol/base';
import { type NorcFBody, pathQuestion } from '@norc/protocol/norc-f';
import { atLeast, type TrustDecision, type TrustQuestion } from '@norc/protocol/norc-t';
import type { AuthenticatedDevice } from '../services.ts';
import type { Store } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';
import { CursorBoard } from './cursor-board.ts';
import { DeliveredBatch, type DeliveredUpdate } from './delivered-batch.ts';
import type { FanOut } from './fan-out.ts';
import type { LogCache } from './log-cache.ts';

const CURSOR_WRITE_MS = 200;
const DELIVERED_BATCH_MS = 100;

export interface MarksDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly decide: (question: TrustQuestion) => TrustDecision;
  readonly after: (delayMilliseconds: number, run: () => void) => void;
  readonly sendDelivered: (peer: Domain, updates: readonly DeliveredUpdate[]) => void;
  readonly onFault: (error: unknown) => void;
}

/** How far devices have come: kept, told to the other participants here, and passed along to other servers. */
export class Marks {
  readonly #d: MarksDependencies;
  readonly #logs: LogCache;
  readonly #ears: FanOut;
  readonly #touch: (conversation: ConversationId) => void;
  readonly #board: CursorBoard;
  readonly #batch: DeliveredBatch;

  constructor(
    dependencies: MarksDependencies,
    logs: LogCache,
    ears: FanOut,
    touch: (conversation: ConversationId) => void,
  ) {
    const { store, after, onFault } = dependencies;
    this.#d = dependencies;
    this.#logs = logs;
    this.#ears = ears;
    this.#touch = touch;
    this.#board = new CursorBoard(
      (run) => after(CURSOR_WRITE_MS, run),
      (writes) => void store.commit(writes).catch(onFault),
    );
    this.#batch = new DeliveredBatch(
      (run) => after(DELIVERED_BATCH_MS, run),
      (updates) => void this.#passOn(updates).catch(onFault),
    );
  }

  follower(write: Parameters<CursorBoard['follower']>[0]): void {
    this.#board.follower(write);
  }

  flush(): void {
    this.#board.flush();
    this.#batch.flush();
  }

  cursors(
    device: AuthenticatedDevice,
    cursors: readonly { readonly conversation: ConversationId; readonly seq: number }[],
  ): void {
    for (const { conversation, seq } of cursors) {
      const log = this.#logs.peek(conversation);
      const member = log?.state.members.get(device.deviceId);
      if (log === undefined || member === undefined) {
        this.#board.cursor(device.deviceId, conversation, seq); // a device that was removed acknowledges its last entries
        continue;
      }
      this.#touch(conversation);
      const reached = Math.min(seq, log.durableSeq);
      this.#board.cursor(device.deviceId, conversation, reached);
      this.#board.delivered(conversation, device.user, reached);
      this.#batch.add({ conversation, user: device.user, seq: reached });
    }
  }

  async acceptDelivered(peer: Domain, updates: NorcFBody<'delivery_ack'>['updates']): Promise<void> {
    for (const update of updates) {
      const log = await this.#logs.get(update.conversation);
      if (log === undefined) continue;
      const fromHub = log.state.hub === peer;
      const own = domainOf(update.user) === peer && log.state.hub === this.#d.self;
      if (!(fromHub || own) || domainOf(update.user) === this.#d.self) continue; // a server speaks for its own users, the hub passes others on
      if (!isParticipant(log, update.user)) continue; // names that are none would fill the store
      if (!this.#mayPass(log, peer, peer)) continue;
      const seq = Math.min(update.seq, log.durableSeq);
      this.#board.delivered(update.conversation, update.user, seq);
      this.#batch.add({ conversation: update.conversation, user: update.user, seq });
    }
  }

  /** A user's progress goes to the other participants here, and along the log's paths: to the hub, or from it to the others. */
  async #passOn(updates: readonly DeliveredUpdate[]): Promise<void> {
    const perPeer = new Map<Domain, DeliveredUpdate[]>();
    for (const update of updates) {
      const log = await this.#logs.get(update.conversation);
      if (log === undefined) continue;
      const others = log.localDevices().filter((device) => log.state.members.get(device)?.user !== update.user);
      this.#ears.delivered(others, update.conversation, update.user, update.seq);
      for (const peer of this.#deliveredPeers(log, update)) perPeer.set(peer, [...(perPeer.get(peer) ?? []), update]);
    }
    for (const [peer, list] of perPeer) this.#d.sendDelivered(peer, list);
  }

  #deliveredPeers(log: ConversationLog, update: DeliveredUpdate): readonly Domain[] {
    const { self } = this.#d;
    const { hub, organisations } = log.state;
    const from = domainOf(update.user);
    if (hub !== self && from !== self) return [];
    const peers = hub === self ? [...organisations].filter((peer) => peer !== self && peer !== from) : [hub];
    return peers.filter((peer) => this.#mayPass(log, peer, self));
  }

  /** [F-44] Who has read how far crosses a border under the same conditions as what was read. */
  #mayPass({ state }: ConversationLog, peer: Domain, origin: Domain): boolean {
    if (state.frozen) return false;
    const path = this.#d.decide(pathQuestion(state, peer, origin, 0));
    return path.kind === 'allow' && atLeast(path.level, state.floor);
  }
}

function isParticipant(log: ConversationLog, user: UserAddress): boolean {
  for (const member of log.state.members.values()) if (member.user === user) return true;
  return false;
}
