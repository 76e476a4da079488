import { type Clock, type Domain, instant, MESSAGE_TYPES, ok, type Result, reject } from '@norc/protocol/base';
import {
  firstRefusal,
  messageSubmit,
  type NorcFBody,
  originRoute,
  otherOrganisations,
  pathQuestion,
  refusePath,
  type Submission,
} from '@norc/protocol/norc-f';
import type { TrustDecision, TrustQuestion } from '@norc/protocol/norc-t';
import { encodeBody } from '@norc/protocol/wire';
import type { SubmitOutcome } from '../services.ts';
import type { OutboxRow, Store } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';
import type { FanOut } from './fan-out.ts';
import type { LogCache } from './log-cache.ts';
import { readHeader } from './mls-header.ts';
import { errorName, submitItem, submittedItems } from './submit-item.ts';

const SUBMISSION_LIFE_MS = 7 * 86_400_000;

export interface HubOutboxDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly clock: Clock;
  readonly decide: (question: TrustQuestion) => TrustDecision;
  /** There is something for this organisation's server. */
  readonly wake: (peer: Domain, outbox?: OutboxRow | 'more') => void;
}

/** What local devices submit to logs that other organisations order: in our outbox until its fate is known. */
export class HubOutbox {
  readonly #d: HubOutboxDependencies;
  readonly #logs: LogCache;
  readonly #ears: FanOut;

  constructor(dependencies: HubOutboxDependencies, logs: LogCache, ears: FanOut) {
    this.#d = dependencies;
    this.#logs = logs;
    this.#ears = ears;
  }

  /** Durable here first; the hub has the last word. What it would refuse for certain is refused here already. */
  async submit(log: ConversationLog, submission: Submission): Promise<Result<SubmitOutcome>> {
    const refused = this.#refuse(log, submission);
    if (!refused.ok) return refused;
    const now = this.#d.clock.now();
    const item: OutboxRow = {
      id: submission.messageId,
      peer: log.state.hub,
      priority: 'interactive',
      type: MESSAGE_TYPES.message_submit,
      body: encodeBody(messageSubmit, { items: [submitItem(submission, originRoute(this.#d.self))] }, 'cbor'),
      createdAt: now,
      expiresAt: instant(now + SUBMISSION_LIFE_MS),
    };
    const outcome = await this.#d.store.commit([{ op: 'outbox.add', item }]);
    this.#d.wake(log.state.hub, item);
    if (outcome.ok) return ok({ state: 'queued' });
    const ordered = await this.#d.store.read.entryByMessageId(log.conversation, submission.messageId);
    return ok(ordered === undefined ? { state: 'queued' } : { state: 'sent', seq: ordered.seq });
  }

  #refuse({ state }: ConversationLog, submission: Submission): Result<undefined> {
    const member = state.members.get(submission.sender);
    if (member?.user !== submission.senderUser) return reject('forbidden', 'sender');
    const header = readHeader(submission.body);
    if (!header.ok) return header;
    const { label, messageId, conversation } = header.value.authenticatedData;
    if (conversation !== state.conversation || messageId !== submission.messageId)
      return reject('malformed', 'authenticated data');
    if (label !== state.label) return reject('label_not_allowed', 'label');
    if (state.frozen && submission.kind !== 'commit') return reject('conversation_frozen', 'frozen');
    const bytes = submission.body.length;
    // The hub passes a message on to everybody, and decides on its own paths only: ours to the others are ours to check.
    const concerned = submission.kind === 'application' ? otherOrganisations(state) : [state.hub];
    const paths = new Map(concerned.map((org) => [org, this.#d.decide(pathQuestion(state, org, this.#d.self, bytes))]));
    const refused = firstRefusal(concerned, (org) => refusePath(paths, org, state.floor, bytes, true));
    return refused === undefined ? ok(undefined) : reject(refused.code, refused.detail);
  }

  async resolved(peer: Domain, results: NorcFBody<'submit_result'>['items']): Promise<void> {
    for (const { conversation, message_id, status, code } of results) {
      if (status === 'retry') continue;
      const log = await this.#logs.get(conversation);
      if (log !== undefined && log.state.hub !== peer) continue; // a server has no say in another hub's log
      if (status === 'ordered') continue; // its relay settles the rest, in one transaction with the entry
      const ordered =
        status === 'refused' ? undefined : await this.#d.store.read.entryByMessageId(conversation, message_id);
      if (status !== 'refused' && ordered === undefined) continue; // it was ordered before, and its relay is on the way
      // Read before it goes: its sender may be no member any more when the refusal comes.
      const row = status === 'refused' ? await this.#d.store.read.outboxItem(peer, message_id) : undefined;
      await this.#d.store.commit([{ op: 'outbox.remove', peer, ids: [message_id] }]);
      for (const { sender } of row === undefined ? [] : submittedItems(row)) {
        const refused = { code: errorName(code), detail: 'refused by the hub' };
        this.#ears.resolved(sender, conversation, message_id, { refused });
      }
    }
  }
}
