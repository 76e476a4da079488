export * from './node-client.ts';
export { type NodeStore, type NodeStoreOptions, openNodeStore } from './store.ts';
export type { Unlock } from './vault.ts';
export { createSecretFile } from './vault-secret-file.ts';
export { type WebSocketTransportOptions, webSocketTransport } from './websocket.ts';
