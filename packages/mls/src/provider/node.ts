import { createHash, hash } from 'node:crypto';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import type { Crypto, RandomBytes } from '@norc/protocol/crypto';
import type { MlsProvider } from './provider.ts';
import { createXWing, type Sha3 } from './x-wing.ts';

/** SHA-3 by OpenSSL. */
export const nodeSha3: Sha3 = {
  sha3_256: (data) => plain(hash('sha3-256', data, 'buffer')),
  shake256: (data, length) => plain(createHash('shake256', { outputLength: length }).update(data).digest()),
};

/** A plain `Uint8Array` over the same memory: `Buffer` differs in `slice`. */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** Native algorithms of Node.js. `random` is replaced where a run must be repeatable. */
export function createNodeMlsProvider(
  crypto: Crypto = nodeCrypto,
  random: RandomBytes = (length) => nodeRandom.bytes(length),
): MlsProvider {
  return { crypto, random, xWing: createXWing(crypto, nodeSha3) };
}
