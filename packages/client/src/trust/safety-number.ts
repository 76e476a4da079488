import { compareBytes, concatBytes, sameBytes, type UserAddress, utf8 } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';

/** A person's devices, as the groups that both people are in prove them. */
export interface PersonDevices {
  readonly user: UserAddress;
  /** Ed25519 keys, 32 bytes each, in any order; repeats do not count. */
  readonly keys: readonly Uint8Array[];
}

const LABEL = utf8('norc-safety-number-v1');
const GROUPS_PER_PERSON = 6;
const GROUP_BYTES = 5;
const GROUP_VALUES = 100_000;

/**
 * What two people compare over a channel that they trust already: 60 digits, equal on
 * both sides exactly when both see the same devices of both [SAFETY-1 to SAFETY-4].
 * Throws RangeError for one person instead of two.
 */
export function safetyNumber(crypto: Pick<Crypto, 'blake3'>, a: PersonDevices, b: PersonDevices): string {
  if (a.user === b.user) throw new RangeError('a safety number is between two people');
  const [first, second] = a.user < b.user ? [a, b] : [b, a];
  return digitsOf(crypto, first) + digitsOf(crypto, second);
}

/** For people: twelve groups of five. */
export function safetyNumberGroups(number: string): readonly string[] {
  return number.match(/.{5}/g) ?? [];
}

function digitsOf(crypto: Pick<Crypto, 'blake3'>, { user, keys }: PersonDevices): string {
  const sorted = [...keys].sort(compareBytes).filter((key, i, all) => i === 0 || !sameBytes(key, all[i - 1] ?? key));
  const address = utf8(user);
  const hash = crypto.blake3(concatBytes(LABEL, uint16(address.length), address, uint16(sorted.length), ...sorted));
  let digits = '';
  for (let group = 0; group < GROUPS_PER_PERSON; group += 1) {
    let value = 0;
    for (const byte of hash.subarray(group * GROUP_BYTES, (group + 1) * GROUP_BYTES)) value = value * 256 + byte;
    digits += String(value % GROUP_VALUES).padStart(5, '0');
  }
  return digits;
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}
