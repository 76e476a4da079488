import { type ConversationId, type Domain, type Instant, toHex } from '@norc/protocol/base';
import { type Crypto, draftDocument, parseDocument, type Signer, signDocument } from '@norc/protocol/crypto';
import {
  type ConversationState,
  conversationPseudonym,
  REVOCATION_RECEIPT,
  type RevocationReceiptBody,
} from '@norc/protocol/norc-f';
import type { TrustEnd } from '../services.ts';
import type { Store, StoreWrite } from '../storage/port.ts';

export interface ReceiptDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly crypto: Crypto;
  /** Of the server key. */
  readonly signer: Signer;
}

export interface SignedReceipt {
  readonly body: RevocationReceiptBody;
  readonly document: Uint8Array;
  readonly write: StoreWrite;
}

/** Signed receipts of expulsions, as trust records: one for each conversation and end of trust, replaced as it goes on. */
export class Receipts {
  readonly #d: ReceiptDependencies;

  constructor(dependencies: ReceiptDependencies) {
    this.#d = dependencies;
  }

  pseudonym(conversation: ConversationId): Uint8Array {
    return conversationPseudonym(this.#d.crypto, conversation);
  }

  /** The first one: the conversation is frozen. */
  begin(end: TrustEnd, expelled: Domain, state: ConversationState, now: Instant): RevocationReceiptBody {
    const { issuer, subject, sequence, cause } = end;
    const { hub, epoch, headSeq: head_seq, headHash: head_hash } = state;
    return {
      ...{ issuer, subject, sequence, cause, expelled, hub, head_seq, head_hash, frozen_at: now, removed: 0 },
      ...{ conversation: this.pseudonym(state.conversation), signed_by: this.#d.self, outcome: 'pending' },
      ...{ epoch_before: epoch, epoch_after: epoch },
    };
  }

  async sign(body: RevocationReceiptBody, now: Instant): Promise<SignedReceipt> {
    const { crypto, signer, self } = this.#d;
    const { bytes: document } = await signDocument(crypto, draftDocument(REVOCATION_RECEIPT, body), signer);
    const { issuer, subject, expelled } = body;
    const parties = [issuer, subject].includes(self) ? [issuer, subject].filter((one) => one !== self) : [expelled];
    const peer = parties[0] ?? expelled;
    const record = { kind: 'receipt', key: recordKey(body), peer, at: now, document } as const;
    return { body, document, write: { op: 'trust.record.put', record } };
  }

  /** The end came to nothing: there is nothing to show. */
  withdrawal(body: RevocationReceiptBody): StoreWrite {
    return { op: 'trust.record.delete', kind: 'receipt', key: recordKey(body) };
  }

  /** Those that were kept. Whoever can change our store can make us forget; nobody else reads them from here unchecked. */
  async stored(): Promise<readonly Omit<SignedReceipt, 'write'>[]> {
    const receipts: Omit<SignedReceipt, 'write'>[] = [];
    for (const { document } of await this.#d.store.read.trustRecords('receipt')) {
      const parsed = parseDocument(REVOCATION_RECEIPT, document);
      if (parsed.ok) receipts.push({ body: parsed.value.body, document });
    }
    return receipts;
  }
}

function recordKey({ issuer, subject, sequence, conversation }: RevocationReceiptBody): string {
  return `${issuer}.${subject}.${sequence}.${toHex(conversation)}`;
}
