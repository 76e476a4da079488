import { type ConversationId, concatBytes, fromHex, ok, type Result, reject } from '../base/index.ts';
import {
  type Crypto,
  type DocumentKind,
  documentKind,
  labelBytes,
  type VerifiedServerCertificate,
} from '../crypto/index.ts';
import { openDocument, type SignedBy } from '../norc-t/index.ts';
import { choice, domain, fixedBytes, type Infer, optional, struct, uint } from '../wire/index.ts';

/** What became of one conversation when trust between two of its organisations ended (spec/norc-f section 7). */

/**
 * `removed`: a commit put the members out. `closed`: nobody can, so it stays frozen for good
 * where the receipt was signed. `pending`: frozen, and the commit has not come yet.
 */
export const RECEIPT_OUTCOMES = ['removed', 'closed', 'pending'] as const;

/** A statement of the issuer; a date or condition; the policy, or what nobody gave a reason for. */
export const RECEIPT_CAUSES = ['trust_revoked', 'trust_expired', 'trust_ended'] as const;

const receiptSchema = struct({
  /** Whose trust in `subject` ended. */
  issuer: domain(),
  /** Of the issuer's statement; 0 when a date, a condition or the policy ended it. */
  sequence: uint(),
  cause: choice(RECEIPT_CAUSES),
  subject: domain(),
  /** Whose members had to go: the subject's, or the issuer's where the subject is the hub. */
  expelled: domain(),
  /** `conversationPseudonym`: whoever has the conversation can find its receipt, nobody else learns its id. */
  conversation: fixedBytes(32),
  hub: domain(),
  /** Whose server signed, about its own log: the hub, or one that follows it. */
  signed_by: domain(),
  epoch_before: uint(),
  epoch_after: uint(),
  /** Devices that the commit put out. */
  removed: uint(),
  frozen_at: uint(),
  /** When the commit, or the closing, was durable. Absent while pending. */
  removed_at: optional(uint()),
  /** The log's head then: with `removed` the commit itself. */
  head_seq: uint(),
  head_hash: fixedBytes(32),
  outcome: choice(RECEIPT_OUTCOMES),
});
export type RevocationReceiptBody = Infer<typeof receiptSchema>;
export const REVOCATION_RECEIPT: DocumentKind<RevocationReceiptBody> = documentKind(
  'revocation_receipt',
  1,
  receiptSchema,
);

/** BLAKE3("norc-receipt-conversation-v1" || conversation id): 32 bytes. Ids are random, so none can be guessed from it. */
export function conversationPseudonym(crypto: Crypto, conversation: ConversationId): Uint8Array {
  const id = fromHex(conversation);
  if (id === undefined) throw new RangeError('a conversation id is hexadecimal');
  return crypto.blake3(concatBytes(labelBytes('norc-receipt-conversation-v1'), id));
}

/**
 * Checks a receipt [F-39]. `keys`: of the organisation whose receipt it should be, chained to its pinned root key.
 * Errors: certificate_invalid (another organisation's key, or one without usage `server`), malformed
 * (numbers that contradict each other), and those of parsing and of signatures.
 */
export function verifyReceipt(
  crypto: Crypto,
  receipt: Uint8Array,
  keys: readonly VerifiedServerCertificate[],
): Result<SignedBy<RevocationReceiptBody>> {
  const usable = keys.filter((key) => key.usages.has('server'));
  const opened = openDocument(crypto, REVOCATION_RECEIPT, receipt, usable);
  if (!opened.ok) return opened;
  const { signer, document } = opened.value;
  if (signer.org !== document.body.signed_by) return reject('certificate_invalid', 'signer of the receipt');
  const fault = receiptFault(document.body);
  return fault === undefined ? ok(opened.value) : reject('malformed', fault);
}

/** What a receipt says against itself, if anything. */
function receiptFault(body: RevocationReceiptBody): string | undefined {
  const { outcome, epoch_before: before, epoch_after: after, removed_at: removedAt, frozen_at: frozenAt } = body;
  if (body.issuer === body.subject) return 'receipt: issuer and subject';
  if ((outcome === 'pending') !== (removedAt === undefined)) return 'receipt: time of the removal';
  if (removedAt !== undefined && removedAt < frozenAt) return 'receipt: times';
  if (outcome === 'removed' ? after < before : after !== before) return 'receipt: epochs';
  return outcome !== 'removed' && body.removed > 0 ? 'receipt: number removed' : undefined;
}
