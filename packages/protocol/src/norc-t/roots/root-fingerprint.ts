import { concatBytes, utf8 } from '../../base/index.ts';
import { type Crypto, rootKeyFingerprint } from '../../crypto/index.ts';

const LABEL = utf8('norc-root-keys-v1');

/**
 * What people compare of an organisation's root keys, 32 bytes: one number over both where there are two, else that of the
 * only one (spec/officers section 6). Who compares the Ed25519 key alone would not see another ML-DSA-65 key beside it.
 */
export function rootKeysFingerprint(
  crypto: Crypto,
  rootKey: Uint8Array,
  rootPqKey: Uint8Array | undefined,
): Uint8Array {
  if (rootPqKey === undefined) return rootKeyFingerprint(crypto, rootKey);
  return crypto.blake3(concatBytes(LABEL, rootKey, rootPqKey));
}
