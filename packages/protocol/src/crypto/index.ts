export * from './certificates.ts';
export { hkdfExpand, hkdfExtract } from './hkdf.ts';
export * from './interfaces.ts';
export * from './key-schedule.ts';
export * from './labels.ts';
export * from './signed-document.ts';
export * from './transcript.ts';
