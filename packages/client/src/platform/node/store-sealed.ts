import { toHex } from '@norc/protocol/base';
import { StoreError } from '../../store/port.ts';
import type { MessageKey, MessageRow } from '../../store/rows.ts';
import { decodeRow, encodeRow } from './store-codec.ts';
import { blobOf, type Database, type Row } from './store-database.ts';
import type { Vault } from './vault.ts';

/** The file and the keys to it. */
export interface Sealed {
  readonly database: Database;
  readonly vault: Vault;
}

export function sealRow({ vault }: Sealed, table: string, key: string, column: string, row: object): Uint8Array {
  return vault.seal({ table, key, column }, encodeRow(row));
}

export function openRow<T>({ vault }: Sealed, table: string, key: string, column: string, row: Row): T {
  return decodeRow<T>(vault.open({ table, key, column }, blobOf(row, column)));
}

/** The columns that find a message; its sender is a tag, so that the file does not say who wrote what. */
export interface MessagePlace {
  readonly conversation: string;
  readonly messageId: string;
  readonly sender: Uint8Array;
}

export function placeOf({ vault }: Sealed, key: MessageKey): MessagePlace {
  return {
    conversation: key.conversationId,
    messageId: key.messageId,
    sender: vault.tag('message', key.sender),
  };
}

export function sealMessage(sealed: Sealed, place: MessagePlace, row: MessageRow): Uint8Array {
  return sealRow(sealed, 'message', placeText(place), 'row', row);
}

/** The columns that order the timeline are checked against what was sealed: changing them in the file is noticed. */
export function openMessage(sealed: Sealed, columns: Row, conversation: string): MessageRow {
  const place = { conversation, messageId: String(columns['message_id']), sender: blobOf(columns, 'sender') };
  const row = openRow<MessageRow>(sealed, 'message', placeText(place), 'row', columns);
  if ((columns['seq'] ?? undefined) !== row.seq || (columns['target'] ?? undefined) !== row.target) {
    throw new StoreError('corrupt', 'The profile is damaged: a message is not where it was stored.');
  }
  return row;
}

function placeText(place: MessagePlace): string {
  return `${place.conversation}|${place.messageId}|${toHex(place.sender)}`;
}
