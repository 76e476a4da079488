import {
  type Clock,
  type Domain,
  InvariantError,
  instant,
  ok,
  type Random,
  type Result,
  reject,
  sameBytes,
  toHex,
} from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  type ApprovalAction,
  distinctOfficers,
  type SignedApproval,
  type VerifiedApproval,
} from '@norc/protocol/norc-t';
import type { ApprovedProposal, Audit, AuditEvent, Officers, Proposals, ProposalView } from '../../services.ts';
import type { Store, StoreWrite } from '../../storage/port.ts';
import { approvalRecord, decodeProposal, encodeProposal, isClosed, type ProposalRecord } from './proposal-record.ts';

const DAY_MS = 86_400_000;
/** What nobody has signed by then is asked anew. */
export const PROPOSAL_LIFE_MS = 14 * DAY_MS;
/** Of approvals that were enough already. */
const ANY_AGE_MS = Number.MAX_SAFE_INTEGER;
const OPEN_MAX = 64;
const CLOSED_KEPT_MAX = 256;
const ID_BYTES = 16;

type Run = (proposal: ApprovedProposal) => Promise<Result<unknown>>;

export interface ProposalDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly officers: Pick<Officers, 'check'>;
  readonly onFault: (error: unknown) => void;
}

/**
 * What waits until enough officers signed it (spec/officers section 5). Approvals are
 * counted anew each time they matter: who left, or signed too long ago, counts no more.
 */
export class ProposalService implements Proposals {
  readonly #d: ProposalDependencies;
  readonly #records = new Map<string, ProposalRecord>();
  readonly #runners = new Map<ApprovalAction, Run>();
  /** One change after the other: two officers who sign at once complete a proposal once. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dependencies: ProposalDependencies) {
    this.#d = dependencies;
  }

  onApproved(action: ApprovalAction, run: Run): void {
    if (this.#runners.has(action)) throw new TypeError(`two services carry out ${action}`);
    this.#runners.set(action, run);
  }

  /** Reads what waits. */
  async load(): Promise<void> {
    this.#records.clear();
    for (const row of await this.#d.store.read.trustRecords('proposal')) {
      const record = decodeProposal(row.document);
      if (!record.ok) throw new InvariantError(`a stored proposal does not decode: ${record.error.detail}`);
      this.#records.set(record.value.proposalId, record.value);
    }
  }

  /**
   * Every minute, and once all services are loaded. Takes up what was approved before a crash
   * or a fault: its effect is due, and happens once [OFFICER-19]. Closes what is past its time.
   */
  tick(): Promise<void> {
    return this.#inTurn(async () => {
      for (const record of [...this.#records.values()]) {
        if (record.state === 'approved') await this.#resume(record).catch(this.#d.onFault);
        else if (record.state === 'open' && this.#stateOf(record) === 'expired') await this.#expire(record);
      }
    });
  }

  /**
   * Enough had signed before whatever interrupted it: how long ago does not matter. Who was put out of office
   * since counts no more; then it waits again [OFFICER-19].
   */
  async #resume(record: ProposalRecord): Promise<void> {
    const standing = this.#counted(record, ANY_AGE_MS);
    const stands = standing.length >= record.needed && this.#requestStands(record, ANY_AGE_MS);
    if (stands) await this.#effect(record.proposalId);
    else await this.#reopen(record, 'an officer who signed is no longer in office');
  }

  async #expire(record: ProposalRecord): Promise<void> {
    const next: ProposalRecord = { ...record, state: 'expired' };
    await this.#keep(next, [this.#event('proposal_closed', next, 'system:server', { state: 'expired' })]);
  }

  list(): readonly ProposalView[] {
    return [...this.#records.values()].map((record) => this.#view(record));
  }

  open(proposal: Parameters<Proposals['open']>[0]): Promise<Result<ProposalView>> {
    return this.#inTurn(() => this.#open(proposal));
  }

  async #open(proposal: Parameters<Proposals['open']>[0]): Promise<Result<ProposalView>> {
    const { action, document, peer, needed, requested, actor } = proposal;
    const { crypto, clock, random } = this.#d;
    const subject = crypto.blake3(document);
    const now = clock.now();
    const common = { action, subject, ...(peer === undefined ? {} : { peer }) };
    const asked = requested === undefined ? undefined : this.#check(common, requested);
    if (asked?.ok === false) return this.#refused(common, asked);
    const known = this.#sameOpen(common);
    if (known !== undefined) return ok(this.#view(await this.#raised(known, needed)));
    if (this.#count('open') >= OPEN_MAX) return reject('queue_full', 'proposals that wait');
    const record: ProposalRecord = {
      ...{ ...common, proposalId: toHex(random.bytes(ID_BYTES)), document, needed, actor, approvals: [] },
      ...{ state: needed <= 0 ? 'approved' : 'open', openedAt: now, expiresAt: instant(now + PROPOSAL_LIFE_MS) },
      ...(requested === undefined ? {} : { requested }),
      ...(asked === undefined ? {} : { requestedBy: asked.value.officer.officerId }),
    };
    await this.#keep(record, [this.#event('proposal_opened', record, actor, { needed })]);
    await this.#forgetClosed();
    return needed <= 0 ? await this.#effect(record.proposalId) : ok(this.#view(record));
  }

  /** The policy may ask for more by now; never for less than when it was first asked. */
  async #raised(record: ProposalRecord, needed: number): Promise<ProposalRecord> {
    if (needed <= record.needed) return record;
    const next = { ...record, needed };
    await this.#keep(next, []);
    return next;
  }

  /** What is asked twice waits once. */
  #sameOpen({ action, subject, peer }: Pick<ProposalRecord, 'action' | 'subject' | 'peer'>) {
    return [...this.#records.values()].find(
      (one) =>
        one.action === action && one.peer === peer && sameBytes(one.subject, subject) && this.#stateOf(one) === 'open',
    );
  }

  approve(proposalId: string, approval: SignedApproval): Promise<Result<ProposalView>> {
    return this.#inTurn(() => this.#approve(proposalId, approval));
  }

  async #approve(proposalId: string, approval: SignedApproval): Promise<Result<ProposalView>> {
    const record = this.#waiting(proposalId);
    if (!record.ok) return record;
    const checked = this.#check(record.value, approval);
    if (!checked.ok) return this.#refused(record.value, checked);
    const { officerId } = checked.value.officer;
    if (officerId === record.value.requestedBy)
      return this.#refused(record.value, reject('forbidden', 'nobody approves their own request'));
    const standing = this.#counted(record.value).filter(({ verified }) => verified.officer.officerId !== officerId);
    const approvals = [...standing.map((one) => one.approval), approval];
    const enough = approvals.length >= record.value.needed && this.#requestStands(record.value);
    const next: ProposalRecord = { ...record.value, approvals, state: enough ? 'approved' : 'open' };
    const detail = { signed: approvals.length, needed: next.needed };
    await this.#keep(next, [this.#event('approval_given', next, `officer:${officerId}`, detail)]);
    if (enough) return await this.#effect(proposalId);
    if (approvals.length >= next.needed)
      return reject('approval_required', 'the officer who asked for this is no longer in office: ask anew');
    return ok(this.#view(next));
  }

  withdraw(proposalId: string, actor: string): Promise<Result<ProposalView>> {
    return this.#inTurn(async () => {
      // `approved` here is one whose effect was interrupted: it may be taken back before it is taken up.
      const approved = this.#records.get(proposalId);
      const record = approved?.state === 'approved' ? ok(approved) : this.#waiting(proposalId);
      if (!record.ok) return record;
      const next: ProposalRecord = { ...record.value, state: 'withdrawn' };
      await this.#keep(next, [this.#event('proposal_closed', next, actor, { state: 'withdrawn' })]);
      return ok(this.#view(next));
    });
  }

  /**
   * `approved` is durable by now. The runner commits its writes together with the end of
   * the proposal; a crash before that leaves `approved`, one after it leaves `done` [OFFICER-19].
   */
  async #effect(proposalId: string): Promise<Result<ProposalView>> {
    const record = this.#known(proposalId);
    const run = this.#runners.get(record.action);
    if (run === undefined) return await this.#reopen(record, 'nothing here carries this out');
    const outcome = await run(this.#approved(record));
    const now = this.#known(proposalId);
    if (!outcome.ok && now.state !== 'done') return await this.#reopen(record, outcome.error.detail, outcome);
    if (now.state !== 'done') {
      const closed = await this.#close(record, [], []);
      if (!closed.ok) throw new InvariantError('a proposal could not be closed');
    }
    return ok(this.#view(this.#known(proposalId)));
  }

  #approved(record: ProposalRecord): ApprovedProposal {
    const { proposalId, action, subject, peer, document, approvals, requested, actor } = record;
    return {
      ...{ proposalId, action, subject, document, approvals, actor },
      ...(peer === undefined ? {} : { peer }),
      ...(requested === undefined ? {} : { requested }),
      commit: (writes, events) => this.#close(record, writes, events),
    };
  }

  async #close(
    record: ProposalRecord,
    writes: readonly StoreWrite[],
    events: readonly AuditEvent[],
  ): ReturnType<Audit['commit']> {
    if (this.#known(record.proposalId).state !== 'approved') throw new InvariantError('a proposal took effect twice');
    const { crypto, clock, audit, self } = this.#d;
    const done: ProposalRecord = { ...record, state: 'done' };
    const signed = [...record.approvals, ...(record.requested === undefined ? [] : [record.requested])];
    const kept = signed.map((one) => approvalRecord(crypto, one, record.peer, clock.now()));
    const closed = this.#event('proposal_closed', record, `org:${self}`, { state: 'done' });
    const outcome = await audit.commit([...writes, ...kept, this.#write(done)], [...events, closed]);
    if (outcome.ok) this.#records.set(record.proposalId, done);
    return outcome;
  }

  /** The effect was refused: who signed stays counted, and the next signature tries again. */
  async #reopen(
    record: ProposalRecord,
    refused: string,
    why: Result<never> = reject('unsupported_type', refused),
  ): Promise<Result<ProposalView>> {
    const state = record.needed <= 0 ? 'withdrawn' : 'open'; // what needs nobody is asked anew, not left to wait
    const next: ProposalRecord = { ...record, state, refused };
    const event = this.#event('proposal_closed', next, 'system:server', { state: 'refused' });
    await this.#keep(next, [{ ...event, outcome: 'failed' }]);
    return why;
  }

  // ---- counting ----

  #check(
    { action, subject, peer }: Pick<ProposalRecord, 'action' | 'subject' | 'peer'>,
    approval: SignedApproval,
    ageMillisecondsMax?: number,
  ): Result<VerifiedApproval> {
    return this.#d.officers.check(approval, {
      ...{ action, subject },
      ...(peer === undefined ? {} : { peer }),
      ...(ageMillisecondsMax === undefined ? {} : { ageMillisecondsMax }),
    });
  }

  /** The approvals that hold now, each officer's once. */
  #counted(
    record: ProposalRecord,
    ageMillisecondsMax?: number,
  ): readonly { readonly approval: SignedApproval; readonly verified: VerifiedApproval }[] {
    const holding = record.approvals.flatMap((approval) => {
      const checked = this.#check(record, approval, ageMillisecondsMax);
      return checked.ok ? [{ approval, verified: checked.value }] : [];
    });
    const verified = holding.map((one) => one.verified);
    const distinct = distinctOfficers(verified, record.requestedBy);
    return [...distinct].map((id) => {
      const found = holding.find((one) => one.verified.officer.officerId === id);
      if (found === undefined) throw new InvariantError('an officer without an approval');
      return found;
    });
  }

  /** A request whose officer left does not take effect on the strength of others [OFFICER-17]. */
  #requestStands(record: ProposalRecord, ageMillisecondsMax = PROPOSAL_LIFE_MS): boolean {
    return record.requested === undefined || this.#check(record, record.requested, ageMillisecondsMax).ok;
  }

  #waiting(proposalId: string): Result<ProposalRecord> {
    const record = this.#records.get(proposalId);
    if (record === undefined) return reject('forbidden', 'no such proposal');
    const state = this.#stateOf(record);
    if (state === 'expired') return reject('approval_expired', 'this has waited too long: ask anew');
    return state === 'open' ? ok(record) : reject('forbidden', `this is ${state}`);
  }

  #stateOf({ state, expiresAt }: ProposalRecord): ProposalView['state'] {
    return state === 'open' && this.#d.clock.now() >= expiresAt ? 'expired' : state;
  }

  #view(record: ProposalRecord): ProposalView {
    const { proposalId, action, peer, document, subject, needed, openedAt, expiresAt, refused, requestedBy } = record;
    const state = this.#stateOf(record);
    const approvals = isClosed(state)
      ? undefined
      : this.#counted(record, state === 'approved' ? ANY_AGE_MS : undefined);
    return {
      ...{ proposalId, action, document, subject, needed, openedAt, expiresAt, state },
      approvedBy: approvals?.map(({ verified }) => verified.officer.officerId) ?? [],
      ...(peer === undefined ? {} : { peer }),
      ...(requestedBy === undefined ? {} : { requestedBy }),
      ...(refused === undefined ? {} : { refused }),
    };
  }

  // ---- keeping ----

  #known(proposalId: string): ProposalRecord {
    const record = this.#records.get(proposalId);
    if (record === undefined) throw new InvariantError('a proposal is gone');
    return record;
  }

  #count(state: ProposalView['state']): number {
    return [...this.#records.values()].filter((one) => this.#stateOf(one) === state).length;
  }

  #write(record: ProposalRecord): StoreWrite {
    const { proposalId: key, peer, openedAt: at } = record;
    const document = encodeProposal(record);
    return {
      op: 'trust.record.put',
      record: { kind: 'proposal', key, at, document, ...(peer === undefined ? {} : { peer }) },
    };
  }

  async #keep(record: ProposalRecord, events: readonly AuditEvent[]): Promise<void> {
    const outcome = await this.#d.audit.commit([this.#write(record)], events);
    if (!outcome.ok) throw new InvariantError(`a proposal was not kept: ${outcome.conflict}`);
    this.#records.set(record.proposalId, record);
  }

  /** Closed ones are history, which the audit log keeps: here a bounded number is enough. */
  async #forgetClosed(): Promise<void> {
    const closed = [...this.#records.values()].filter(({ state }) => isClosed(state));
    const old = closed.sort((a, b) => b.openedAt - a.openedAt).slice(CLOSED_KEPT_MAX);
    for (const { proposalId } of old) {
      await this.#d.store.commit([{ op: 'trust.record.delete', kind: 'proposal', key: proposalId }]);
      this.#records.delete(proposalId);
    }
  }

  /** Refusals are worth an entry: somebody tried to have something approved that is not. */
  #refused<T>(
    { action, peer }: Pick<ProposalRecord, 'action' | 'peer'>,
    refusal: Result<T> & { readonly ok: false },
  ): Result<never> {
    this.#d.audit.note({
      type: 'approval_refused',
      actor: 'system:server',
      subject: `org:${peer ?? this.#d.self}`,
      outcome: 'refused',
      detail: { action, code: refusal.error.code },
    });
    return refusal;
  }

  #event(
    type: AuditEvent['type'],
    { action, peer, proposalId }: Pick<ProposalRecord, 'action' | 'peer' | 'proposalId'>,
    actor: string,
    detail: NonNullable<AuditEvent['detail']>,
  ): AuditEvent {
    const subject = `org:${peer ?? this.#d.self}`;
    return { type, actor, subject, outcome: 'ok', detail: { action, proposal: proposalId, ...detail } };
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(run);
    this.#turn = mine.catch(() => undefined); // whoever asked is told; the next one goes on
    return mine;
  }
}
