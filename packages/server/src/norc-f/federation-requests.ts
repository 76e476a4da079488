import {
  type Clock,
  type Domain,
  domainOf,
  ERRORS,
  fullBucket,
  MESSAGE_TYPES,
  ok,
  type RatePolicy,
  type Result,
  reject,
  type TokenBucket,
  takeTokens,
} from '@norc/protocol/base';
import type { NorcFBody, NorcFMessage } from '@norc/protocol/norc-f';
import type { ReceivedMessage } from '@norc/protocol/wire';
import { wirePackage } from '../norc-c/requests.ts';
import type { Delivery, Directory, Trust } from '../services.ts';
import type { PeerEvidence } from './link-identity.ts';

export interface FederationServices {
  readonly domain: Domain;
  readonly clock: Clock;
  readonly directory: Directory;
  readonly delivery: Delivery;
  readonly trust: Trust;
  /** Messages of one organisation. */
  readonly rate: RatePolicy;
}

/** Answers what another organisation's server asks over its link (spec/norc-f section 6). */
export class FederationRequests {
  readonly #s: FederationServices;
  readonly #buckets = new Map<Domain, TokenBucket>();
  /** Apart from messages: a flood of those must not hold back the revocation that ends it. */
  readonly #trustBuckets = new Map<Domain, TokenBucket>();

  constructor(services: FederationServices) {
    this.#s = services;
  }

  async serve(peer: PeerEvidence, request: ReceivedMessage<NorcFMessage>): Promise<Result<NorcFMessage | undefined>> {
    const { domain } = peer;
    switch (request.type) {
      case 'message_submit':
        return ok({ type: 'submit_result', body: { items: await this.#submit(domain, request.body.items) } });
      case 'message_relay': {
        const outcome = await this.#s.delivery.acceptRelay(domain, request.body);
        return outcome.ok
          ? ok({ type: 'relay_ack', body: { conversation: request.body.conversation, seq: outcome.value.seq } })
          : outcome;
      }
      case 'conversation_announce': {
        const outcome = await this.#s.delivery.acceptAnnounce(domain, request.body);
        return outcome.ok
          ? ok({ type: 'relay_ack', body: { conversation: request.body.conversation, seq: outcome.value.seq } })
          : outcome;
      }
      case 'delivery_ack':
        await this.#s.delivery.acceptDelivered(domain, request.body.updates);
        return ok(undefined);
      case 'key_claim':
        return await this.#claim(domain, request.body);
      case 'trust_capabilities':
      case 'trust_request':
      case 'trust_challenge':
      case 'trust_response':
      case 'trust_decision':
      case 'trust_acknowledgment':
      case 'trust_revoke':
      case 'trust_status':
      case 'root_rotation':
        return await this.#trust(domain, request.type, request.body.document);
      default:
        return reject('unexpected_message', request.type);
    }
  }

  /** Decided in the order in which they came; a batch over the rate is told to come again. */
  async #submit(
    peer: Domain,
    items: NorcFBody<'message_submit'>['items'],
  ): Promise<NorcFBody<'submit_result'>['items']> {
    if (this.#take(peer, items.length))
      return await Promise.all(items.map((item) => this.#s.delivery.submitFrom(peer, item)));
    return items.map(({ conversation, message_id }) => ({
      conversation,
      message_id,
      status: 'retry',
      code: ERRORS.rate.code,
    }));
  }

  #take(peer: Domain, count: number, buckets = this.#buckets): boolean {
    const now = this.#s.clock.now();
    const cost = Math.min(count, this.#s.rate.burst);
    const taken = takeTokens(this.#s.rate, buckets.get(peer) ?? fullBucket(this.#s.rate, now), now, cost);
    buckets.set(peer, taken.bucket);
    return taken.allowed;
  }

  /** A peer without the permission, a user without a device and one that does not exist get one answer. */
  async #claim(peer: Domain, { requester, users }: NorcFBody<'key_claim'>): Promise<Result<NorcFMessage>> {
    if (domainOf(requester) !== peer) return reject('forbidden', 'requester');
    // Each user asked for counts like a message: else a partner could use up everybody's one-time KeyPackages.
    if (!this.#take(peer, users.length)) return reject('rate', 'key claims');
    const decision = this.#s.trust.decide({
      local: this.#s.domain,
      remote: peer,
      direction: 'incoming',
      permission: 'user_discovery',
    });
    const ours = decision.kind === 'allow' ? users.filter((user) => domainOf(user) === this.#s.domain) : [];
    const claimed = await this.#s.directory.claimKeyPackages(ours, requester);
    const found = new Set(claimed.map((one) => one.user));
    return ok({
      type: 'key_claim_result',
      body: { packages: claimed.map(wirePackage), unavailable: users.filter((user) => !found.has(user)) },
    });
  }

  async #trust(peer: Domain, type: TrustType, document: Uint8Array): Promise<Result<NorcFMessage | undefined>> {
    // Each costs signature checks, and some are kept for ever.
    if (!this.#take(peer, 1, this.#trustBuckets)) return reject('rate', 'trust messages');
    const answer = await this.#s.trust.receive(peer, MESSAGE_TYPES[type], document);
    if (!answer.ok) return answer;
    return ok(answer.value === undefined ? undefined : trustMessage(answer.value.type, answer.value.document));
  }
}

type TrustType = Extract<NorcFMessage['type'], `trust_${string}` | 'root_rotation'>;

const TRUST_TYPES: readonly TrustType[] = [
  'trust_capabilities',
  'trust_request',
  'trust_challenge',
  'trust_response',
  'trust_decision',
  'trust_acknowledgment',
  'trust_revoke',
  'trust_revoke_ack',
  'trust_status',
  'root_rotation',
];

/** A trust document as a message of a link. Throws RangeError for a type that is none of NORC-T. */
export function trustMessage(code: number, document: Uint8Array): NorcFMessage & { readonly type: TrustType } {
  const type = TRUST_TYPES.find((one) => MESSAGE_TYPES[one] === code);
  if (type === undefined) throw new RangeError('not a trust message');
  return { type, body: { document } };
}
