export * from './config/index.ts';
export * from './identity/organisation.ts';
export type { NodeLog, OrgNode } from './org-node.ts';
export { type RunningServer, SERVER_VERSION, type ServerOptions, startServer } from './server.ts';
export { StorageError } from './storage/port.ts';
export { APPLICATION_ID, SCHEMA_VERSION } from './storage/sqlite/schema.ts';
export { ListenError, TlsIdentityError } from './transport/index.ts';
