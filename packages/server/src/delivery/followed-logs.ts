import {
  type ConversationId,
  type DeviceId,
  type Domain,
  domainOf,
  type MessageId,
  ok,
  type Result,
  reject,
} from '@norc/protocol/base';
import type { NorcFBody } from '@norc/protocol/norc-f';
import type { OrderedPlace } from '../services.ts';
import type { ConversationLog } from './conversation-log.ts';
import type { CreationService } from './creation.ts';
import { directRoute } from './direct-route.ts';
import type { FollowerService, FollowOutcome } from './follower-service.ts';
import { placeOf } from './hub-service.ts';
import type { LogCache } from './log-cache.ts';

/** What a relay brought, after it is durable. */
export interface FollowedNews {
  /** Our own devices' entries, which have their place now. */
  readonly own: readonly { readonly sender: DeviceId; readonly messageId: MessageId; readonly place: OrderedPlace }[];
  /** Local members, and those whom a commit removed. */
  readonly devices: Iterable<DeviceId>;
  /** There was a commit among it. */
  readonly changed: boolean;
}

type Followed = (log: ConversationLog, news: FollowedNews) => void;

/** Logs that other organisations order: what comes of one conversation is taken one after the other. */
export class FollowedLogs {
  readonly #self: Domain;
  readonly #logs: LogCache;
  readonly #follower: FollowerService;
  readonly #creation: CreationService;
  readonly #followed: Followed;
  readonly #running = new Map<ConversationId, Promise<unknown>>();

  constructor(
    self: Domain,
    logs: LogCache,
    { follower, creation }: { readonly follower: FollowerService; readonly creation: CreationService },
    followed: Followed,
  ) {
    this.#self = self;
    this.#logs = logs;
    this.#follower = follower;
    this.#creation = creation;
    this.#followed = followed;
  }

  async relay(peer: Domain, relay: NorcFBody<'message_relay'>): Promise<Result<{ readonly seq: number }>> {
    const route = directRoute(relay.route, peer, this.#self);
    if (!route.ok) return route;
    const log = await this.#logs.get(relay.conversation);
    if (log === undefined) return reject('forbidden', 'conversation');
    return await this.#oneByOne(relay.conversation, async () => {
      const before = log.localDevices();
      const outcome = await this.#follower.accept(log, route.value, relay.entries);
      if (!outcome.ok) return outcome;
      this.#tell(log, outcome.value.appended, before);
      return ok({ seq: outcome.value.seq });
    });
  }

  async announce(
    peer: Domain,
    announce: NorcFBody<'conversation_announce'>,
  ): Promise<Result<{ readonly seq: number }>> {
    const route = directRoute(announce.route, peer, this.#self);
    if (!route.ok) return route;
    return await this.#oneByOne(announce.conversation, async () => {
      const known = await this.#logs.get(announce.conversation);
      if (known !== undefined)
        return known.state.hub === peer ? ok({ seq: known.state.headSeq }) : reject('forbidden', 'conversation');
      const joined = await this.#creation.announced(route.value, announce);
      if (!joined.ok) return joined;
      // A mark or relay that came first may have begun to load what was not there yet: the load after that one sees it.
      const log = (await this.#logs.get(announce.conversation)) ?? (await this.#logs.get(announce.conversation));
      if (log !== undefined) this.#followed(log, { own: [], devices: log.localDevices(), changed: false });
      return ok({ seq: joined.value.state.headSeq });
    });
  }

  #tell(log: ConversationLog, appended: FollowOutcome['appended'], before: readonly DeviceId[]): void {
    if (appended.length === 0) return;
    const ours = appended.filter(({ entry }) => domainOf(entry.senderUser) === this.#self);
    const own = ours.map(({ entry }) => ({
      sender: entry.sender,
      messageId: entry.messageId,
      place: placeOf(entry),
    }));
    const changed = appended.some(({ change }) => change !== undefined);
    const now = log.localDevices();
    this.#followed(log, { own, changed, devices: changed ? new Set([...before, ...now]) : now });
  }

  async #oneByOne<T>(conversation: ConversationId, run: () => Promise<T>): Promise<T> {
    const before = this.#running.get(conversation) ?? Promise.resolve();
    const mine = before.then(run, run);
    this.#running.set(conversation, mine);
    try {
      return await mine;
    } finally {
      if (this.#running.get(conversation) === mine) this.#running.delete(conversation);
    }
  }
}
