import { type Clock, type Domain, ok, type Result, reject, type TrustLevel, toHex } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  type ApprovalAction,
  type ApprovalQuestion,
  compareLevels,
  encodeRequestDescription,
  GRANTED_LEVELS,
  type GrantedLevel,
  needsSignedApprovals,
  type OfficerDecision,
  requestDescription,
  requestSubject,
  requestTerms,
  type SignedApproval,
  type TrustPolicy,
  type TrustRequest,
} from '@norc/protocol/norc-t';
import type { Audit, Officers, SignedRequest, TrustRequestDraft, TrustRequestOptions } from '../../services.ts';
import type { Exchange } from './exchange-runner.ts';

const DRAFTS_MAX = 64;
const DRAFT_LIFE_MS = 3_600_000;
const NAME_LENGTH_MAX = 64;

/** A request without what the runner draws for it. */
export type NegotiationRequest = Omit<TrustRequest, 'self' | 'exchangeId' | 'certificateId' | 'nonce'>;

/** What officers need of the exchanges. */
export interface NegotiationRunner {
  begin(request: NegotiationRequest, actor: string): Promise<Result<Exchange>>;
  awaitingApproval(peer: Domain): readonly Exchange[];
  /** What an exchange that waits for approval asks. */
  question(exchange: Exchange): ApprovalQuestion | undefined;
  officer(exchange: Exchange, decision: Omit<OfficerDecision, 'kind' | 'at'>, actor: string): Promise<Result<Exchange>>;
}

export interface NegotiationDependencies {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly audit: Pick<Audit, 'note'>;
  readonly officers: () => Pick<Officers, 'check'>;
  readonly policy: () => TrustPolicy;
  readonly runner: NegotiationRunner;
}

interface Draft {
  readonly request: NegotiationRequest;
  readonly at: number;
}

/**
 * Officers in trust exchanges: every signature is checked against the officers that this
 * server knows before a machine sees it (spec/officers section 6). The other side's are
 * checked by the machines alone, against its root key.
 */
export class ExchangeOfficers {
  readonly #d: NegotiationDependencies;
  readonly #drafts = new Map<string, Draft>();

  constructor(dependencies: NegotiationDependencies) {
    this.#d = dependencies;
  }

  draft(peer: Domain, level: TrustLevel, options: TrustRequestOptions = {}): Result<TrustRequestDraft> {
    const request = this.#requestOf(peer, level, options);
    if (!request.ok) return request;
    const { crypto, clock, policy } = this.#d;
    const description = requestDescription(request.value);
    const subject = requestSubject(crypto, description);
    this.#forgetDrafts();
    this.#drafts.set(toHex(subject), { request: request.value, at: clock.now() });
    const signed = needsSignedApprovals(policy(), request.value.level);
    return ok({ subject, signed, description: encodeRequestDescription(description) });
  }

  /** What the policy would cut down is refused instead: what is asked is what was shown. */
  #requestOf(peer: Domain, level: TrustLevel, options: TrustRequestOptions): Result<NegotiationRequest> {
    const granted = GRANTED_LEVELS.find((one) => one === level);
    if (granted === undefined) return reject('insufficient_trust', `${level} cannot be asked for`);
    const policy = this.#d.policy();
    const { lifeDaysMax, conditions: own } = policy.levels[granted];
    const { days = lifeDaysMax, conditions = [], natoCapable, note } = options;
    if (days > lifeDaysMax) return reject('insufficient_trust', `the policy allows ${lifeDaysMax} days at ${granted}`);
    const taken = conditions.find(({ name }) => own.some((one) => one.name === name));
    if (taken !== undefined) return reject('forbidden', `the policy has a condition ${taken.name} already`);
    return ok({
      ...{ peer, level: granted, validDays: days },
      ...requestTerms(policy, granted, this.#d.clock.now(), conditions),
      ...(natoCapable === undefined ? {} : { natoCapable }),
      ...(note === undefined ? {} : { note }),
    });
  }

  /** The oldest go first: a draft costs nothing to make again. */
  #forgetDrafts(): void {
    const now = this.#d.clock.now();
    for (const [key, { at }] of this.#drafts) {
      if (now - at > DRAFT_LIFE_MS || this.#drafts.size >= DRAFTS_MAX) this.#drafts.delete(key);
    }
  }

  /** Where officers sign, the terms are those of a draft that `requested` signs; otherwise those of the options. */
  async request(
    peer: Domain,
    level: TrustLevel,
    actor: string,
    { requested, ...options }: TrustRequestOptions & { readonly requested?: SignedRequest } = {},
  ): Promise<Result<Exchange>> {
    const { runner, policy } = this.#d;
    if (requested !== undefined) return await this.#signedRequest(peer, level, requested);
    const request = this.#requestOf(peer, level, options);
    if (!request.ok) return request;
    if (needsSignedApprovals(policy(), request.value.level))
      return reject('approval_required', `an officer has to sign a request for ${level}`);
    return await runner.begin(request.value, actor);
  }

  async #signedRequest(peer: Domain, level: TrustLevel, signed: SignedRequest): Promise<Result<Exchange>> {
    const { subject, approval } = signed;
    const draft = this.#drafts.get(toHex(subject))?.request;
    if (draft === undefined || draft.peer !== peer || draft.level !== level)
      return reject('approval_expired', 'what was signed is no request that waits: ask anew');
    const by = this.#check('trust_request', peer, subject, approval);
    if (!by.ok) return by;
    this.#drafts.delete(toHex(subject));
    return await this.#d.runner.begin({ ...draft, requested: approval }, by.value);
  }

  question(peer: Domain): Result<ApprovalQuestion> {
    const waiting = this.#waiting(peer);
    return waiting.ok ? ok(waiting.value.question) : waiting;
  }

  /** With a `level` where officers sign: drafts anew for that level, which voids what was signed; then it is signed. */
  async approve(
    peer: Domain,
    actor: string,
    { signed, level }: { readonly signed?: SignedApproval; readonly level?: GrantedLevel } = {},
  ): Promise<Result<Exchange>> {
    const waiting = this.#waiting(peer);
    if (!waiting.ok) return waiting;
    const { exchange, question } = waiting.value;
    if (signed === undefined) {
      const { level: now } = question;
      if (question.signed && (level === undefined || level === now))
        return reject('approval_required', `officers sign for ${now} with their own keys`);
      if (level !== undefined && compareLevels(level, now) > 0)
        return reject('forbidden', `more than ${now} is not asked for`);
      const chosen = level === undefined ? {} : { level };
      return await this.#d.runner.officer(exchange, { decision: 'approve', by: nameOf(actor), ...chosen }, actor);
    }
    const by = this.#check('trust_grant', peer, question.subject, signed);
    if (!by.ok) return by;
    return await this.#d.runner.officer(exchange, { decision: 'approve', by: nameOf(by.value), signed }, by.value);
  }

  /** Declines every request that waits. A refusal needs nobody's signature; one that is given has to be sound. */
  async decline(peer: Domain, actor: string, reason: string, signed?: SignedApproval): Promise<Result<Exchange>> {
    if (signed !== undefined) return await this.#declineSigned(peer, reason, signed);
    let last: Result<Exchange> = NOTHING_WAITS;
    for (const exchange of this.#d.runner.awaitingApproval(peer)) {
      last = await this.#d.runner.officer(exchange, { decision: 'reject', by: nameOf(actor), reason }, actor);
      if (!last.ok) return last;
    }
    return last;
  }

  async #declineSigned(peer: Domain, reason: string, signed: SignedApproval): Promise<Result<Exchange>> {
    const waiting = this.#waiting(peer);
    if (!waiting.ok) return waiting;
    const by = this.#check('trust_decline', peer, waiting.value.question.subject, signed);
    if (!by.ok) return by;
    const says = { decision: 'reject', by: nameOf(by.value), reason, signed } as const;
    return await this.#d.runner.officer(waiting.value.exchange, says, by.value);
  }

  /** Exactly one: an officer who compared a fingerprint must not approve another exchange than the one shown. */
  #waiting(peer: Domain): Result<{ readonly exchange: Exchange; readonly question: ApprovalQuestion }> {
    const [exchange, second] = this.#d.runner.awaitingApproval(peer);
    const question = exchange === undefined ? undefined : this.#d.runner.question(exchange);
    if (exchange === undefined || question === undefined) return NOTHING_WAITS;
    if (second === undefined) return ok({ exchange, question });
    const next = 'decline them, and let it ask again';
    return reject('forbidden', `more than one request of this organisation waits: ${next}`);
  }

  /** Who signed, as the audit log names one. */
  #check(action: ApprovalAction, peer: Domain, subject: Uint8Array, approval: SignedApproval): Result<string> {
    const checked = this.#d.officers().check(approval, { action, peer, subject });
    if (checked.ok) return ok(`officer:${checked.value.officer.officerId}`);
    const detail = { action, code: checked.error.code };
    const parties = { actor: 'system:server', subject: `org:${peer}` };
    this.#d.audit.note({ type: 'approval_refused', ...parties, outcome: 'refused', detail });
    return checked;
  }
}

const NOTHING_WAITS = reject('forbidden', 'no request of this organisation waits for approval');

/** An officer as an exchange names one. */
function nameOf(actor: string): string {
  return actor.slice(0, NAME_LENGTH_MAX);
}
