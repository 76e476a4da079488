export * from './conversations.ts';
export * from './handshake.ts';
export { nobleCrypto, seededRandom } from './noble-crypto.ts';
export * from './organisations.ts';
export * from './trust-exchange.ts';
