import { type Domain, type Instant, instant, type TrustLevel } from '@norc/protocol/base';
import {
  actOf,
  endsTrust,
  type RevocationAction,
  type RevocationBody,
  type TrustDecision,
} from '@norc/protocol/norc-t';
import type { TrustEnd } from '../services.ts';
import type { DeviceNotice, TrustDependencies } from './trust-dependencies.ts';
import type { TrustBoard } from './trust-facts.ts';

/** `changed`: another level, or it went stale, or is fresh again; links stay. */
export type TrustChange = 'granted' | 'ended' | 'changed';
/** What it promises is waited for before the change is acknowledged to anybody. */
export type TrustListener = (peer: Domain, change: TrustChange) => unknown;

export interface WatchDependencies
  extends Pick<TrustDependencies, 'party' | 'clock' | 'after' | 'tellDevices' | 'onFault'> {
  readonly board: TrustBoard;
  /** Something became due by itself. */
  readonly onDue: () => void;
}

interface Seen {
  readonly inForce: boolean;
  readonly level: TrustLevel;
}

export interface Told {
  readonly at: Instant;
  readonly sessions: number;
}

/** Node's timers fire at once when they are told to wait longer; the minute's look comes first anyway. */
const AHEAD_MS_MAX = 120_000;

/** Sees that trust came, went or changed, by a statement, a date or a condition, and tells whoever acts on it. */
export class TrustWatch {
  readonly #d: WatchDependencies;
  readonly #listeners: TrustListener[] = [];
  readonly #seen = new Map<Domain, Seen>();
  readonly #told = new Map<Domain, Told>();
  /** Effects that are under way. */
  readonly #running = new Map<Promise<unknown>, Domain>();
  /** Effects that failed: tried again at every look, so that none is left out until a restart. */
  readonly #failed = new Map<Domain, Set<TrustListener>>();
  #nextLookAt = 0;

  constructor(dependencies: WatchDependencies) {
    this.#d = dependencies;
  }

  onChange(listener: TrustListener): void {
    this.#listeners.push(listener);
  }

  /** Takes what is as known: at the start, and nothing is told. */
  begin(): void {
    const now = this.#d.clock.now();
    for (const peer of this.#d.board.peers()) this.#seen.set(peer, this.#stateOf(peer, now));
    this.#lookAhead(now);
  }

  /** When the devices of a partner's conversations were told last. */
  toldOf(peer: Domain): Told | undefined {
    return this.#told.get(peer);
  }

  /**
   * Links of those who are not trusted any more are cut when it returns, and effects have ended when it resolves.
   * Rejects when those on `peer` are not in force: what rests on them must not be acknowledged. What is wrong with
   * one partner holds up no other.
   */
  async look(peer?: Domain): Promise<void> {
    const now = this.#d.clock.now();
    const again = [...this.#failed];
    this.#failed.clear();
    for (const [one, listeners] of again) this.#tryAgain(one, listeners, now);
    for (const one of this.#d.board.peers()) this.#compare(one, now);
    this.#lookAhead(now);
    const mine = [...this.#running].filter(([, about]) => peer === undefined || about === peer);
    await Promise.allSettled(mine.map(([running]) => running));
    if (peer !== undefined && this.#failed.has(peer)) throw new Error('effects are not in force yet: tried again');
  }

  #tryAgain(peer: Domain, listeners: ReadonlySet<TrustListener>, now: Instant): void {
    const change = this.#stateOf(peer, now).inForce ? 'granted' : 'ended';
    for (const listener of listeners) this.#effect(peer, change, listener);
  }

  /** New certificates replace others: links are made anew with them. */
  renewed(peer: Domain): void {
    this.#seen.set(peer, this.#stateOf(peer, this.#d.clock.now()));
    this.#tell(peer, 'granted');
  }

  #compare(peer: Domain, now: Instant): void {
    const before = this.#seen.get(peer) ?? { inForce: false, level: 'untrusted' };
    const state = this.#stateOf(peer, now);
    this.#seen.set(peer, state);
    if (before.inForce !== state.inForce) this.#tell(peer, state.inForce ? 'granted' : 'ended');
    else if (before.level !== state.level) this.#tell(peer, 'changed');
  }

  #stateOf(peer: Domain, now: Instant): Seen {
    const { board } = this.#d;
    return { inForce: board.pair(peer, now) !== undefined, level: board.level(peer, now) };
  }

  #tell(peer: Domain, change: TrustChange): void {
    for (const listener of this.#listeners) this.#effect(peer, change, listener);
    this.#run(peer, async () => {
      const notice = this.#notice(peer, change);
      const sessions = (await this.#d.tellDevices?.(peer, notice)) ?? 0;
      this.#told.set(peer, { at: this.#d.clock.now(), sessions });
    });
  }

  #effect(peer: Domain, change: TrustChange, listener: TrustListener): void {
    this.#run(peer, async () => {
      try {
        await listener(peer, change);
      } catch (error) {
        this.#failed.set(peer, (this.#failed.get(peer) ?? new Set()).add(listener));
        throw error;
      }
    });
  }

  /** Begins now, so that links are cut before anything else happens. */
  #run(peer: Domain, effect: () => Promise<unknown>): void {
    const running = effect().finally(() => this.#running.delete(running));
    this.#running.set(running, peer);
    running.catch(this.#d.onFault);
  }

  #lookAhead(now: Instant): void {
    const next = this.#d.board.nextChange(now);
    if (next === undefined || next === this.#nextLookAt || next - now > AHEAD_MS_MAX) return;
    this.#nextLookAt = next;
    this.#d.after?.(next - now, () => this.#d.onDue());
  }

  /** The end of trust with a peer, where members have to go: undefined when it is in force, or may come back by itself. */
  endOf(peer: Domain): TrustEnd | undefined {
    const { board, clock, party } = this.#d;
    const now = clock.now();
    const question = { local: party.domain, remote: peer, direction: 'outgoing', permission: 'message_relay' } as const;
    const decision = board.decide(question, now);
    if (decision.kind === 'allow') return undefined;
    const base = { issuer: party.domain, subject: peer, sequence: 0 } as const;
    switch (decision.reason) {
      case 'revoked': {
        const said = this.#saidAbout(peer, now, 'revoke');
        if (said === undefined) return { ...base, cause: 'trust_revoked' };
        // It had ended by itself, and was said afterwards for others: the end stays the one that it was.
        const before = board.decide(question, instant(said.effective_at - 1));
        if (before.kind === 'deny' && before.reason === 'expired') return { ...base, cause: 'trust_expired' };
        if (before.kind === 'deny' && before.reason === 'condition_failed') return { ...base, cause: 'trust_ended' };
        const first = actOf(board.chain(said.issuer), said.sequence)?.first ?? said.sequence;
        return { issuer: said.issuer, subject: said.subject, sequence: first, cause: 'trust_revoked' };
      }
      case 'expired':
        return { ...base, cause: 'trust_expired' };
      case 'blocked': // by ourselves: it does not come back by itself, and the others need not wait for it
      case 'condition_failed':
        return { ...base, cause: 'trust_ended' };
      default:
        return undefined;
    }
  }

  // ---- for people ----

  #notice(peer: Domain, change: TrustChange): DeviceNotice {
    const { board, clock, party } = this.#d;
    const at = clock.now();
    const level = board.level(peer, at);
    const question = { local: party.domain, remote: peer, direction: 'outgoing', permission: 'message_relay' } as const;
    const decision = board.decide(question, at);
    const isStale = decision.kind === 'deny' && decision.reason === 'stale';
    if (change === 'ended') return { level, state: 'ended', at, text: this.#endText(peer, decision, at) };
    if (isStale) {
      const text = `${peer} has not confirmed its revocations for too long: what you send waits until it does.`;
      return { level, state: 'stale', at, text };
    }
    const text = `Trust with ${peer} is in force at level ${level}.`;
    return { level, state: change === 'granted' ? 'in_force' : 'changed', at, text };
  }

  #endText(peer: Domain, decision: TrustDecision, now: Instant): string {
    if (decision.kind === 'allow') return `Trust with ${peer} ended.`;
    switch (decision.reason) {
      case 'revoked':
        return `Trust with ${peer} ended: ${this.#saidAbout(peer, now)?.reason ?? 'it was revoked'}`;
      case 'suspended':
        return `Trust with ${peer} is suspended: ${this.#saidAbout(peer, now)?.reason ?? 'no reason was given'}`;
      case 'expired':
        return `Trust with ${peer} ended: its time was over.`;
      case 'condition_failed':
        return `Trust with ${peer} ended: a condition was not met in time.`;
      case 'forked':
        return `Trust with ${peer} is stopped: it signed two different histories.`;
      default:
        return `Trust with ${peer} ended.`;
    }
  }

  /** The last statement of either side that ended trust. */
  #saidAbout(peer: Domain, now: Instant, action?: RevocationAction): RevocationBody | undefined {
    const { board, party } = this.#d;
    const ours = board.chain(party.domain).statements.filter((one) => one.subject === peer);
    const theirs = board.chain(peer).statements.filter((one) => one.subject === party.domain);
    return [...ours, ...theirs]
      .filter((one) => endsTrust(one.action) && (action ?? one.action) === one.action && one.effective_at <= now)
      .sort((a, b) => a.effective_at - b.effective_at)
      .at(-1);
  }
}
