import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, sameBytes } from '@norc/protocol/base';
import { draftDocument, parseDocument } from '@norc/protocol/crypto';
import {
  comparePolicies,
  POLICY_CHANGE,
  type PolicyChange,
  parsePolicyDocument,
  policyFromBody,
  policyHash,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import { canonicalJson, type JsonValue } from '@norc/protocol/wire';
import { decodeOrder, encodeOrder } from '@norc/server';
import { CommandError, EXIT } from '../command.ts';
import { factLines } from '../output.ts';
import { orderFacts } from './sign-order.ts';
import { documentLines } from './words.ts';

/**
 * What waits for officers, opened on their own machine [OFFICER-21]. Each action has one kind of document, which is read to
 * its last byte before any of it is signed: bytes that mean something else elsewhere, such as a
 * pair of certificates, are not understood here, and so not signed.
 */

export interface ProposalText {
  readonly action: string;
  readonly peer: Domain | undefined;
  readonly document: Uint8Array;
}

export interface OwnView {
  readonly org: Domain;
  /** The policy in force as the server tells it, asked for only when it matters; it has to be the one that would be replaced. */
  readonly policy: () => Promise<JsonValue>;
}

/** All of it, as lines to read; what matters most comes last, next to the question. Throws CommandError when it cannot be shown whole. */
export async function openProposal({ action, peer, document }: ProposalText, own: OwnView): Promise<readonly string[]> {
  if (action === 'trust_restore') return openRestore(document, peer);
  if (action === 'policy_apply' && peer === undefined) return await openPolicyChange(document, own);
  throw notUnderstood();
}

function openRestore(document: Uint8Array, peer: Domain | undefined): readonly string[] {
  const order = decodeOrder(document);
  if (!order.ok || !sameBytes(encodeOrder(order.value), document) || order.value.peer !== peer) throw notUnderstood();
  const { action, certificates, after } = order.value;
  const gives = action === 'restore' || action === 'condition_met';
  if (!gives || certificates === undefined || after === undefined) throw notUnderstood();
  return factLines(orderFacts(order.value));
}

async function openPolicyChange(document: Uint8Array, own: OwnView): Promise<readonly string[]> {
  const parsed = parseDocument(POLICY_CHANGE, document);
  if (!parsed.ok) throw notUnderstood();
  const { body } = parsed.value;
  if (body.org !== own.org || !sameBytes(draftDocument(POLICY_CHANGE, body).bytes, document)) throw notUnderstood();
  const before = await policyBefore(own, body.previous);
  const changes = comparePolicies(before, policyFromBody(body.policy));
  return [
    ...(documentLines(document) ?? []),
    '',
    `Against the policy in force, as policy ${body.number} (${changes.length}):`,
    ...changes.map(changeLine),
  ];
}

/** What changes is computed from the two documents: what the server says of it is not looked at. */
async function policyBefore(own: OwnView, previous: Uint8Array): Promise<TrustPolicy> {
  const before = parsePolicyDocument(canonicalJson(await own.policy()));
  if (before.ok && sameBytes(policyHash(nodeCrypto, before.value), previous)) return before.value;
  const what = 'It replaces another policy than the one in force. Nothing was signed.';
  throw new CommandError(EXIT.badData, what, 'norc policy plan FILE, and propose it anew');
}

const EFFECTS: Readonly<Record<PolicyChange['effect'], string>> = {
  loosens: 'LOOSENS ',
  tightens: 'tightens',
  neutral: 'neutral ',
};

const changeLine = ({ effect, sentence }: PolicyChange): string => `  ${EFFECTS[effect]}  ${sentence}`;

function notUnderstood(): CommandError {
  const what =
    'This is nothing that an officer signs here, or not what the server says that it is. Nothing was signed.';
  return new CommandError(EXIT.badData, what, 'norc doctor; and tell whoever runs the server');
}
