export * from './entry.ts';
export * from './lines.ts';
export * from './verify.ts';
