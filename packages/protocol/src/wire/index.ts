export * from './schema.ts';
export * from './log-entry.ts';
