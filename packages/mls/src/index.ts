export {
  type AuthenticatedData,
  encodeAuthenticatedData,
  type ProposalData,
  parseAuthenticatedData,
  parseProposalData,
  type RemovalCause,
} from './authenticated-data.ts';
export type * from './engine.ts';
export { createGroupViews } from './group-view.ts';
export { createMlsEngine } from './mls-engine.ts';
export { type MlsContentType, type PeekedMessage, type PeekedPrivate, type PeekedPublic, peekMessage } from './peek.ts';
export { DEFAULT_RETENTION, type GroupLevel, MLS_SUITE_ID, type Retention, type RetentionPolicy } from './profile.ts';
export type { Encapsulation, Kem, MlsProvider } from './provider/provider.ts';
