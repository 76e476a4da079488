import { type Domain, type Instant, InvariantError, ok, type Result, reject, sameBytes } from '@norc/protocol/base';
import { signDocumentByAll } from '@norc/protocol/crypto';
import {
  type ApprovalAction,
  actOf,
  atLeast,
  type CertificateId,
  compareLevels,
  draftRevocation,
  endsTrust,
  extendRevocations,
  type GrantedLevel,
  needsSignedApprovals,
  type RevocationAct,
  type SignedApproval,
  signsPostQuantum,
} from '@norc/protocol/norc-t';
import type { ApprovedProposal, Audit, AuditEvent, ProposalView } from '../../services.ts';
import type { TrustRevocationRow } from '../../storage/port.ts';
import type { CutOff } from '../exchange/exchange-cut.ts';
import { approvalRecord } from '../officers/proposal-record.ts';
import type { TrustDependencies } from '../trust-dependencies.ts';
import { forkClearedKey, type Standing, type TrustBoard } from '../trust-facts.ts';
import type { TrustNotices } from '../trust-notices.ts';
import type { Propagation } from './propagation.ts';
import { decodeOrder, encodeOrder, type TrustOrder } from './trust-order.ts';

export interface RevocationDependencies
  extends Pick<
    TrustDependencies,
    'party' | 'audit' | 'crypto' | 'clock' | 'signer' | 'signers' | 'proposals' | 'officers' | 'onFault'
  > {
  readonly board: TrustBoard;
  readonly notices: TrustNotices;
  readonly propagation: Propagation;
  /** Ends what is being negotiated with the peer. */
  readonly cutOff: (peer: Domain) => CutOff;
}

/** What came of an order: said, or waiting for officers. */
export type Ordered = { readonly sequence: number } | { readonly proposal: ProposalView };

/** A certificate that a statement is about. */
interface Target {
  readonly certificateId: CertificateId;
  readonly level: GrantedLevel;
}

export interface OrderDraft {
  /** Canonical: its BLAKE3 is what is signed. */
  readonly document: Uint8Array;
  readonly action: ApprovalAction;
  /** Whether it is taken without a signature. */
  readonly signed: boolean;
}

const UNSIGNED_ORDER = reject('approval_required', 'an officer has to order this with their own key');

/** What takes something away is signed as a revocation, what gives or keeps as a restore. */
export function orderAction({ action }: Pick<TrustOrder, 'action'>): ApprovalAction {
  return action === 'restore' || action === 'condition_met' ? 'trust_restore' : 'trust_revoke';
}

interface Signing {
  readonly writes: readonly TrustRevocationRow[];
  /** The highest of the certificates that it is about: its deadline counts. */
  readonly level: GrantedLevel;
  readonly act: RevocationAct;
}

/**
 * Our own statements (spec/norc-t section 6). Narrowing takes one person; giving back what was
 * taken takes all that the level asks for.
 */
export class RevocationService {
  readonly #d: RevocationDependencies;
  /** One order after the other: their statements are numbered. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dependencies: RevocationDependencies) {
    this.#d = dependencies;
    dependencies.proposals?.()?.onApproved('trust_restore', async (proposal) => {
      const order = decodeOrder(proposal.document);
      return order.ok ? await this.#inTurn(() => this.#carryOut(order.value, proposal)) : order;
    });
  }

  /**
   * Says it about all certificates that the peer holds, in one transaction: in force here
   * before anything is sent, and no overlapping renewal survives. `approval`: of an officer who ordered it.
   * Errors: not_trusted (nothing to say it about), malformed (a time or level that makes no sense), approval_required, and those of the approval.
   */
  async order(order: TrustOrder, actor: string, approval?: SignedApproval): Promise<Result<Ordered>> {
    const fault = this.#fault(order);
    if (!fault.ok) return fault;
    const about = this.#about(order);
    // Without a certificate, something may be negotiated that has to end all the same.
    if (about.length === 0 && !endsTrust(order.action)) return reject('not_trusted', nothingAbout(order));
    if (this.#widens(order, about)) return await this.#propose(order, about, actor, approval);
    // To say that something was met takes an officer where officers sign: it keeps trust that would end by itself [TRUST-69].
    if (order.action === 'condition_met' && approval === undefined && this.#isSigned(about)) return UNSIGNED_ORDER;
    const by = this.#orderedBy(order, actor, approval);
    if (!by.ok) return by;
    const { audit, crypto, clock } = this.#d;
    const kept = approval === undefined ? [] : [approvalRecord(crypto, approval, order.peer, clock.now())];
    return await this.#inTurn(() =>
      this.#say(order, by.value, (writes, events) => audit.commit([...writes, ...kept], events)),
    );
  }

  #fault({ action, level, condition, effectiveAt }: TrustOrder): Result<undefined> {
    const now = this.#d.clock.now();
    if ((action === 'downgrade') !== (level !== undefined)) return reject('malformed', 'level of the order');
    if ((action === 'condition_met') !== (condition !== undefined))
      return reject('malformed', 'condition of the order');
    if (effectiveAt !== undefined && effectiveAt < now) return reject('malformed', 'the time is over');
    const narrows = action === 'revoke' || action === 'suspend' || action === 'downgrade';
    return effectiveAt === undefined || narrows
      ? ok(undefined)
      : reject('malformed', 'trust is given back at once, or not');
  }

  /** The certificates that an order changes anything about. */
  #about(order: TrustOrder): readonly Standing[] {
    const { board, party, clock } = this.#d;
    const { certificates } = order;
    const isForked = board.isForked(order.peer);
    return board
      .standings(party.domain, order.peer, clock.now())
      .filter(({ certificate }) => certificates?.includes(certificate.certificateId) ?? true)
      .filter(
        (one) => changes(order, one) || (isForked && order.action === 'restore' && one.standing.kind === 'in_force'),
      );
  }

  /**
   * What an officer who gives this order signs: the document, and the action of the approval. The order of a restore
   * names the certificates, and the statement that it follows. Errors: those of `order`.
   */
  draft(order: TrustOrder): Result<OrderDraft> {
    const fault = this.#fault(order);
    if (!fault.ok) return fault;
    const about = this.#about(order);
    if (about.length === 0) return reject('not_trusted', nothingAbout(order));
    const exact = this.#widens(order, about) ? this.#exact(order, about) : order;
    return ok({ document: encodeOrder(exact), action: orderAction(order), signed: this.#isSigned(about) });
  }

  #exact(order: TrustOrder, about: readonly Standing[]): TrustOrder {
    const { sequence, head } = this.#d.board.chain(this.#d.party.domain);
    const certificates = about.map(({ certificate }) => certificate.certificateId);
    return { ...order, certificates, after: { sequence, head } };
  }

  #isSigned(about: readonly Standing[]): boolean {
    return about.some(({ certificate }) => needsSignedApprovals(this.#d.board.policy, certificate.level));
  }

  /** A condition that was met before it acted gives nothing back. */
  #widens({ action, condition }: TrustOrder, about: readonly Standing[]): boolean {
    if (action === 'restore') return true;
    if (action !== 'condition_met') return false;
    const now = this.#d.clock.now();
    return about.some(({ certificate }) =>
      certificate.conditions.some((one) => one.name === condition && one.action !== 'notify' && now >= one.deadline),
    );
  }

  #orderedBy(order: TrustOrder, actor: string, approval: SignedApproval | undefined): Result<string> {
    if (approval === undefined) return ok(actor);
    const officers = this.#d.officers?.();
    if (officers === undefined) return reject('forbidden', 'officers');
    const subject = this.#d.crypto.blake3(encodeOrder(order));
    const checked = officers.check(approval, { action: orderAction(order), subject, peer: order.peer });
    return checked.ok ? ok(`officer:${checked.value.officer.officerId}`) : checked;
  }

  async #propose(
    order: TrustOrder,
    about: readonly Standing[],
    actor: string,
    requested: SignedApproval | undefined,
  ): Promise<Result<Ordered>> {
    const { board } = this.#d;
    const level = highestOf(about.map(({ certificate }) => certificate));
    const { approvals } = board.policy.levels[level];
    // Where no signatures are asked for, whoever gives the order is the first of those that are counted.
    const needed = needsSignedApprovals(board.policy, level) ? approvals : Math.max(0, approvals - 1);
    // Whoever asks is not counted, and is known only by a signature [OFFICER-11].
    if (requested === undefined && this.#isSigned(about)) return UNSIGNED_ORDER;
    const { sequence } = board.chain(this.#d.party.domain);
    const exact = this.#exact(order, about);
    const proposals = this.#d.proposals?.();
    if (proposals === undefined) {
      if (needed > 0) return reject('approval_required', `${needed} officers`);
      return await this.#inTurn(() => this.#say(exact, actor, (...what) => this.#d.audit.commit(...what)));
    }
    const proposal = {
      action: 'trust_restore',
      document: encodeOrder(exact),
      peer: order.peer,
      needed,
      actor,
    } as const;
    const opened = await proposals.open(requested === undefined ? proposal : { ...proposal, requested });
    if (!opened.ok) return opened;
    const { sequence: said } = board.chain(this.#d.party.domain);
    return opened.value.state === 'done' && said > sequence ? ok({ sequence: said }) : ok({ proposal: opened.value });
  }

  /** The approvals are kept by whoever counted them. */
  #carryOut(order: TrustOrder, { actor, commit }: ApprovedProposal): Promise<Result<Ordered>> {
    return this.#say(order, actor, commit);
  }

  /** Whatever is negotiated meanwhile ends with it: a peer that was cut off must not complete an exchange later [TRUST-79]. */
  async #say(
    order: TrustOrder,
    actor: string,
    commit: Audit['commit'],
  ): Promise<Result<{ readonly sequence: number }>> {
    if (!endsTrust(order.action)) return await this.#commit(order, this.#targets(order), actor, commit);
    // In one tick with the look at the certificates: what comes into force later is refused, what came before is among them.
    const { signed, writes, events, done, undone } = this.#d.cutOff(order.peer);
    try {
      const targets = distinct([...this.#targets(order), ...signed]);
      if (targets.length === 0 && writes.length > 0) {
        await this.#d.audit.commit(writes, events);
        done();
        return reject('not_trusted', `${nothingAbout(order)}; what was being negotiated has ended`);
      }
      const said = await this.#commit(order, targets, actor, (more, told) =>
        commit([...more, ...writes], [...told, ...events]),
      );
      if (said.ok) done();
      return said;
    } finally {
      undone();
    }
  }

  /** Trust ended by a date or a condition: said about what we gave, for those who cannot know. Not while trust is in force. */
  async sayEnded(peer: Domain, reason: string): Promise<Result<{ readonly sequence: number }>> {
    return await this.#inTurn(() => {
      const { board, party, clock, audit } = this.#d;
      const now = clock.now();
      const isOver = board.pair(peer, now) === undefined;
      const over = board
        .standings(party.domain, peer, now)
        .filter(({ standing }) => isOver && (standing.kind !== 'revoked' || standing.by === 'condition'));
      const targets = over.map(({ certificate: { certificateId, level } }) => ({ certificateId, level }));
      const order = { peer, action: 'revoke', reason } as const;
      return this.#commit(order, targets, 'system:server', (...what) => audit.commit(...what));
    });
  }

  #targets(order: TrustOrder): readonly Target[] {
    return this.#about(order).map(({ certificate: { certificateId, level } }) => ({ certificateId, level }));
  }

  async #commit(
    order: TrustOrder,
    targets: readonly Target[],
    actor: string,
    commit: Audit['commit'],
  ): Promise<Result<{ readonly sequence: number }>> {
    const { board, party, propagation, clock } = this.#d;
    const now = clock.now();
    const fault = this.#orderFault(order, targets); // anew: another order may have come first
    if (fault !== undefined) return fault;
    const { writes, level, act } = await this.#sign(order, targets, now);
    const { record, write } = propagation.draft(act, level);
    const cleared = order.action === 'restore' && board.isForked(order.peer) ? this.#clearing(order) : undefined;
    const kept = cleared === undefined ? [write] : [write, cleared.write];
    const outcome = await commit(
      [...writes.map((revocation) => ({ op: 'trust.revocation.add', revocation }) as const), ...kept],
      writes.map((row) => issuedEvent(order, row, actor)),
    );
    if (!outcome.ok) return reject('internal', 'another revocation was written at the same time');
    for (const { document } of writes) {
      const added = board.addRevocation(party.domain, document, now);
      if (!added.ok) throw new InvariantError(`our own revocation: ${added.error.code}`);
    }
    if (cleared !== undefined) {
      board.clearFork(order.peer);
      cleared.said();
    }
    propagation.begin(record);
    return ok({ sequence: act.last });
  }

  /** What officers signed counts for the statement that follows the one that they saw, and for no other. */
  #orderFault(order: TrustOrder, targets: readonly Target[]): ReturnType<typeof reject> | undefined {
    const { certificates, after } = order;
    if (after !== undefined) {
      const { sequence, head } = this.#d.board.chain(this.#d.party.domain);
      if (sequence !== after.sequence || !sameBytes(head, after.head))
        return reject('approval_expired', 'something was said since this was signed: order it anew');
    }
    if (targets.length === 0) return reject('not_trusted', nothingAbout(order));
    if (certificates !== undefined && certificates.length !== targets.length)
      return reject('approval_expired', 'it is about other certificates by now: order it anew');
    return undefined;
  }

  /** Officers looked at both histories, and trust the issuer again: the evidence stays. */
  #clearing({ peer, reason }: TrustOrder) {
    const text = `Trust with ${peer} goes on after its two histories: ${reason}`;
    return this.#d.notices.draft(forkClearedKey(peer), peer, { kind: 'told', about: 'fork_cleared', text });
  }

  async #sign(order: TrustOrder, targets: readonly Target[], now: Instant): Promise<Signing> {
    const { crypto, signer, signers = [signer], party, board } = this.#d;
    const highest = highestOf(targets);
    const { peer: subject, action, reason, level, condition, effectiveAt = now } = order;
    let chain = board.chain(party.domain);
    const writes: TrustRevocationRow[] = [];
    for (const [i, { certificateId: certificate_id }] of targets.entries()) {
      const isEnd = action === 'revoke' && order.certificates === undefined && i === targets.length - 1;
      const draft = draftRevocation(chain, {
        ...{ subject, action, reason, certificate_id },
        ...{ issued_at: now, effective_at: effectiveAt },
        ...(level === undefined ? {} : { level }),
        ...(condition === undefined ? {} : { condition }),
        ...(isEnd ? { ends_trust: true } : {}),
      });
      const { bytes, body } = await signDocumentByAll(
        crypto,
        draft,
        signsPostQuantum(board.policy, highest) ? signers : [signer],
      );
      const next = extendRevocations(crypto, chain, bytes, board.trustKeys(party.domain, now));
      if (!next.ok) throw new InvariantError(`our own revocation: ${next.error.code}`);
      chain = next.value;
      writes.push({ issuer: party.domain, subject, sequence: body.sequence, document: bytes });
    }
    const act = actOf(chain, chain.sequence);
    if (act === undefined) throw new InvariantError('an act has a statement');
    return { writes, level: highest, act };
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(run, run);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}

function distinct(targets: readonly Target[]): readonly Target[] {
  return [...new Map(targets.map((one) => [one.certificateId, one])).values()];
}

function highestOf(targets: readonly Pick<Target, 'level'>[]): GrantedLevel {
  return targets.map(({ level }) => level).reduce((a, b) => (compareLevels(a, b) >= 0 ? a : b));
}

function issuedEvent({ action, effectiveAt, level }: TrustOrder, row: TrustRevocationRow, actor: string): AuditEvent {
  return {
    ...{ type: 'revocation_issued', actor, subject: `org:${row.subject}`, outcome: 'ok' },
    detail: {
      ...{ sequence: row.sequence, action },
      ...(level === undefined ? {} : { level }),
      ...(effectiveAt === undefined ? {} : { effective_at: effectiveAt }),
    },
  };
}

function nothingAbout({ action }: TrustOrder): string {
  switch (action) {
    case 'restore':
      return 'nothing was suspended or lowered';
    case 'downgrade':
      return 'no certificate is above that level';
    case 'condition_met':
      return 'no certificate has this condition';
    default:
      return 'no trust certificate is in force with this organisation';
  }
}

function changes({ action, level, condition }: TrustOrder, { standing, certificate }: Standing): boolean {
  const { kind } = standing;
  switch (action) {
    case 'revoke':
      return kind === 'in_force' || kind === 'suspended' || kind === 'not_yet_valid';
    case 'suspend':
      return kind === 'in_force' || kind === 'not_yet_valid';
    case 'downgrade':
      return kind === 'suspended' || (kind === 'in_force' && level !== undefined && !atLeast(level, standing.level));
    case 'restore':
      return kind === 'suspended' || (kind === 'in_force' && standing.level !== certificate.level);
    case 'condition_met':
      return !isOverForGood(standing) && certificate.conditions.some(({ name }) => name === condition);
  }
}

function isOverForGood(standing: Standing['standing']): boolean {
  return standing.kind === 'expired' || (standing.kind === 'revoked' && standing.by === 'statement');
}
