export * from './channel.ts';
export * from './federation-fields.ts';
export type { FrameFault, FrameReject, OpenedFrame } from './frame-opener.ts';
export * from './hello-initiator.ts';
export * from './hello-responder.ts';
export { helloErrorText } from './hello-text.ts';
export * from './legacy.ts';
export {
  CHALLENGE_BYTES,
  deviceProofInput,
  federationClientProofInput,
  federationServerProofInput,
  registrationProofInput,
  serverProofInput,
} from './proofs.ts';
export { type SessionKeyExchange, sessionKeyExchange } from './rekey.ts';
export * from './roles.ts';
export type { HelloOutcome } from './session-keys.ts';
export * from './suites.ts';
export * from './versions.ts';
