import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, fromBase64Url, instant, parseDomain, toHex } from '@norc/protocol/base';
import { GRANTED_LEVELS, REVOCATION_ACTIONS } from '@norc/protocol/norc-t';
import { decodeOrder, encodeOrder, orderAction, type TrustOrder } from '@norc/server';
import type { AdminClient } from '../admin-client.ts';
import { CommandError, type CommandInput, EXIT } from '../command.ts';
import { utcTime } from '../commands/shared.ts';
import { type Fact, factLines, note } from '../output.ts';
import { askingOnTerminal, askYes } from '../terminal/prompt.ts';
import { quoted } from './grant-words.ts';
import type { OfficerKeySource } from './key.ts';
import { signApproval } from './sign-approval.ts';

/** Orders about trust that an officer signs: to end, lower, suspend or restore it, or to say that a condition was met. */

export interface OrderFields {
  readonly action: string;
  readonly reason: string;
  readonly level?: string;
  readonly condition?: string;
  readonly effective_at?: number;
}

/** What was typed, as the order that it makes. */
export function typedOrder(peer: Domain, fields: OrderFields): TrustOrder {
  const { reason, condition, effective_at: effectiveAt } = fields;
  const action = REVOCATION_ACTIONS.find((one) => one === fields.action);
  const level = GRANTED_LEVELS.find((one) => one === fields.level);
  if (action === undefined) throw new RangeError('action of the order');
  return {
    ...{ peer, action, reason },
    ...(level === undefined ? {} : { level }),
    ...(condition === undefined ? {} : { condition }),
    ...(effectiveAt === undefined ? {} : { effectiveAt: instant(effectiveAt) }),
  };
}

/**
 * The order that the server drafted, when it is the one that was typed: besides that it may
 * name no more than the certificates and its place in the own chain. Throws CommandError.
 */
export function openOrder(
  text: string,
  typed: TrustOrder,
): { readonly order: TrustOrder; readonly document: Uint8Array } {
  const document = fromBase64Url(text);
  const decoded = document === undefined ? undefined : decodeOrder(document);
  if (document !== undefined && decoded?.ok === true) {
    const { certificates: _, after: _after, ...rest } = decoded.value;
    const same = Buffer.from(encodeOrder(rest)).equals(encodeOrder(typed));
    // What decodes into this is this, to the byte: nothing else is in what is signed.
    if (same && Buffer.from(encodeOrder(decoded.value)).equals(document)) return { order: decoded.value, document };
  }
  const what = 'The server gave something else to sign than the order that you typed. Nothing was signed.';
  throw new CommandError(EXIT.badData, what, 'norc doctor; and tell whoever runs the server');
}

const WORDS: Readonly<Record<TrustOrder['action'], string>> = {
  revoke: 'end trust',
  suspend: 'suspend trust',
  downgrade: 'lower the level',
  restore: 'give back what was taken',
  condition_met: 'say that a condition was met',
};

/** Everything in an order, in words. */
export function orderFacts(order: TrustOrder): readonly Fact[] {
  const { peer, action, reason, level, condition, effectiveAt, certificates, after } = order;
  return [
    ['Partner', peer],
    ['What', WORDS[action]],
    ...(level === undefined ? [] : [['Level', level] as const]),
    ...(condition === undefined ? [] : [['Condition', quoted(condition)] as const]),
    ['Reason', quoted(reason)],
    ...(effectiveAt === undefined ? [] : [['From', `${utcTime(effectiveAt)} UTC on`] as const]),
    ...(certificates === undefined ? [] : [['Certificates', certificates] as const]),
    ...(after === undefined ? [] : [['Follows', `statement ${after.sequence} (${toHex(after.head)})`] as const]),
  ];
}

interface OrderSigning {
  readonly folder: string;
  readonly client: AdminClient;
  readonly source: OfficerKeySource;
  readonly peer: string;
  readonly fields: OrderFields;
}

/** Shows the order, asks, and signs it. What gives something back is drafted by the server, which knows what it is about. */
export async function signOrder(
  input: CommandInput,
  { folder, client, source, peer: name, fields }: OrderSigning,
): Promise<{ readonly approval: string; readonly certificate: string }> {
  const peer = parseDomain(name);
  if (!peer.ok) throw new RangeError('domain of the order');
  const typed = typedOrder(peer.value, fields);
  const action = orderAction(typed);
  const narrows = action === 'trust_revoke';
  const drafted = narrows
    ? undefined
    : await client.post<{ document: string }>('/trust/order/draft', { peer: name, ...fields });
  const { order, document } =
    drafted === undefined ? { order: typed, document: encodeOrder(typed) } : openOrder(drafted.document, typed);
  note(`You are about to sign an order about ${name}.`);
  for (const line of factLines(orderFacts(order))) note(line);
  if (!input.flags.has('yes') && !(await askYes(askingOnTerminal, 'Sign this?', '--yes')))
    throw new CommandError(EXIT.interrupted, 'Stopped. Nothing was signed.');
  const subject = nodeCrypto.blake3(document);
  return (await signApproval(source, { folder, client, action, subject, peer: peer.value })).fields;
}
