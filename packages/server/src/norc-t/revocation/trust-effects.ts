import { type Domain, domainOf, type Instant, instant, toHex } from '@norc/protocol/base';
import { parseDocument } from '@norc/protocol/crypto';
import { REVOCATION_RECEIPT, type RevocationReceiptBody } from '@norc/protocol/norc-f';
import type { RevocationAct } from '@norc/protocol/norc-t';
import type { Delivery } from '../../services.ts';
import type { Store } from '../../storage/port.ts';
import type {
  ConversationEffect,
  ConversationEffects,
  DeviceNotice,
  TrustDependencies,
} from '../trust-dependencies.ts';
import type { TrustService } from '../trust-service.ts';

/** What trust does to conversations and tells to devices: how the parts of a node are joined. */

type Effects = Pick<Delivery, 'expel' | 'expulsions' | 'freezeWith' | 'readmit'>;

/** Trust in a peer is not in force now: how many conversations are closed to it. May be asked again. */
export async function closeConversations(
  { delivery, trust }: { readonly delivery: Effects; readonly trust: Pick<TrustService, 'endOf'> },
  peer: Domain,
): Promise<number> {
  const end = trust.endOf(peer);
  return end === undefined ? await delivery.freezeWith(peer) : (await delivery.expel(end)).conversations;
}

/**
 * For acts: what they end is expelled, also where it is between two others. There only an act that says that it ends
 * trust does: whether another certificate is left, a third organisation cannot know. An end is known by the number of
 * the act's first statement, so that it is one however many came [TRUST-64].
 */
export function conversationEffects(
  self: Domain,
  store: Store,
  delivery: Effects,
): Required<Pick<TrustDependencies, 'enforce' | 'removals'>> {
  return {
    enforce: async ({ issuer, subject, action, first, endsTrust }: RevocationAct) => {
      if (action !== 'revoke' || (issuer !== self && subject !== self && endsTrust !== true)) return;
      await delivery.expel({ issuer, subject, sequence: first, cause: 'trust_revoked' });
    },
    removals: (act) => removalsOf(store, delivery, act),
  };
}

async function removalsOf(store: Store, delivery: Effects, act: RevocationAct): Promise<ConversationEffects> {
  const { issuer, subject, first: sequence } = act;
  const found = delivery.expulsions({ issuer, subject, sequence });
  const receipts = await store.read.trustRecords('receipt', subject);
  const conversations = receipts.flatMap(({ document }) => {
    const parsed = parseDocument(REVOCATION_RECEIPT, document);
    if (!parsed.ok) return [];
    const { body } = parsed.value;
    const isOf = body.issuer === issuer && body.subject === subject && body.sequence === sequence;
    return isOf ? [effectOf(body, document)] : [];
  });
  const total = found.reduce((sum, one) => sum + one.conversations, 0);
  const removed = found.reduce((sum, one) => sum + one.removed + one.closed, 0);
  return { total, frozen: total, removed, conversations };
}

function effectOf(body: RevocationReceiptBody, receipt: Uint8Array): ConversationEffect {
  const time = (at: number | undefined): { readonly removedAt?: Instant } =>
    at === undefined ? {} : { removedAt: instant(at) };
  return {
    conversation: toHex(body.conversation),
    state: body.outcome === 'pending' ? 'frozen' : body.outcome,
    frozenAt: instant(body.frozen_at),
    ...time(body.removed_at),
    ...{ epochBefore: body.epoch_before, epochAfter: body.epoch_after, receipt },
  };
}

/** Those of our devices that share a conversation with the peer, where they have a session now. */
export async function tellDevices(
  store: Store,
  devices: { tellTrust(wanted: ReadonlySet<string>, peer: Domain, notice: DeviceNotice): number } | undefined,
  peer: Domain,
  notice: DeviceNotice,
): Promise<number> {
  if (devices === undefined) return 0;
  const wanted = new Set<string>();
  for (const conversation of await store.read.conversationsWith(peer)) {
    for (const { deviceId, user, local } of await store.read.members(conversation)) {
      if (local && domainOf(user) !== peer) wanted.add(deviceId);
    }
  }
  return devices.tellTrust(wanted, peer, notice);
}
