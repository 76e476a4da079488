export * from './batch.ts';
export * from './breaker.ts';
export * from './chain.ts';
export * from './conversation.ts';
export * from './create.ts';
export * from './evidence.ts';
export * from './follower.ts';
export * from './hub.ts';
export * from './hub-key.ts';
export * from './link-rules.ts';
export * from './log.ts';
export * from './messages.ts';
export * from './outbox.ts';
export * from './receipt.ts';
export * from './replay-cache.ts';
export * from './route.ts';
export type { EntryFacts } from './rules.ts';
export {
  everyPathAllowed,
  firstRefusal,
  HUB_DEVICE,
  hubUser,
  otherOrganisations,
  pathQuestion,
  refusePath,
} from './rules.ts';
