import { nodeClock, nodeRandom } from '@norc/crypto/node';
import type { HubSender, MlsEngine, MlsGroup, OwnIdentity, PendingCommit } from '@norc/mls';
import { type ConversationId, type Domain, fromHex, idFromBytes, type MessageId } from '@norc/protocol/base';
import { parseDocument, SERVER_CERTIFICATE } from '@norc/protocol/crypto';
import { NORC_C_SCHEMAS, type NorcCBody } from '@norc/protocol/norc-c';
import { encodeBody } from '@norc/protocol/wire';
import { must } from '../support/organisation.ts';
import { messageBytes } from './message-ids.ts';

/** The content is padded to a bucket of 1,024 bytes: this text fills it. */
const TEXT_BYTES = 800;
const LABEL = 'unclassified';

export interface Founder {
  readonly engine: MlsEngine;
  readonly identity: OwnIdentity;
  readonly hub: Domain;
}

/**
 * A conversation of two devices. Its group is real, and so are its commits: servers
 * verify those. Its messages are one real MLS message, sent again with another id and
 * epoch, so that encrypting them costs the load generator nothing: servers read their
 * head and cannot read more.
 */
export class Talk {
  readonly conversation: ConversationId;
  readonly creation: NorcCBody<'conversation_create'>;
  readonly #group: MlsGroup;
  readonly #frameBody: Uint8Array;
  readonly #idOffset: number;
  readonly #epochOffset: number;
  #pending: { readonly id: MessageId; readonly commit: PendingCommit } | undefined;
  #committing = false;
  /** Sequence of the entry that began the epoch, and the newest one seen. */
  #epochSeq = 1;
  #headSeq = 1;

  private constructor(
    group: MlsGroup,
    creation: NorcCBody<'conversation_create'>,
    message: Uint8Array,
    id: Uint8Array,
  ) {
    this.#group = group;
    this.creation = creation;
    this.conversation = group.conversation;
    this.#frameBody = encodeBody(
      NORC_C_SCHEMAS.message_send,
      { conversation: group.conversation, body: message },
      'cbor',
    );
    const bytes = Buffer.from(this.#frameBody.buffer, this.#frameBody.byteOffset, this.#frameBody.length);
    this.#idOffset = bytes.indexOf(id);
    this.#epochOffset = bytes.indexOf(hexBytes(group.conversation)) + 16;
  }

  /** A group of the founder and one other device. */
  static async found({ engine, identity, hub }: Founder, keyPackage: Uint8Array): Promise<Talk> {
    const conversation = idFromBytes<ConversationId>(nodeRandom.bytes(16));
    const hubSenders = [hubSender(identity)];
    const { group } = await engine.createGroup({ conversation, hub, level: 'basic', identity, hubSenders });
    const data = { label: LABEL, conversation, messageId: idFromBytes<MessageId>(messageBytes()) } as const;
    const pending = must(await group.prepareCommit({ add: [keyPackage], authenticatedData: data }));
    if (pending.welcome === undefined) throw new Error('a commit that adds has a Welcome');
    await group.confirm(pending);
    const { commit, welcome, groupInfo } = pending;
    const creation = {
      conversation,
      label: LABEL,
      message_id: data.messageId,
      commit,
      welcome,
      group_info: groupInfo,
    } as const;
    const id = messageBytes();
    return new Talk(group, creation, await sealText(group, idFromBytes(id)), id);
  }

  /** The body of a `message_send` frame; valid until the next call. */
  message(id: Uint8Array): Uint8Array {
    this.#frameBody.set(id, this.#idOffset);
    return this.#frameBody;
  }

  get bodyBytes(): number {
    return this.#frameBody.length;
  }

  grown(seq: number): void {
    if (seq > this.#headSeq) this.#headSeq = seq;
  }

  /** Entries since the epoch began, those on their way not counted. */
  get entriesInEpoch(): number {
    return this.#headSeq - this.#epochSeq;
  }

  get committing(): boolean {
    return this.#committing;
  }

  /** New keys for the group; the epoch changes when the hub has ordered it. */
  async commit(): Promise<NorcCBody<'commit_submit'>> {
    this.#committing = true;
    const id = idFromBytes<MessageId>(messageBytes());
    const data = { label: LABEL, conversation: this.conversation, messageId: id } as const;
    const commit = must(await this.#group.prepareCommit({ update: true, authenticatedData: data }));
    this.#pending = { id, commit };
    return { conversation: this.conversation, message_id: id, commit: commit.commit };
  }

  /** The log has an entry with this id: true when it is the pending commit, which then takes effect. */
  async ordered(id: MessageId, seq: number): Promise<boolean> {
    const pending = this.#pending;
    if (pending?.id !== id) return false;
    this.#pending = undefined;
    await this.#group.confirm(pending.commit);
    new DataView(this.#frameBody.buffer, this.#frameBody.byteOffset).setBigUint64(
      this.#epochOffset,
      BigInt(this.#group.epoch),
    );
    this.#epochSeq = seq;
    this.#committing = false;
    return true;
  }
}

async function sealText(group: MlsGroup, messageId: MessageId): Promise<Uint8Array> {
  const sent_at = nodeClock.now();
  const content = { kind: 'text', message_id: messageId, sent_at, body: { text: 'x'.repeat(TEXT_BYTES) } } as const;
  return must(await group.encrypt(content, { label: LABEL, conversation: group.conversation, messageId }));
}

function hexBytes(id: ConversationId): Uint8Array {
  return fromHex(id) ?? new Uint8Array(0); // an id is hexadecimal
}

/** The founder's server is the hub, and issued its device certificate. */
export function hubSender({ certificates }: OwnIdentity): HubSender {
  const certificate = certificates[1] ?? new Uint8Array();
  const { body } = must(parseDocument(SERVER_CERTIFICATE, certificate));
  return { publicKey: body.public_key, certificates: [certificate] };
}
