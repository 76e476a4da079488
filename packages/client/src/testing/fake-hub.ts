import {
  createGroupViews,
  type GroupView,
  type GroupViews,
  parseAuthenticatedData,
  parseProposalData,
  peekMessage,
  type RemovalCause,
} from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import {
  type Clock,
  type ConversationId,
  type DeviceId,
  type Domain,
  domainOf,
  idFromBytes,
  type MessageId,
  ok,
  type Result,
  reject,
  type UserAddress,
  utf8,
} from '@norc/protocol/base';
import type { Crypto, KeyPair } from '@norc/protocol/crypto';
import type { NorcCBody } from '@norc/protocol/norc-c';
import {
  advance,
  type CommitFacts,
  type ConversationState,
  commitEvidence,
  createConversation,
  decideAppend,
  type EntryContent,
  type EntryFacts,
  freeze,
  groupEvidence,
  HUB_DEVICE,
  headOf,
  hubUser,
  type LinkedEntry,
  linkEntry,
  type MlsHeader,
  proposalEvidence,
  type Submission,
  type TrustPaths,
} from '@norc/protocol/norc-f';

export interface Sender {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
}

interface Range {
  readonly joinedSeq: number;
  leftSeq?: number;
}

/** One conversation as its hub holds it. */
export interface FakeLog {
  state: ConversationState;
  view: GroupView;
  readonly entries: LinkedEntry[];
  readonly cursors: Map<DeviceId, number>;
  readonly ranges: Map<DeviceId, Range>;
}

/**
 * The logs of every organisation of a test, ordered by the real machines and checked
 * by real group views; what is left out is storage and the links between servers.
 */
export class FakeHub {
  readonly logs = new Map<ConversationId, FakeLog>();
  readonly #crypto: Crypto;
  readonly #clock: Clock;
  readonly #views: GroupViews;
  readonly #paths: (domains: Iterable<Domain>) => TrustPaths;
  readonly #grown: (conversation: ConversationId) => void;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(
    crypto: Crypto,
    clock: Clock,
    verifyCredential: Parameters<typeof createGroupViews>[0]['verifyCredential'],
    verifyHub: Parameters<typeof createGroupViews>[0]['verifyHub'],
    grown: (conversation: ConversationId) => void,
  ) {
    this.#crypto = crypto;
    this.#clock = clock;
    const provider = createNodeMlsProvider(crypto);
    this.#views = createGroupViews({
      provider,
      clock,
      verifyCredential,
      ...(verifyHub === undefined ? {} : { verifyHub }),
    });
    const allowed = { kind: 'allow', level: 'nato', natoCapable: true } as const;
    this.#paths = (domains) => new Map(Array.from(domains, (domain) => [domain, allowed]));
    this.#grown = grown;
  }

  create(sender: Sender, body: NorcCBody<'conversation_create'>): Promise<Result<LinkedEntry>> {
    return this.#oneByOne(async () => {
      const known = this.logs.get(body.conversation)?.entries[0];
      if (known !== undefined)
        return known.sender === sender.deviceId ? ok(known) : reject('forbidden', 'conversation');
      const header = readHeader(body.commit);
      const group = await this.#views.fromGroupInfo(body.group_info);
      if (!header.ok) return header;
      if (!group.ok) return group;
      const { epoch, settings, members } = group.value;
      const facts = { epoch, hub: settings.hub, floor: settings.level, members: members.map(groupMember) };
      const self = domainOf(sender.user);
      const { conversation, label, commit, welcome, message_id: messageId } = body;
      const decided = createConversation(
        this.#crypto,
        { conversation, label, messageId, commit, welcome, sender: sender.deviceId, senderUser: sender.user },
        {
          self,
          now: this.#clock.now(),
          header: header.value,
          group: groupEvidence(facts),
          paths: this.#paths([self, ...facts.members.map(({ user }) => domainOf(user))]),
        },
      );
      if (!decided.ok) return decided;
      const { state, entry } = decided.value;
      const ranges = new Map(facts.members.map(({ deviceId }) => [deviceId, { joinedSeq: 1 }]));
      this.logs.set(conversation, { state, view: group.value, entries: [entry], cursors: new Map(), ranges });
      this.#grown(conversation);
      return ok(entry);
    });
  }

  submit(
    sender: Sender,
    conversation: ConversationId,
    messageId: MessageId,
    kind: Submission['kind'],
    parts: Pick<Submission, 'body' | 'welcome' | 'groupInfo'>,
  ): Promise<Result<LinkedEntry>> {
    return this.#oneByOne(async () => {
      const log = this.logs.get(conversation);
      if (log === undefined) return reject('forbidden', 'conversation');
      const { deviceId, user: senderUser } = sender;
      const origin = domainOf(senderUser);
      return await this.#append(log, { conversation, messageId, kind, sender: deviceId, senderUser, origin, ...parts });
    });
  }

  async #append(log: FakeLog, submission: Submission): Promise<Result<LinkedEntry>> {
    const header = readHeader(submission.body);
    if (!header.ok) return header;
    const before = log.entries.find((entry) => entry.messageId === submission.messageId);
    const ordered = before === undefined ? {} : { ordered: before };
    const judged = before === undefined ? await this.#judge(log, submission, header.value) : ok({});
    if (!judged.ok) return judged;
    const paths = this.#paths([...log.state.organisations, submission.origin, ...joining(judged.value)]);
    const { view, ...evidence } = { view: undefined, ...judged.value };
    const facts = { header: header.value, ...evidence, ...ordered, paths, now: this.#clock.now() };
    const decided = decideAppend(this.#crypto, log.state, submission, facts);
    if (!decided.ok) return decided;
    if (decided.value.outcome === 'duplicate') return before === undefined ? reject('internal', 'test') : ok(before);
    const { entry, state, change } = decided.value;
    log.state = state;
    log.view = view ?? log.view;
    log.entries.push(entry);
    for (const { deviceId } of change?.added ?? []) log.ranges.set(deviceId, { joinedSeq: entry.seq });
    for (const device of change?.removed ?? []) {
      const range = log.ranges.get(device);
      if (range !== undefined) range.leftSeq = entry.seq;
    }
    this.#grown(submission.conversation);
    return ok(entry);
  }

  /** What the public group says of a handshake message. One of another epoch is refused by the epoch rule. */
  async #judge(log: FakeLog, { kind, body }: Submission, header: MlsHeader): Promise<Result<Judged>> {
    if (kind === 'application') return ok({});
    if (header.epoch !== log.state.epoch) return reject('epoch_conflict', 'epoch');
    const applied = await log.view.apply(body);
    if (!applied.ok) return applied;
    const change = applied.value;
    if (change.kind === 'proposal') {
      const proposer = change.sender === 'hub' ? 'hub' : change.sender.identity.deviceId;
      return ok({ proposal: proposalEvidence(proposer), view: change.view });
    }
    const proposed = log.view.members.filter(({ leafIndex }) => log.view.proposedRemovals.includes(leafIndex));
    const facts: CommitFacts = {
      committer: change.sender.identity.deviceId,
      epoch: change.epoch,
      added: change.added.map(groupMember),
      removed: change.removed.map(({ identity }) => identity.deviceId),
      proposedRemovals: proposed.map(({ identity }) => identity.deviceId),
    };
    return ok({ commit: commitEvidence(facts), view: change.view });
  }

  /** The hub proposes to remove a device, as an external sender of the group. */
  propose(
    conversation: ConversationId,
    device: DeviceId,
    keys: KeyPair,
    cause: RemovalCause = 'device_revoked',
  ): Promise<Result<LinkedEntry>> {
    return this.#oneByOne(async () => {
      const log = this.logs.get(conversation);
      const leaf = log?.view.members.find(({ identity }) => identity.deviceId === device)?.leafIndex;
      if (log === undefined || leaf === undefined) return reject('forbidden', 'device');
      const { hub, label } = log.state;
      const { publicKey, privateKey } = keys;
      const signer = { publicKey, sign: async (bytes: Uint8Array) => this.#crypto.ed25519.sign(privateKey, bytes) };
      const messageId: MessageId = idFromBytes(
        this.#crypto.blake3(utf8(`${device} ${log.state.headSeq}`)).slice(0, 16),
      );
      const body = await log.view.proposeRemove(leaf, signer, { conversation, messageId, label, cause });
      const from = { sender: HUB_DEVICE, senderUser: hubUser(hub), origin: hub };
      return await this.#append(log, { conversation, messageId, kind: 'proposal', body, ...from });
    });
  }

  /** What a dishonest hub orders: anything, by no rule, onto a chain that is sound. */
  inject(conversation: ConversationId, content: EntryContent): LinkedEntry {
    const log = this.logs.get(conversation);
    if (log === undefined) throw new RangeError('no such conversation');
    const entry = linkEntry(this.#crypto, headOf(log.state), content);
    log.state = advance(log.state, entry);
    log.entries.push(entry);
    this.#grown(conversation);
    return entry;
  }

  /** Nothing but removals goes on. */
  freeze(conversation: ConversationId): void {
    const log = this.logs.get(conversation);
    if (log !== undefined) log.state = freeze(log.state);
  }

  /** What a device may read after `after`. */
  read(conversation: ConversationId, device: DeviceId, after: number): readonly LinkedEntry[] {
    const log = this.logs.get(conversation);
    const range = log?.ranges.get(device);
    if (log === undefined || range === undefined) return [];
    const { joinedSeq, leftSeq = Number.MAX_SAFE_INTEGER } = range;
    return log.entries.filter(({ seq }) => seq > after && seq >= joinedSeq && seq <= leftSeq);
  }

  #oneByOne<T>(task: () => Promise<T>): Promise<T> {
    const running = this.#tail.then(task);
    this.#tail = running.catch(() => undefined);
    return running;
  }
}

type Judged = Pick<EntryFacts, 'commit' | 'proposal'> & { readonly view?: GroupView };

function joining({ commit }: Judged): readonly Domain[] {
  return (commit?.added ?? []).map(({ user }) => domainOf(user));
}

function groupMember({ identity, leafIndex }: GroupView['members'][number]) {
  return { deviceId: identity.deviceId, user: identity.user, leafIndex };
}

/** What an MLS message says of itself in the clear. */
export function readHeader(body: Uint8Array): Result<MlsHeader> {
  const peeked = peekMessage(body);
  if (!peeked.ok) return peeked;
  const { conversation, epoch, wire, contentType } = peeked.value;
  const parse = contentType === 'proposal' ? parseProposalData : parseAuthenticatedData;
  const data = parse(peeked.value.authenticatedData);
  if (!data.ok) return data;
  return ok({ conversation, epoch, wire, contentType, authenticatedData: data.value });
}
