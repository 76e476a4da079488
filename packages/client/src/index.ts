export * from './store/index.ts';
export * from './timeline/index.ts';
