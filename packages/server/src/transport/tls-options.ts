import type { SecureContextOptions } from 'node:tls';

/** The hybrid key exchange group that every NORC connection uses (draft-ietf-tls-ecdhe-mlkem). */
export const TLS_GROUP = 'X25519MLKEM768';

/**
 * TLS 1.3 and one group, both ways. There is no second group to be talked down to:
 * traffic recorded today must not fall to a quantum computer later.
 */
export const POST_QUANTUM_TLS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ecdhCurve: TLS_GROUP,
} as const satisfies SecureContextOptions;

export const TLS_HANDSHAKE_MILLISECONDS_MAX = 10_000;
