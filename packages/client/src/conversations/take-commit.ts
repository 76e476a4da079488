import type { Member, MlsGroup, ProposedRemoval, Received, RemovalCause } from '@norc/mls';
import { type Domain, LABELS, type Label, type UserAddress } from '@norc/protocol/base';
import type { LogEntry } from '@norc/protocol/norc-f';
import { atLeast } from '@norc/protocol/norc-t';
import type { ConversationDetails } from '../store/rows.ts';
import type { Problem } from '../timeline/causes.ts';
import type { Notice, TrustEndCause } from '../timeline/notices.ts';
import { type LevelRefusal, organisationsIn, refuseMembership } from '../trust/level-check.ts';
import type { Batch } from './batch.ts';
import type { Cell } from './cell.ts';
import type { CommitDriver } from './commit-driver.ts';
import type { EngineContext } from './context.ts';
import { mayOpenLater } from './dispositions.ts';
import { closingLine } from './take-closing.ts';
import { addProblem, detailsIn, isWhatItSays, type LogHooks, lineId, type Taken } from './take-message.ts';

export interface CommitSurroundings {
  readonly driver: CommitDriver;
  readonly hooks: LogHooks;
  /** As the server says; the group itself names the hub too. */
  readonly hub: Domain;
}

/** What a commit changed, whoever made it. */
interface Change {
  readonly before: readonly Member[];
  readonly added: readonly Member[];
  readonly removed: readonly Member[];
  /** Removals that the hub had proposed. */
  readonly byHub: readonly ProposedRemoval[];
  /** What it means to this device. */
  readonly self: 'stays' | 'joins' | 'leaves';
  /** Who may not be in it at its floor, and is. */
  readonly low?: LevelRefusal;
}

/** A commit entry, its place in the log verified. */
export async function takeCommit(
  ctx: EngineContext,
  cell: Cell,
  entry: LogEntry,
  batch: Batch,
  around: CommitSurroundings,
): Promise<Taken> {
  const { group } = cell;
  if (!isWhatItSays(cell, entry)) return addProblem(cell, entry, batch, { cause: 'key.tampered' });
  const before = group === undefined ? [] : group.members;
  const byHub = group?.active === true ? group.proposedRemovals.filter(({ by }) => by === 'hub') : [];
  // Ours is adopted only when the log shows it; any other one of its epoch has won, and ours is erased.
  const own = await around.driver.commitOrdered(entry, batch);
  if (own !== undefined) {
    describe(cell, entry, batch, around, { ...own, before, byHub, self: 'stays' });
    if (own.added.length > 0 && entry.epoch > 0) around.hooks.welcomed(batch);
    return 'taken';
  }
  if (group === undefined || !group.active) return await join(ctx, cell, entry, batch, around);
  if (entry.sender === ctx.self.deviceId) return lost(ctx, cell, entry, batch);
  const received = await group.receive(entry.body);
  if (!received.ok && mayOpenLater(received.error.code)) return 'blocked';
  // The commit that began its epoch was refused here: said then, and not again.
  if (!received.ok && received.error.code === 'log_gap') return addWaiting(cell, entry, batch);
  if (!received.ok || received.value.kind !== 'commit') return refuse(ctx, cell, entry, batch);
  batch.groupChanged('whole');
  return await followed(ctx, cell, entry, batch, around, { before, byHub }, received.value);
}

function addWaiting(cell: Cell, entry: LogEntry, batch: Batch): Taken {
  return addProblem(cell, entry, batch, { cause: 'key.waiting', user: entry.senderUser, count: 1 });
}

async function followed(
  ctx: EngineContext,
  cell: Cell,
  entry: LogEntry,
  batch: Batch,
  around: CommitSurroundings,
  known: Pick<Change, 'before' | 'byHub'>,
  commit: Extract<Received, { kind: 'commit' }>,
): Promise<Taken> {
  const { deviceId: sender, user: senderUser } = commit.sender.identity;
  const { added, removed, selfRemoved } = commit;
  const self = selfRemoved ? 'leaves' : 'stays';
  const low = selfRemoved ? undefined : await tooLow(ctx, cell, added, detailsIn(cell, batch));
  if (low !== undefined) warn(ctx, cell, low.problem);
  const said = { ...entry, sender, senderUser };
  describe(cell, said, batch, around, { ...known, added, removed, self, ...(low === undefined ? {} : { low }) });
  if (selfRemoved) around.driver.removed(batch);
  return 'taken';
}

/**
 * [DEV-16] Somebody below the floor came in, by members and servers that let it: nothing more is said
 * here while it is so. Others in it are looked at before each sending anyway.
 */
async function tooLow(
  ctx: EngineContext,
  { group }: Cell,
  added: readonly Member[],
  known: ConversationDetails | undefined,
): Promise<LevelRefusal | undefined> {
  if (group === undefined || known === undefined) return undefined;
  const orgs =
    known.standing === 'paused' ? organisationsIn(group) : new Set(added.map(({ identity }) => identity.org));
  const carriage = { label: known.label, floor: group.settings.level };
  const refused = await refuseMembership(ctx.anchors, orgs, carriage);
  return refused?.passes === 'never' ? refused : undefined;
}

/** This device is invited. Blocked while somebody's organisation cannot be asked about. */
async function join(
  ctx: EngineContext,
  cell: Cell,
  entry: LogEntry,
  batch: Batch,
  around: CommitSurroundings,
): Promise<Taken> {
  if (entry.welcome.length === 0) return unreadable(cell, entry, batch);
  const refs = ctx.mls.welcomeRefs(entry.welcome);
  const own = refs.ok ? await ownPackage(ctx, refs.value) : undefined;
  if (own === undefined) return refuseJoin(ctx, cell, entry, batch);
  const joined = await ctx.mls.join({ welcome: entry.welcome, secret: own.privatePackage, identity: ctx.identity });
  if (!joined.ok && mayOpenLater(joined.error.code)) return 'blocked';
  if (!joined.ok || !fits(cell, entry, around.hub, joined.value)) return refuseJoin(ctx, cell, entry, batch);
  // A Welcome of a former epoch, told again, would bring a removed device back into what it was removed from.
  if (cell.group !== undefined && joined.value.epoch <= cell.group.epoch) return refuseJoin(ctx, cell, entry, batch);
  const low = await refuseInvitation(ctx, joined.value, entry.label);
  if (low !== undefined && mayOpenLater(low.code)) return 'blocked';
  if (low !== undefined) return refuseJoin(ctx, cell, entry, batch, low.problem);
  cell.group = joined.value;
  batch.groupChanged('whole');
  batch.writes.push({ op: 'keyPackage.use', ref: own.ref, usedAt: ctx.deviceClock.now() });
  batch.after.push(around.hooks.joined);
  const isSelf = ({ identity }: Member) => identity.deviceId === ctx.self.deviceId;
  const before = joined.value.members.filter((member) => !isSelf(member));
  const added = joined.value.members.filter(isSelf);
  describe(cell, entry, batch, around, { before, added, removed: [], byHub: [], self: 'joins' });
  return 'taken';
}

/** [DEV-16] Whoever invites may be wrong, and every server on the way: label, floor, hub and members by this device's own anchors. */
async function refuseInvitation(
  ctx: EngineContext,
  group: MlsGroup,
  label: Label,
): Promise<Pick<LevelRefusal, 'code' | 'problem'> | undefined> {
  const { level: floor } = group.settings;
  if (!atLeast(floor, LABELS[label].level)) {
    return { code: 'label_not_allowed', problem: { cause: 'trust.too_low', label, level: floor } };
  }
  return await refuseMembership(ctx.anchors, organisationsIn(group), { label, floor });
}

async function ownPackage(ctx: EngineContext, refs: readonly Uint8Array[]) {
  for (const ref of refs) {
    const own = await ctx.store.read.keyPackage(ref);
    if (own !== undefined) return own;
  }
  return undefined;
}

/** The group is the one that the log is about, and whoever invited is in it. */
function fits(cell: Cell, entry: LogEntry, hub: Domain, group: MlsGroup): boolean {
  const inviter = group.members.find(({ identity }) => identity.deviceId === entry.sender);
  return (
    group.conversation === cell.id &&
    group.epoch === entry.epoch + 1 &&
    group.settings.hub === hub &&
    inviter?.identity.user === entry.senderUser
  );
}

/** Of a former life in this conversation, or of one that could not be joined. */
function unreadable(cell: Cell, entry: LogEntry, batch: Batch): Taken {
  return cell.row === undefined ? 'taken' : addProblem(cell, entry, batch, { cause: 'key.before_join' });
}

function refuseJoin(ctx: EngineContext, cell: Cell, entry: LogEntry, batch: Batch, why = unapproved(entry)): Taken {
  if (!cell.ignored) warn(ctx, cell, why);
  cell.ignored = true;
  return unreadable(cell, entry, batch);
}

/** A member that its organisation did not certify, or a commit that does not verify: refused loudly [DEV-6]. */
function refuse(ctx: EngineContext, cell: Cell, entry: LogEntry, batch: Batch): Taken {
  warn(ctx, cell, unapproved(entry));
  const details = detailsIn(cell, batch);
  // The others went on without us: what follows cannot be opened, and nothing may be sent into it.
  if (details !== undefined)
    batch.writes.push({ op: 'conversation.put', conversation: { ...details, standing: 'paused' } });
  return addProblem(cell, entry, batch, { cause: 'key.sender_unapproved', user: entry.senderUser });
}

function unapproved({ senderUser: user }: LogEntry): Problem {
  return { cause: 'key.sender_unapproved', user };
}

function warn(ctx: EngineContext, cell: Cell, problem: Problem): void {
  ctx.emit({ type: 'warning', warning: 'group_refused', problem, conversationId: cell.id });
}

/** A commit of this device that this device does not know: its store is older than its deeds. */
function lost(ctx: EngineContext, cell: Cell, entry: LogEntry, batch: Batch): Taken {
  const problem = { cause: 'device.storage_lost' } as const;
  ctx.emit({ type: 'warning', warning: 'group_refused', problem, conversationId: cell.id });
  const details = detailsIn(cell, batch);
  if (details !== undefined)
    batch.writes.push({ op: 'conversation.put', conversation: { ...details, standing: 'paused' } });
  return addProblem(cell, entry, batch, problem);
}

// ---- what people see of it ----

function describe(cell: Cell, entry: LogEntry, batch: Batch, around: CommitSurroundings, change: Change): void {
  const { group } = cell;
  if (group === undefined) return;
  // The group of a device that was removed stays as it was.
  const gone = new Set(change.removed.map(({ identity }) => identity.deviceId));
  const members = group.members.filter(({ identity }) => !gone.has(identity.deviceId));
  const known = detailsIn(cell, batch);
  const conversation = detailsAfter(cell, entry, known, group, members, change);
  batch.writes.push({ op: 'conversation.put', conversation });
  if (known?.standing === 'closed') batch.writes.push({ op: 'message.discard', key: closingLine(cell.id) });
  const notices = entry.epoch === 0 ? [created(entry)] : noticesOf(entry, members, change);
  if (notices.length > 0) batch.writes.push(noticesWrite(cell, entry, notices));
  batch.after.push(around.hooks.membersChanged);
}

function detailsAfter(
  cell: Cell,
  entry: LogEntry,
  known: ConversationDetails | undefined,
  group: MlsGroup,
  members: readonly Member[],
  { self, low }: Change,
): ConversationDetails {
  const participants = [...usersOf(members)].sort();
  const title = known?.title;
  const present = low === undefined ? 'open' : 'paused';
  const hasLeft = self === 'leaves' || (self === 'stays' && known?.standing === 'left');
  return {
    conversationId: cell.id,
    kind: known?.kind === 'group' || participants.length > 2 || title !== undefined ? 'group' : 'direct',
    ...(title === undefined ? {} : { title }),
    participants,
    hub: group.settings.hub,
    label: known?.label ?? entry.label,
    level: group.settings.level,
    createdAt: known?.createdAt ?? entry.storedAt,
    standing: hasLeft ? 'left' : present,
  };
}

function created({ senderUser: by }: LogEntry): Notice {
  return { notice: 'created', by };
}

function noticesOf(
  { senderUser: by }: LogEntry,
  after: readonly Member[],
  { before, added, removed: all, byHub, low }: Change,
): readonly Notice[] {
  const wereIn = usersOf(before);
  const areIn = usersOf(after);
  const causes = new Map(byHub.map(({ member, cause }) => [member.identity.deviceId, cause]));
  const causeOf = ({ identity }: Member) => causes.get(identity.deviceId);
  // Nobody of the conversation decided these: the notice names the organisation, and not who committed.
  const expelled = all.filter((member) => isTrustEnd(causeOf(member)));
  const removed = all.filter((member) => !isTrustEnd(causeOf(member)));
  const joined = [...usersOf(added)].filter((user) => !wereIn.has(user));
  const revoked = usersOf(removed.filter((member) => causeOf(member) === 'device_revoked'));
  const left = [...usersOf(removed)].filter((user) => !areIn.has(user) && !revoked.has(user));
  const notices: Notice[] = low === undefined ? [] : [{ notice: 'below_floor', org: low.org, by }];
  for (const org of new Set(expelled.map(({ identity }) => identity.org))) {
    const cause = expelled.map((one) => (one.identity.org === org ? causeOf(one) : undefined)).find(isTrustEnd);
    if (cause !== undefined) notices.push({ notice: 'organisation_removed', org, cause });
  }
  if (joined.length > 0) notices.push({ notice: 'joined', users: joined, by });
  if (left.length > 0) notices.push({ notice: 'removed', users: left, by });
  for (const [user, count] of devicesPerUser(added)) {
    if (!joined.includes(user)) notices.push({ notice: 'device_added', user, count });
  }
  for (const [user, count] of devicesPerUser(removed)) {
    if (!left.includes(user)) notices.push({ notice: 'device_removed', user, count });
  }
  return notices;
}

function isTrustEnd(cause: RemovalCause | undefined): cause is TrustEndCause {
  return cause !== undefined && cause !== 'device_revoked';
}

function usersOf(members: readonly Member[]): Set<UserAddress> {
  return new Set(members.map(({ identity }) => identity.user));
}

function devicesPerUser(members: readonly Member[]): ReadonlyMap<UserAddress, number> {
  const counts = new Map<UserAddress, number>();
  for (const { identity } of members) counts.set(identity.user, (counts.get(identity.user) ?? 0) + 1);
  return counts;
}

function noticesWrite(cell: Cell, entry: LogEntry, notices: readonly Notice[]) {
  const { sender, senderUser: user, seq, storedAt: sentAt } = entry;
  const messageId = lineId(entry);
  const body = { type: 'notices', notices } as const;
  const message = { conversationId: cell.id, sender, messageId, user, seq, sentAt, body };
  return { op: 'message.add', message } as const;
}
