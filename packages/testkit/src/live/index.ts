export * from './conversation.ts';
export * from './deadline.ts';
export * from './device.ts';
export * from './faulty-store.ts';
export * from './link.ts';
export * from './servers.ts';
export * from './session.ts';
export * from './versions.ts';
