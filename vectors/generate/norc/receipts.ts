import { nodeCrypto as crypto } from '@norc/crypto/node';
import { decodeUtf8, fromHex, idFromBytes, toHex } from '@norc/protocol/base';
import { draftDocument, signDocumentWith } from '@norc/protocol/crypto';
import { conversationPseudonym, REVOCATION_RECEIPT, type RevocationReceiptBody } from '@norc/protocol/norc-f';
import { TEST_EPOCH, testOrganisation } from '@norc/testkit';
import type { VectorFile } from '../files.ts';
import { filled } from './bodies.ts';

/** Receipts of expulsions (spec/norc-f section 7): bravo revoked charlie, alpha is the hub. */

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const charlie = testOrganisation('charlie.example');
const conversation = idFromBytes<Parameters<typeof conversationPseudonym>[1]>(filled(16, 0xc0));

const pending: RevocationReceiptBody = {
  ...{ issuer: bravo.domain, sequence: 4, cause: 'trust_revoked', subject: charlie.domain, expelled: charlie.domain },
  ...{ conversation: conversationPseudonym(crypto, conversation), hub: alpha.domain, signed_by: alpha.domain },
  ...{ epoch_before: 7, epoch_after: 7, removed: 0, frozen_at: TEST_EPOCH, head_seq: 212, head_hash: filled(32, 0xe1) },
  outcome: 'pending',
};
const removed: RevocationReceiptBody = {
  ...{ ...pending, epoch_after: 8, removed: 2, removed_at: TEST_EPOCH + 900, head_seq: 215 },
  outcome: 'removed',
};
const closed: RevocationReceiptBody = {
  ...{ ...pending, sequence: 0, cause: 'trust_expired', issuer: bravo.domain, subject: alpha.domain },
  ...{ expelled: bravo.domain, signed_by: bravo.domain, removed_at: TEST_EPOCH, outcome: 'closed' },
};

function signed(body: RevocationReceiptBody, by = alpha): string {
  const { bytes } = signDocumentWith(crypto, draftDocument(REVOCATION_RECEIPT, body), by.server);
  return decodeUtf8(bytes) ?? '';
}

function receipt(name: string, body: RevocationReceiptBody, by = alpha) {
  const certificate = decodeUtf8(by.certificate.bytes) ?? '';
  return { name, receipt: signed(body, by), certificate, root_key: toHex(by.root.publicKey), now: TEST_EPOCH };
}

const foreign = testOrganisation('alpha.example', { usages: ['devices', 'trust', 'audit'] });
const { removed_at: _, ...timeless } = removed;
const { receipt: genuine, ...rest } = receipt('the number was changed', removed);

export const receiptVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'receipt',
    about: 'A receipt, the certificate of the key that signed it, the root key of that organisation; the conversation.',
    cases: [
      receipt('frozen', pending),
      receipt('removed', removed),
      receipt('closed by an organisation that follows', closed, bravo),
    ].map((one) => ({ ...one, conversation: toHex(fromHex(conversation) ?? new Uint8Array()) })),
  },
  {
    outcome: 'invalid',
    kind: 'receipt',
    about: 'A receipt that is refused.',
    cases: [
      { ...rest, receipt: genuine.replace('"removed":2', '"removed":3'), error: 'signature_invalid' },
      { ...receipt('signed by another organisation', removed, bravo), error: 'certificate_invalid' },
      { ...receipt('by a key that is not for it', removed, foreign), error: 'certificate_expired' },
      { ...receipt('of an organisation with itself', { ...removed, subject: bravo.domain }), error: 'malformed' },
      { ...receipt('removed, without a time', timeless), error: 'malformed' },
      { ...receipt('removed before it was frozen', { ...removed, removed_at: TEST_EPOCH - 1 }), error: 'malformed' },
      { ...receipt('pending, with a time', { ...pending, removed_at: TEST_EPOCH }), error: 'malformed' },
      { ...receipt('pending, in a later epoch', { ...pending, epoch_after: 8 }), error: 'malformed' },
      { ...receipt('back in time', { ...removed, epoch_after: 6 }), error: 'malformed' },
      { ...receipt('closed, with somebody removed', { ...closed, removed: 1 }, bravo), error: 'malformed' },
    ],
  },
];
