import { type Argon2Parameters, argon2 } from 'node:crypto';
import { plainBytes } from './lengths.ts';

/** Cost of Argon2id (RFC 9106). Stored beside what it protects, so that it can rise later. */
export interface Argon2idCost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

/** The second recommended option of RFC 9106 section 4: 64 MiB, 3 passes, 4 lanes; about 0.1 s. */
export const ARGON2ID_VAULT: Argon2idCost = { memoryKib: 65536, passes: 3, lanes: 4 };

/** A cost read from a file somebody else could have written must not exhaust the machine. */
export const ARGON2ID_MEMORY_KIB_MAX = 1024 * 1024;
export const ARGON2ID_PASSES_MAX = 16;
export const ARGON2ID_LANES_MAX = 16;

const SALT_BYTES_MIN = 16;

/**
 * A key of `length` bytes from a passphrase, computed off the event loop. Salt: at
 * least 16 random bytes. Throws RangeError for a cost outside the bounds above.
 */
export function argon2id(
  passphrase: Uint8Array,
  salt: Uint8Array,
  cost: Argon2idCost,
  length: number,
): Promise<Uint8Array> {
  requireCost(cost);
  if (salt.length < SALT_BYTES_MIN) throw new RangeError(`an Argon2id salt has at least ${SALT_BYTES_MIN} bytes`);
  return runArgon2id({
    message: passphrase,
    nonce: salt,
    memory: cost.memoryKib,
    passes: cost.passes,
    parallelism: cost.lanes,
    tagLength: length,
  });
}

/** Exported for the known answer of RFC 9106, which uses a secret and associated data. */
export function runArgon2id(parameters: Argon2Parameters): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, key) => {
      if (error === null) resolve(plainBytes(key));
      else reject(error);
    });
  });
}

function requireCost({ memoryKib, passes, lanes }: Argon2idCost): void {
  const within = (value: number, min: number, max: number) => Number.isInteger(value) && value >= min && value <= max;
  if (!within(lanes, 1, ARGON2ID_LANES_MAX)) throw new RangeError('Argon2id lanes are out of bounds');
  if (!within(passes, 1, ARGON2ID_PASSES_MAX)) throw new RangeError('Argon2id passes are out of bounds');
  if (!within(memoryKib, 8 * lanes, ARGON2ID_MEMORY_KIB_MAX)) throw new RangeError('Argon2id memory is out of bounds');
}
