import { type Argon2idCost, argon2id } from '@norc/crypto/node';
import { utf8, zeroBytes } from '@norc/protocol/base';
import { StoreError } from '../../store/port.ts';

const KEY_BYTES = 32;

/**
 * 32 bytes by Argon2id. The passphrase is normalised (NFKC), so that the same words
 * typed on another keyboard open the vault. A cost that no profile of ours asks for
 * means that the file was changed.
 */
export async function passphraseKey(passphrase: string, salt: Uint8Array, cost: Argon2idCost): Promise<Uint8Array> {
  const message = utf8(passphrase.toWellFormed().normalize('NFKC'));
  try {
    return await argon2id(message, salt, cost, KEY_BYTES);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new StoreError('corrupt', 'The profile is damaged: its passphrase settings are out of range.', { cause });
  } finally {
    zeroBytes(message);
  }
}
