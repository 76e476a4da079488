import { type Domain, type Instant, instant, type Reject, type Result } from '@norc/protocol/base';
import {
  type GrantedLevel,
  isStale,
  type TrustCondition,
  timeText,
  type VerifiedTrustCertificate,
} from '@norc/protocol/norc-t';
import type { TrustDependencies } from '../trust-dependencies.ts';
import type { Standing, TrustBoard } from '../trust-facts.ts';
import type { TrustNotices } from '../trust-notices.ts';
import type { TrustIncidents } from './incidents.ts';

export interface LifecycleDependencies extends Pick<TrustDependencies, 'clock' | 'onFault' | 'recheckChains'> {
  readonly party: Pick<TrustDependencies['party'], 'domain'>;
  readonly board: TrustBoard;
  readonly notices: Pick<TrustNotices, 'has' | 'once'>;
  readonly incidents: Pick<TrustIncidents, 'stale' | 'chainRevoked'>;
  /** Begins a new exchange that replaces the certificates in force. */
  readonly renew: (peer: Domain, level: GrantedLevel) => Promise<Result<unknown>>;
  /** Whether an exchange with the peer is open already. */
  readonly isNegotiating: (peer: Domain) => boolean;
}

const DAY_MS = 86_400_000;
/** When officers of both sides are told that trust ends. */
export const COUNTDOWN_DAYS: readonly number[] = [1, 7, 14, 30];
/** Whose name comes later waits a day for the other one: one exchange is enough. */
const SECOND_RENEWS_LATER_DAYS = 1;

/** What happens to trust by itself: conditions, the countdown, renewal, the end, staleness. Everything is told once. */
export class Lifecycle {
  readonly #d: LifecycleDependencies;
  readonly #recheckedAt = new Map<Domain, Instant>();
  /** One partner after the other: the addresses may be slow, and nothing waits for them. */
  #rechecks: Promise<unknown> = Promise.resolve();

  constructor(dependencies: LifecycleDependencies) {
    this.#d = dependencies;
  }

  async tick(): Promise<void> {
    for (const peer of this.#d.board.peers()) await this.#look(peer);
  }

  async #look(peer: Domain): Promise<void> {
    const { board, party, clock } = this.#d;
    const now = clock.now();
    const both = [...board.standings(party.domain, peer, now), ...board.standings(peer, party.domain, now)];
    for (const one of both) await this.#conditions(peer, one, now);
    const pair = board.pair(peer, now);
    if (pair === undefined) return await this.#ended(peer, both);
    await this.#countdown(peer, pair, now);
    await this.#renewal(peer, pair.given, pair.received, now);
    await this.#staleness(peer, now);
    this.#recheckDaily(peer, now);
  }

  #recheckDaily(peer: Domain, now: Instant): void {
    const { recheckChains, onFault } = this.#d;
    const last = this.#recheckedAt.get(peer);
    if (recheckChains === undefined || (last !== undefined && now - last < DAY_MS)) return;
    this.#recheckedAt.set(peer, now);
    this.#rechecks = this.#rechecks
      .then(async () => {
        const { state, detail } = await recheckChains(peer);
        if (state === 'revoked') await this.#d.incidents.chainRevoked(peer, detail);
      })
      .catch(onFault);
  }

  async #conditions(peer: Domain, { certificate, standing }: Standing, now: Instant): Promise<void> {
    if (standing.kind === 'expired' || (standing.kind === 'revoked' && standing.by === 'statement')) return;
    for (const condition of certificate.conditions) {
      if (this.#isMet(certificate, condition, now)) continue;
      if (now >= condition.deadline) await this.#acted(peer, certificate, condition);
      else await this.#conditionDue(peer, certificate, condition, now);
    }
  }

  async #conditionDue(
    peer: Domain,
    { certificateId, issuer, subject }: VerifiedTrustCertificate,
    { name, kind, action, level, deadline }: TrustCondition,
    now: Instant,
  ): Promise<void> {
    const left = deadline - now;
    const days = COUNTDOWN_DAYS.find((one) => left <= one * DAY_MS);
    if (days === undefined) return;
    const { otherwise } = conditionEffects(level)[action];
    const text = `${subject} has ${leftText(left)} to show ${kind} ('${name}'), until ${timeText(instant(deadline))}: otherwise ${otherwise}. ${issuer} records that it was met.`;
    await this.#d.notices.once(
      `condition due ${issuer} ${certificateId} ${name} ${days}`,
      peer,
      { kind: 'due', about: 'condition_due', text },
      {
        ...{ type: 'trust_notice', actor: 'system:server', subject: `org:${peer}`, outcome: 'ok' },
        detail: { about: 'condition_due', condition: name, days, deadline },
      },
    );
  }

  #isMet({ certificateId, issuer }: VerifiedTrustCertificate, { name }: TrustCondition, now: Instant): boolean {
    const said = this.#d.board.chain(issuer).byCertificate.get(certificateId) ?? [];
    return said.some((one) => one.action === 'condition_met' && one.condition === name && one.effective_at <= now);
  }

  async #acted(
    peer: Domain,
    { certificateId, issuer }: VerifiedTrustCertificate,
    condition: TrustCondition,
  ): Promise<void> {
    const { name, action, level, deadline } = condition;
    const { effect } = conditionEffects(level)[action];
    const text = `The condition '${name}' of ${issuer} was not met by ${timeText(instant(deadline))}: ${effect}.`;
    await this.#d.notices.once(
      `condition ${issuer} ${certificateId} ${name}`,
      peer,
      { kind: 'told', about: 'condition', text },
      {
        ...{ type: 'trust_condition_acted', actor: 'system:server', subject: `org:${peer}`, outcome: 'ok' },
        detail: { condition: name, action, certificate_id: certificateId },
      },
    );
  }

  async #countdown(
    peer: Domain,
    { given, received }: NonNullable<ReturnType<TrustBoard['pair']>>,
    now: Instant,
  ): Promise<void> {
    const notAfter = instant(Math.min(given.notAfter, received.notAfter));
    const left = notAfter - now;
    const days = COUNTDOWN_DAYS.find((one) => left <= one * DAY_MS);
    if (days === undefined) return;
    const text = `Trust with ${peer} at ${given.level} ends ${timeText(notAfter)}: in ${leftText(left)}.`;
    await this.#d.notices.once(
      `expiry ${peer} ${notAfter} ${days}`,
      peer,
      { kind: 'due', about: 'expiry', text },
      {
        ...{ type: 'trust_notice', actor: 'system:server', subject: `org:${peer}`, outcome: 'ok' },
        detail: { about: 'expiry', days, not_after: notAfter },
      },
    );
  }

  async #ended(peer: Domain, both: readonly Standing[]): Promise<void> {
    for (const { certificate, standing } of both) {
      if (standing.kind !== 'expired') continue;
      const { certificateId, issuer, subject, notAfter } = certificate;
      if (this.#wasReplaced(certificate, both)) continue;
      await this.#d.notices.once(
        `expired ${issuer} ${certificateId}`,
        peer,
        {
          kind: 'told',
          about: 'expired',
          text: `The certificate that ${issuer} gave ${subject} ended ${timeText(notAfter)}.`,
        },
        {
          ...{ type: 'trust_expired', actor: `org:${issuer}`, subject: `org:${subject}`, outcome: 'ok' },
          detail: { certificate_id: certificateId },
        },
      );
    }
  }

  #wasReplaced({ issuer, notAfter }: VerifiedTrustCertificate, both: readonly Standing[]): boolean {
    return both.some(({ certificate }) => certificate.issuer === issuer && certificate.notAfter > notAfter);
  }

  /** Begins by itself, once a day until it is agreed, at the level in force; the certificates in force stay so meanwhile. */
  async #renewal(
    peer: Domain,
    given: VerifiedTrustCertificate,
    received: VerifiedTrustCertificate,
    now: Instant,
  ): Promise<void> {
    const { board, party, notices, renew, isNegotiating } = this.#d;
    const notAfter = Math.min(given.notAfter, received.notAfter);
    const level = board.level(peer, now);
    if (level === 'untrusted' || board.isEnding(party.domain, peer, now)) return;
    const later = party.domain > peer ? SECOND_RENEWS_LATER_DAYS : 0;
    const begins = notAfter - (board.policy.levels[given.level].renewBeforeDays - later) * DAY_MS;
    if (now < begins || isNegotiating(peer)) return;
    const key = `renewal ${peer} ${notAfter} ${Math.floor((now - begins) / DAY_MS)}`;
    if (notices.has(key)) return;
    const started = await renew(peer, level);
    const otherwise = `trust at ${level} ends ${timeText(instant(notAfter))} otherwise`;
    const text = started.ok
      ? `Asked ${peer} to renew: ${otherwise}.`
      : renewalText(peer, level, started.error, otherwise);
    await notices.once(
      key,
      peer,
      { kind: 'due', about: 'renewal', text },
      {
        ...{ type: 'trust_notice', actor: 'system:server', subject: `org:${peer}` },
        outcome: started.ok ? 'ok' : 'failed',
        detail: { about: 'renewal', not_after: notAfter },
      },
    );
  }

  async #staleness(peer: Domain, now: Instant): Promise<void> {
    const { board, incidents } = this.#d;
    const heardAt = board.heardAt(peer);
    if (isStale(heardAt, now, board.policy.revocationAgeMillisecondsMax)) await incidents.stale(peer, heardAt);
  }
}

/** What follows by itself from a condition that is not met; what would follow, and what has followed. */
function conditionEffects(level: GrantedLevel | undefined) {
  return {
    revoke: { otherwise: 'trust ends', effect: 'trust is over' },
    downgrade: {
      otherwise: `the level falls to ${level ?? 'a lower one'}`,
      effect: `the level is now ${level ?? 'lower'}`,
    },
    notify: { otherwise: 'both sides are told', effect: 'nothing else follows by itself' },
  };
}

function renewalText(peer: Domain, level: GrantedLevel, { code, detail }: Reject, otherwise: string): string {
  return code === 'approval_required'
    ? `Officers have to renew trust with ${peer}: ${otherwise}. norc trust request ${peer} --level ${level} --officer KEY`
    : `Renewal with ${peer} could not begin by itself (${detail}): ${otherwise}.`;
}

function leftText(milliseconds: number): string {
  const days = Math.floor(milliseconds / DAY_MS);
  if (days >= 1) return days === 1 ? '1 day' : `${days} days`;
  const hours = Math.max(1, Math.round(milliseconds / 3_600_000));
  return hours === 1 ? '1 hour' : `${hours} hours`;
}
