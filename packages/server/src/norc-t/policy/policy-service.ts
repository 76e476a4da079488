import { type Clock, type Domain, instant, ok, type Result, reject, sameBytes } from '@norc/protocol/base';
import { type Crypto, draftDocument, parseDocument } from '@norc/protocol/crypto';
import {
  type GrantedLevel,
  loosens,
  POLICY_CHANGE,
  type PolicyChange,
  parsePolicyDocument,
  policyDocument,
  policyFaults,
  policyFromBody,
  policyHash,
  policyToBody,
  type SignedApproval,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import type { ApprovedProposal, Audit, Officers, Proposals, ProposalView } from '../../services.ts';
import type { Store } from '../../storage/port.ts';
import { approvalRecord } from '../officers/proposal-record.ts';
import type { DecisionCounts } from './decision-counts.ts';
import { gatherFacts, type PolicyTrust } from './policy-facts.ts';
import { type LevelImpact, levelImpact, type PolicyPlan, planHash, planPolicy } from './policy-plan.ts';
import {
  compareWithFile,
  type FileState,
  type PolicyInForce,
  type PolicyReader,
  type PolicyRecord,
  policyHistory,
  recordEvent,
  recordOf,
  recordWrite,
} from './policy-record.ts';

export interface PolicyDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly trust: PolicyTrust;
  readonly counts: DecisionCounts;
  readonly officers: Pick<Officers, 'check'>;
  readonly proposals: Pick<Proposals, 'open' | 'list' | 'approve' | 'onApproved'>;
  readonly onFault: (error: unknown) => void;
  /** As the server started with it (policy-record.ts). */
  readonly inForce: PolicyInForce;
  /** The configured policy file, if there is one. */
  readonly readFile: PolicyReader | undefined;
}

export interface PlannedPolicy {
  readonly plan: PolicyPlan;
  /** Names what the plan opens; whoever applies it says which one they saw. */
  readonly planHash: Uint8Array;
  /** What officers sign to apply it: a `policy_change`. */
  readonly change: Uint8Array;
  readonly before: PolicyInForce;
  readonly hash: Uint8Array;
}

export interface ApplyRequest {
  /** A `trust_policy` document. */
  readonly document: Uint8Array;
  /** The number of the policy in force that the plan was made against. */
  readonly number: number;
  /** The plan that was seen. */
  readonly plan: Uint8Array;
  /** Of the change, by an officer. */
  readonly approval?: SignedApproval;
  readonly actor: string;
}

export type ApplyOutcome =
  | { readonly state: 'unchanged' | 'applied'; readonly number: number }
  /** It loosens something: officers have to sign it. */
  | { readonly state: 'waiting'; readonly proposal: ProposalView };

/** Two persons loosen a policy, one tightens it [POLICY-40]. */
const PERSONS_TO_LOOSEN = 2;

/** The policy in force: what a change would do, and how it comes into force (spec/trust-policy section 6). */
export class PolicyService {
  readonly #d: PolicyDependencies;
  #inForce: PolicyInForce;
  /** One change after the other: each is compared with the policy that it replaces. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dependencies: PolicyDependencies) {
    this.#d = dependencies;
    this.#inForce = dependencies.inForce;
    dependencies.proposals.onApproved('policy_apply', (proposal) => this.#inTurn(() => this.#approved(proposal)));
  }

  get inForce(): PolicyInForce {
    return this.#inForce;
  }

  /** How the configured file differs from the policy in force now; absent when none is configured. */
  fileState(): FileState | undefined {
    const { readFile } = this.#d;
    return readFile === undefined ? undefined : compareWithFile(this.#inForce.policy, readFile);
  }

  history(): Promise<readonly PolicyRecord[]> {
    return policyHistory(this.#d.store);
  }

  /** Errors: those of parsing; not_canonical; forbidden when it is below the protocol's floor. */
  async plan(document: Uint8Array): Promise<Result<PlannedPolicy>> {
    const policy = this.#read(document);
    return policy.ok ? ok(await this.#plan(policy.value)) : policy;
  }

  async #plan(policy: TrustPolicy): Promise<PlannedPolicy> {
    const { crypto, self, store, trust, counts, clock } = this.#d;
    const before = this.#inForce;
    const decided = await counts.recorded();
    const facts = await gatherFacts(store, trust, { self, now: clock.now(), decided });
    const plan = planPolicy(before.policy, policy, facts);
    const hash = planHash(crypto, plan);
    const change = draftDocument(POLICY_CHANGE, {
      ...{ org: self, number: before.number + 1, previous: before.hash, plan: hash },
      policy: policyToBody(policy),
    });
    return { plan, planHash: hash, change: change.bytes, before, hash: policyHash(crypto, policy) };
  }

  /** Read strictly: one policy has one document, so that what was signed is what is applied [POLICY-3]. */
  #read(document: Uint8Array): Result<TrustPolicy> {
    const parsed = parsePolicyDocument(document);
    if (!parsed.ok) return parsed;
    return this.#sound(parsed.value, document);
  }

  #sound(policy: TrustPolicy, document: Uint8Array): Result<TrustPolicy> {
    const canonical = canonicalOf(policy);
    if (canonical === undefined || !sameBytes(canonical, document)) return reject('not_canonical', 'trust policy');
    const [fault] = policyFaults(policy);
    if (fault === undefined) return ok(policy);
    return reject('forbidden', `${fault.path}: ${fault.found}; allowed: ${fault.allowed} [${fault.rule}]`);
  }

  /**
   * Puts a policy in force, or asks officers to. It is planned anew: when what it would open
   * is no longer what was seen, nobody has agreed to it [POLICY-31]. Errors: those of `plan`;
   * approval_expired (another policy is in force, or the plan has changed); those of the officers' approval.
   */
  async apply(request: ApplyRequest): Promise<Result<ApplyOutcome>> {
    const decided = await this.#inTurn(() => this.#decide(request));
    if (!decided.ok || decided.value.state !== 'ask') return decided as Result<ApplyOutcome>; // `ask` is the other one
    return await this.#ask(decided.value.change, request); // outside of the turn: the last signature applies it at once
  }

  async #decide(
    request: ApplyRequest,
  ): Promise<Result<ApplyOutcome | { readonly state: 'ask'; readonly change: Uint8Array }>> {
    const policy = this.#read(request.document);
    if (!policy.ok) return policy;
    if (request.number !== this.#inForce.number) return this.#overtaken();
    const planned = await this.#plan(policy.value);
    if (sameBytes(planned.hash, this.#inForce.hash)) return ok({ state: 'unchanged', number: this.#inForce.number });
    const opens = loosens(planned.plan.changes);
    if (opens && !sameBytes(planned.planHash, request.plan)) {
      return reject('approval_expired', 'what this policy would open has changed since the plan: plan it again');
    }
    if (opens) return ok({ state: 'ask', change: planned.change });
    return await this.#tighten(policy.value, planned, request);
  }

  async #tighten(
    policy: TrustPolicy,
    { plan, change }: PlannedPolicy,
    { approval, actor }: ApplyRequest,
  ): Promise<Result<ApplyOutcome>> {
    const signed: SignedApproval[] = [];
    let who = actor;
    if (approval !== undefined) {
      const checked = this.#check(change, approval);
      if (!checked.ok) return checked;
      signed.push(approval);
      who = `officer:${checked.value.officer.officerId}`;
    }
    const { audit, crypto, clock } = this.#d;
    const kept = signed.map((one) => approvalRecord(crypto, one, undefined, clock.now()));
    const commit: Audit['commit'] = (writes, events) => audit.commit([...writes, ...kept], events);
    const applied = await this.#apply(policy, { changes: plan.changes, actor: who, signed, commit });
    return applied.ok ? ok({ state: 'applied', number: applied.value }) : applied;
  }

  #check(change: Uint8Array, approval: SignedApproval) {
    return this.#d.officers.check(approval, { action: 'policy_apply', subject: this.#d.crypto.blake3(change) });
  }

  /** Whoever signs what waits already adds to it; otherwise it begins to wait. */
  async #ask(change: Uint8Array, { approval, actor }: ApplyRequest): Promise<Result<ApplyOutcome>> {
    const { proposals, crypto } = this.#d;
    const subject = crypto.blake3(change);
    const open = proposals.list().find((one) => one.state === 'open' && sameBytes(one.subject, subject));
    const view =
      open !== undefined && approval !== undefined
        ? await proposals.approve(open.proposalId, approval)
        : await proposals.open({
            ...{ action: 'policy_apply', document: change, actor },
            // The officer who asks is one of the two; through the admin socket nobody has signed yet.
            needed: approval === undefined ? PERSONS_TO_LOOSEN : PERSONS_TO_LOOSEN - 1,
            ...(approval === undefined ? {} : { requested: approval }),
          });
    if (!view.ok) return view;
    if (view.value.state === 'done') return ok({ state: 'applied', number: this.#inForce.number });
    return ok({ state: 'waiting', proposal: view.value });
  }

  /** Enough officers have signed. What they signed names the policy that it replaces [POLICY-41]. */
  async #approved(proposal: ApprovedProposal): Promise<Result<number>> {
    const parsed = parseDocument(POLICY_CHANGE, proposal.document);
    if (!parsed.ok) return parsed;
    const { body } = parsed.value;
    if (body.org !== this.#d.self) return reject('forbidden', 'this is the policy of another organisation');
    const follows = body.number === this.#inForce.number + 1 && sameBytes(body.previous, this.#inForce.hash);
    if (!follows) return this.#overtaken();
    const read = policyFromBody(body.policy);
    const policy = this.#sound(read, canonicalOf(read) ?? proposal.document);
    if (!policy.ok) return policy;
    const signed = [...proposal.approvals, ...(proposal.requested === undefined ? [] : [proposal.requested])];
    const { plan, planHash: seen } = await this.#plan(policy.value);
    if (loosens(plan.changes) && signed.length < PERSONS_TO_LOOSEN)
      return reject('approval_required', 'two officers have to sign what loosens the policy');
    return await this.#apply(policy.value, {
      ...{ changes: plan.changes, actor: proposal.actor, signed, commit: proposal.commit },
      planChanged: !sameBytes(seen, body.plan),
    });
  }

  #overtaken(): Result<never> {
    return reject('approval_expired', `policy ${this.#inForce.number} is in force by now: plan this one again`);
  }

  async #apply(policy: TrustPolicy, applied: Applied): Promise<Result<number>> {
    const { crypto, clock, self, trust } = this.#d;
    const hash = policyHash(crypto, policy);
    const record = recordOf(crypto, {
      ...{
        number: this.#inForce.number + 1,
        previous: this.#inForce.hash,
        policy,
        at: clock.now(),
        source: 'officers',
      },
      ...applied,
    });
    const outcome = await applied.commit([recordWrite(record)], [recordEvent(self, record, hash)]);
    if (!outcome.ok) return reject('internal', 'the policy could not be written');
    this.#inForce = { number: record.number, policy, hash, at: instant(record.at) };
    // It is in force already: an effect that fails is taken up again by the next look, every minute.
    await trust.setPolicy(policy).catch(this.#d.onFault);
    return ok(record.number);
  }

  /** What a level with a partner would mean: for `trust show` and requests. */
  async impact(peer: Domain, level: GrantedLevel, natoCapable = false): Promise<LevelImpact> {
    const { store, trust, self, clock } = this.#d;
    const facts = await gatherFacts(store, trust, { self, now: clock.now(), decided: [] });
    return levelImpact(this.#inForce.policy, facts, { peer, level, natoCapable });
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(run);
    this.#turn = mine.catch(() => undefined); // whoever asked is told; the next one goes on
    return mine;
  }
}

interface Applied {
  readonly changes: readonly PolicyChange[];
  readonly actor: string;
  readonly signed: readonly SignedApproval[];
  readonly commit: Audit['commit'];
  /** What it opens is not, to the item, what the officers saw: facts changed while they signed. */
  readonly planChanged?: boolean;
}

/** Undefined for a policy that has no document: a list that is too long. */
function canonicalOf(policy: TrustPolicy): Uint8Array | undefined {
  try {
    return policyDocument(policy).bytes;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

export type { PolicyInForce, PolicyRecord };
