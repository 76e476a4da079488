import type { Crypto } from '@norc/protocol/crypto';
export type C = Crypto;
