export * from './conversations.ts';
export * from './handshake.ts';
export { nobleCrypto, seededRandom } from './noble-crypto.ts';
export * from './officers.ts';
export * from './organisations.ts';
export * from './post-quantum.ts';
export * from './trust-exchange.ts';
export * from './trust-officers.ts';
