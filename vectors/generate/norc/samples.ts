import { filled, type Sample } from './bodies.ts';

/** What messages of several layers hold, for vectors. */
export const CONVERSATION = filled(16, 0xc0);
export const DEVICE = filled(16, 0xd0);
export const OTHER_DEVICE = filled(16, 0xd1);
export const MESSAGE_ID = filled(16, 0x1d);
export const ANNA = 'anna@alpha.example';
export const BEN = 'ben@bravo.example';
export const ALPHA = 'alpha.example';
export const BRAVO = 'bravo.example';
export const TIME = 1_790_000_000_000;
export const COMMIT = Uint8Array.of(0, 1, 0, 1);
export const MESSAGE = Uint8Array.of(0, 1, 0, 2);
export const WELCOME = Uint8Array.of(0, 1, 0, 3);
export const GROUP_INFO = Uint8Array.of(0, 1, 0, 4);
export const KEY_PACKAGE = Uint8Array.of(0, 1, 0, 5);
export const DOCUMENT = Uint8Array.from(Buffer.from('{"type":"example"}'));

/** A log entry as it travels; its hashes are placeholders, since a body's form does not depend on them. */
export const ENTRY: { readonly [field: string]: Sample } = {
  seq: 7,
  kind: 'application',
  message_id: MESSAGE_ID,
  sender: DEVICE,
  sender_user: ANNA,
  epoch: 3,
  label: 'unclassified',
  body: MESSAGE,
  welcome_hash: filled(32, 0xe0),
  hash: filled(32, 0xe1),
  stored_at: TIME,
};

export const COMMIT_ENTRY: { readonly [field: string]: Sample } = {
  ...ENTRY,
  kind: 'commit',
  body: COMMIT,
  welcome: WELCOME,
};
