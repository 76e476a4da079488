export * from './bytes.ts';
export * from './ids.ts';
export * from './ports.ts';
export * from './registry.generated.ts';
export * from './result.ts';
