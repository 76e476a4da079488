import { nodeCrypto } from '@norc/crypto/node';
import { concatBytes, toHex, utf8 } from '@norc/protocol/base';
import type { VectorFile } from '../files.ts';
import { cborOf, filled, type Sample } from './bodies.ts';
import {
  ALPHA,
  ANNA,
  BEN,
  COMMIT,
  CONVERSATION,
  DEVICE,
  MESSAGE,
  MESSAGE_ID,
  OTHER_DEVICE,
  TIME,
  WELCOME,
} from './samples.ts';

/** The hash chain of spec/norc-f section 2, from its definition: nothing here calls the code under test. */

const { blake3 } = nodeCrypto;
const NONE = new Uint8Array(0);

export interface LogEntrySample {
  readonly seq: number;
  readonly kind: string;
  readonly message_id: Uint8Array;
  readonly sender: Uint8Array;
  readonly sender_user: string;
  readonly epoch: number;
  readonly label: string;
  readonly body: Uint8Array;
  readonly welcome: Uint8Array;
  readonly stored_at: number;
}

const labelled = (label: string, ...rest: readonly Uint8Array[]): Uint8Array =>
  blake3(concatBytes(utf8(label), ...rest));
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

export function genesisOf(conversation: Uint8Array, hub: string): Uint8Array {
  return labelled('norc-log-genesis-v1', bytesOf(cborOf({ conversation, hub })));
}

export function headerOf({ body, welcome, ...rest }: LogEntrySample): { readonly [field: string]: Sample } {
  return { ...rest, conversation: CONVERSATION, body_hash: blake3(body), welcome_hash: blake3(welcome) };
}

export function hashOf(previous: Uint8Array, entry: LogEntrySample): Uint8Array {
  return labelled('norc-log-v1', previous, bytesOf(cborOf(headerOf(entry))));
}

const first: LogEntrySample = {
  ...{ seq: 1, kind: 'commit', message_id: filled(16, 0xa1), sender: DEVICE, sender_user: ANNA },
  ...{ epoch: 0, label: 'unclassified', body: COMMIT, welcome: WELCOME, stored_at: TIME },
};
const second: LogEntrySample = {
  ...{ seq: 2, kind: 'application', message_id: MESSAGE_ID, sender: OTHER_DEVICE, sender_user: BEN },
  ...{ epoch: 1, label: 'unclassified', body: MESSAGE, welcome: NONE, stored_at: TIME + 1000 },
};
const third: LogEntrySample = {
  ...{ seq: 3, kind: 'application', message_id: filled(16, 0xa3), sender: DEVICE, sender_user: ANNA },
  ...{ epoch: 1, label: 'unclassified', body: filled(300, 0x33), welcome: NONE, stored_at: TIME + 2000 },
};

const hexFields = (entry: LogEntrySample) => ({
  ...{ seq: entry.seq, kind: entry.kind, epoch: entry.epoch, label: entry.label, stored_at: entry.stored_at },
  ...{ message_id: toHex(entry.message_id), sender: toHex(entry.sender), sender_user: entry.sender_user },
  ...{ body: toHex(entry.body), welcome: toHex(entry.welcome), welcome_hash: toHex(blake3(entry.welcome)) },
});

const genesis = genesisOf(CONVERSATION, ALPHA);

function chained(entries: readonly LogEntrySample[]) {
  let previous = genesis;
  return entries.map((entry) => {
    const hash = hashOf(previous, entry);
    const shown = {
      ...hexFields(entry),
      header: cborOf(headerOf(entry)),
      previous_hash: toHex(previous),
      hash: toHex(hash),
    };
    previous = hash;
    return shown;
  });
}

const [one, two, three] = chained([first, second, third]);
const head = { conversation: toHex(CONVERSATION), seq: 1, hash: one?.hash };
const flipped = (hex: string | undefined): string => `${hex?.slice(0, -1)}${hex?.endsWith('0') ? '1' : '0'}`;

export const logVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'log',
    about:
      'A log from its genesis hash on. header: the canonical CBOR that is hashed. welcome is empty when there is none.',
    cases: [
      {
        name: 'three entries',
        conversation: toHex(CONVERSATION),
        hub: ALPHA,
        genesis: toHex(genesis),
        entries: [one, two, three],
      },
      {
        ...{ name: 'another hub', conversation: toHex(CONVERSATION), hub: 'bravo.example' },
        ...{ genesis: toHex(genesisOf(CONVERSATION, 'bravo.example')), entries: [] },
      },
      {
        ...{ name: 'another conversation', conversation: toHex(filled(16, 0xc1)), hub: ALPHA },
        ...{ genesis: toHex(genesisOf(filled(16, 0xc1), ALPHA)), entries: [] },
      },
    ],
  },
  {
    outcome: 'invalid',
    kind: 'log',
    about: 'An entry that does not come next after the head.',
    cases: [
      { name: 'an entry is missing before it', head, entry: three, error: 'log_gap' },
      { name: 'its place is taken', head, entry: { ...one, body: toHex(MESSAGE) }, error: 'log_fork' },
      { name: 'another hash', head, entry: { ...two, hash: flipped(two?.hash) }, error: 'log_fork' },
      { name: 'another body', head, entry: { ...two, body: toHex(COMMIT) }, error: 'log_fork' },
      { name: 'another label', head, entry: { ...two, label: 'official_use_only' }, error: 'log_fork' },
      { name: 'another sender', head, entry: { ...two, sender: toHex(DEVICE) }, error: 'log_fork' },
      { name: 'another user', head, entry: { ...two, sender_user: ANNA }, error: 'log_fork' },
      { name: 'another epoch', head, entry: { ...two, epoch: 2 }, error: 'log_fork' },
      { name: 'another kind', head, entry: { ...two, kind: 'proposal' }, error: 'log_fork' },
      { name: 'another time', head, entry: { ...two, stored_at: TIME }, error: 'log_fork' },
      { name: 'another message id', head, entry: { ...two, message_id: one?.message_id }, error: 'log_fork' },
      { name: 'another Welcome hash', head, entry: { ...two, welcome_hash: one?.welcome_hash }, error: 'log_fork' },
      {
        name: 'a head of another conversation',
        head: { ...head, conversation: toHex(filled(16, 0xc1)) },
        entry: two,
        error: 'log_fork',
      },
      {
        ...{ name: 'a Welcome that was swapped', error: 'malformed' },
        head: { conversation: toHex(CONVERSATION), seq: 0, hash: toHex(genesis) },
        entry: { ...one, welcome: toHex(MESSAGE) },
      },
    ],
  },
];
