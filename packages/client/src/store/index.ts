export { memoryStore } from './memory.ts';
export * from './port.ts';
export * from './rows.ts';
