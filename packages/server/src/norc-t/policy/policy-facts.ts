import type { Domain, Instant } from '@norc/protocol/base';
import { domainOf } from '@norc/protocol/base';
import type { TrustFacts, TrustPolicy, VerifiedTrustCertificate } from '@norc/protocol/norc-t';
import type { Store, TrustDecidedRow } from '../../storage/port.ts';
import type { OpenExchange, PolicyFacts, SharedConversation } from './policy-plan.ts';

/** What the service of trust shows the service of the policy, and the one thing that it lets it do. */
export interface PolicyTrust {
  readonly policy: TrustPolicy;
  /** It counts from now on: who is trusted is looked at again, and what ends is told, as by a revocation. */
  setPolicy(policy: TrustPolicy): Promise<void>;
  peers(): readonly Domain[];
  factsAbout(peer: Domain): TrustFacts;
  /** Certificates that we gave a partner and that are in force. */
  givenTo(peer: Domain): readonly VerifiedTrustCertificate[];
  /** Exchanges that are under way. */
  openExchanges(): readonly OpenExchange[];
}

/** The facts of this moment. Trust is read when the plan asks; what the store has is read here. */
export async function gatherFacts(
  store: Pick<Store, 'read'>,
  trust: PolicyTrust,
  {
    self,
    now,
    decided,
  }: { readonly self: Domain; readonly now: Instant; readonly decided: readonly TrustDecidedRow[] },
): Promise<PolicyFacts> {
  return {
    ...{ self, now, decided },
    peers: [...trust.peers()].sort(),
    factsAbout: (peer) => trust.factsAbout(peer),
    givenTo: (peer) => trust.givenTo(peer),
    conversations: await sharedConversations(store, self, trust.peers()),
    exchanges: trust.openExchanges(),
    people: await activePeople(store),
  };
}

/** Conversations that have members of other organisations now. */
export async function sharedConversations(
  { read }: Pick<Store, 'read'>,
  self: Domain,
  peers: readonly Domain[],
): Promise<readonly SharedConversation[]> {
  const ids = new Set((await Promise.all(peers.map((peer) => read.conversationsWith(peer)))).flat());
  const shared: SharedConversation[] = [];
  for (const id of [...ids].sort()) {
    const row = await read.conversation(id);
    if (row === undefined) continue;
    const domains = new Set((await read.members(id)).map(({ user }) => domainOf(user)));
    domains.delete(self);
    const { label, floor, frozen } = row;
    shared.push({ conversation: id, label, floor, frozen, organisations: [...domains].sort() });
  }
  return shared;
}

/** Local users with a device that is not revoked. */
export async function activePeople({ read }: Pick<Store, 'read'>): Promise<number> {
  let people = 0;
  for (const { user } of await read.users()) {
    if ((await read.devicesOf(user)).some(({ revokedAt }) => revokedAt === undefined)) people += 1;
  }
  return people;
}
