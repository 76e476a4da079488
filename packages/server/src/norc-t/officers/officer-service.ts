import { type Clock, type Instant, InvariantError, ok, type Reject, type Result, reject } from '@norc/protocol/base';
import type { Crypto, PinnedOrg } from '@norc/protocol/crypto';
import {
  type ExpectedApproval,
  type OfficerId,
  openOfficer,
  type SignedApproval,
  type TrustPolicy,
  type VerifiedApproval,
  type VerifiedOfficer,
  type VerifiedOfficerRevocation,
  verifyApproval,
  verifyOfficerRevocation,
} from '@norc/protocol/norc-t';
import { bytes, decodeBody, encodeBody, optional, struct } from '@norc/protocol/wire';
import type { Audit, AuditEvent, Officers, OfficerView } from '../../services.ts';
import type { Store, TrustRecordRow } from '../../storage/port.ts';

const DOCUMENT_BYTES_MAX = 4096;

const recordSchema = struct({
  /** Absent where the revocation came before the officer was ever known here. */
  certificate: optional(bytes(DOCUMENT_BYTES_MAX)),
  revocation: optional(bytes(DOCUMENT_BYTES_MAX)),
});

export interface OfficerDependencies {
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** The own organisation with the root key that counts now. Its secret is not on this server. */
  readonly pinned: () => PinnedOrg;
  /** The server's own keys: they are nobody's. */
  readonly serverKeys: () => readonly Uint8Array[];
  readonly policy: () => Pick<TrustPolicy, 'approvers' | 'evidenceAgeMillisecondsMax'>;
  /** A stored document that does not hold any more; its officer counts for nothing. */
  readonly onUnusable: (what: string, code: Reject['code']) => void;
}

/** What the root key signs is ours alone; a number of them all the same. */
const BARRED_MAX = 1024;

type Event = readonly [
  actor: string,
  type: 'officer_added' | 'officer_revoked',
  detail: NonNullable<AuditEvent['detail']>,
];

interface Known {
  readonly officer: VerifiedOfficer;
  readonly revocation?: VerifiedOfficerRevocation;
}

/**
 * Who may approve for this organisation (spec/officers). Everything here is signed by the
 * root key and checked again at every start: the server keeps officers, it makes none.
 */
export class OfficerService implements Officers {
  readonly #d: OfficerDependencies;
  readonly #known = new Map<OfficerId, Known>();
  readonly #listeners: ((officerId: OfficerId) => void)[] = [];
  /** Revoked without a certificate that holds here: never known, or under a root key that was replaced since. No certificate brings them back. */
  readonly #barred = new Map<OfficerId, VerifiedOfficerRevocation>();
  /** One change after the other: each looks at what the one before has left. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dependencies: OfficerDependencies) {
    this.#d = dependencies;
  }

  async load(): Promise<void> {
    this.#known.clear();
    this.#barred.clear();
    for (const row of await this.#d.store.read.trustRecords('officer')) {
      const known = this.#restore(row);
      if (known.ok) this.#known.set(known.value.officer.officerId, known.value);
      else this.#bar(row, known.error.code);
    }
  }

  /** A revocation counts without the certificate of its officer. */
  #bar({ document, key }: TrustRecordRow, code: Reject['code']): void {
    const { crypto, onUnusable, pinned } = this.#d;
    const record = decodeBody(recordSchema, document, 'json');
    const kept = record.ok ? record.value : {};
    if (kept.certificate !== undefined || kept.revocation === undefined) onUnusable('officer', code);
    if (kept.revocation === undefined) return;
    const revocation = verifyOfficerRevocation(crypto, kept.revocation, pinned(), { stored: true });
    if (revocation.ok && revocation.value.officerId === key)
      this.#barred.set(revocation.value.officerId, revocation.value);
    else if (kept.certificate === undefined) onUnusable('officer', revocation.ok ? code : revocation.error.code);
  }

  /** Both documents or none: a revocation that does not hold must not bring its officer back [OFFICER-12]. */
  #restore({ document, key }: TrustRecordRow): Result<Known> {
    const { crypto } = this.#d;
    const record = decodeBody(recordSchema, document, 'json');
    if (!record.ok) return record;
    if (record.value.certificate === undefined) return reject('certificate_invalid', 'certificate of the officer');
    const officer = openOfficer(crypto, record.value.certificate, this.#d.pinned());
    if (!officer.ok) return officer;
    if (officer.value.officerId !== key) return reject('certificate_invalid', 'key of the record');
    if (record.value.revocation === undefined) return ok({ officer: officer.value });
    const revocation = verifyOfficerRevocation(crypto, record.value.revocation, this.#d.pinned(), { stored: true });
    if (!revocation.ok) return revocation;
    if (revocation.value.officerId !== key) return reject('certificate_invalid', 'officer of the revocation');
    return ok({ officer: officer.value, revocation: revocation.value });
  }

  list(): readonly OfficerView[] {
    const barred = [...this.#barred.values()].map(barredView);
    return [...[...this.#known.values()].map((known) => this.#view(known)), ...barred].sort(
      (a, b) => a.notBefore - b.notBefore,
    );
  }

  onChange(listener: (officerId: OfficerId) => void): void {
    this.#listeners.push(listener);
  }

  add(certificate: Uint8Array, actor: string): Promise<Result<OfficerView>> {
    return this.#inTurn(() => this.#add(certificate, actor));
  }

  async #add(certificate: Uint8Array, actor: string): Promise<Result<OfficerView>> {
    const { crypto, clock } = this.#d;
    const opened = openOfficer(crypto, certificate, this.#d.pinned());
    if (!opened.ok) return opened;
    const officer = opened.value;
    if (officer.notAfter <= clock.now()) return reject('certificate_expired', 'certificate of the officer');
    if (this.#d.serverKeys().some((key) => crypto.equal(key, officer.publicKey)))
      return reject('certificate_invalid', "a server's key is no officer");
    const before = this.#known.get(officer.officerId);
    if (before?.revocation !== undefined || this.#barred.has(officer.officerId))
      return reject('forbidden', 'this officer was revoked: whoever comes back needs a new key');
    if (before !== undefined && before.officer.notBefore > officer.notBefore)
      return reject('forbidden', 'a newer certificate of this officer is known');
    const roles = [...officer.roles].join(' ');
    await this.#keep({ officer }, actor, 'officer_added', { roles, not_after: officer.notAfter });
    return ok(this.#view({ officer }));
  }

  revoke(revocation: Uint8Array, actor: string): Promise<Result<OfficerView>> {
    return this.#inTurn(() => this.#revoke(revocation, actor));
  }

  /** Of several, the one that reaches back furthest counts: a revocation is never softened [OFFICER-13]. */
  async #revoke(document: Uint8Array, actor: string): Promise<Result<OfficerView>> {
    const checked = verifyOfficerRevocation(this.#d.crypto, document, this.#d.pinned());
    if (!checked.ok) return checked;
    const revocation = checked.value;
    const before = this.#known.get(revocation.officerId);
    if (before === undefined) return await this.#revokeUnknown(revocation, actor);
    if (before.revocation !== undefined && before.revocation.revokedAt <= revocation.revokedAt)
      return ok(this.#view(before));
    const next: Known = { officer: before.officer, revocation };
    await this.#keep(next, actor, 'officer_revoked', { revoked_at: revocation.revokedAt });
    return ok(this.#view(next));
  }

  /** Its certificate may come later, from whoever kept it back: the revocation is here by then [OFFICER-25]. */
  async #revokeUnknown(revocation: VerifiedOfficerRevocation, actor: string): Promise<Result<OfficerView>> {
    const { officerId, revokedAt } = revocation;
    const held = this.#barred.get(officerId);
    if (held !== undefined && held.revokedAt <= revokedAt) return ok(barredView(held));
    if (held === undefined && this.#barred.size >= BARRED_MAX)
      return reject('queue_full', 'revocations of unknown officers');
    await this.#write(officerId, { revocation }, actor, 'officer_revoked', { revoked_at: revokedAt });
    this.#barred.set(officerId, revocation);
    this.#tell(officerId);
    return ok(barredView(revocation));
  }

  async #keep(known: Known, ...event: Event): Promise<void> {
    const { officerId } = known.officer;
    await this.#write(officerId, known, ...event);
    this.#known.set(officerId, known);
    this.#tell(officerId);
  }

  #tell(officerId: OfficerId): void {
    for (const listener of this.#listeners) listener(officerId);
  }

  /** Durable before it counts. */
  async #write(officerId: OfficerId, { officer, revocation }: Partial<Known>, ...event: Event): Promise<void> {
    const [actor, type, detail] = event;
    const record: TrustRecordRow = {
      kind: 'officer',
      key: officerId,
      at: this.#d.clock.now(),
      document: encodeBody(
        recordSchema,
        {
          ...(officer === undefined ? {} : { certificate: officer.document.bytes }),
          ...(revocation === undefined ? {} : { revocation: revocation.document.bytes }),
        },
        'json',
      ),
    };
    const entry: AuditEvent = { type, actor, subject: `officer:${officerId}`, outcome: 'ok', detail };
    const outcome = await this.#d.audit.commit([{ op: 'trust.record.put', record }], [entry]);
    if (!outcome.ok) throw new InvariantError(`an officer was not kept: ${outcome.conflict}`);
  }

  /**
   * [OFFICER-6] to [OFFICER-11] and [OFFICER-14]: the certificate that travels with an approval
   * proves who signed; whether they may, says the one that is known here now.
   */
  check(approval: SignedApproval, expected: Omit<ExpectedApproval, 'pinned' | 'now'>): Result<VerifiedApproval> {
    const { crypto, clock, policy } = this.#d;
    const now = clock.now();
    const { approvers, evidenceAgeMillisecondsMax } = policy();
    const verified = verifyApproval(crypto, approval, {
      ageMillisecondsMax: evidenceAgeMillisecondsMax,
      serverKeys: this.#d.serverKeys(),
      ...expected,
      pinned: this.#d.pinned(),
      now,
    });
    if (!verified.ok) return verified;
    const { officerId } = verified.value.officer;
    const known = this.#known.get(officerId);
    if (known === undefined) return reject('forbidden', 'this officer is not known here');
    const fault = officeFault(known, verified.value.approvedAt, now);
    if (fault !== undefined) return reject('certificate_expired', fault);
    if (!known.officer.roles.has(expected.role ?? 'trust')) return reject('forbidden', 'role of the officer');
    if (approvers.size > 0 && !approvers.has(officerId))
      return reject('forbidden', 'the policy does not name this officer as an approver');
    return verified;
  }

  #view({ officer, revocation }: Known): OfficerView {
    const { officerId, publicKey, roles, notBefore, notAfter, document } = officer;
    const now = this.#d.clock.now();
    return {
      ...{ officerId, publicKey, notBefore, notAfter, roles: [...roles], certificate: document.bytes },
      state: stateOf({ officer, ...(revocation === undefined ? {} : { revocation }) }, now),
      ...(revocation === undefined ? {} : { revokedAt: revocation.revokedAt, reason: revocation.reason }),
    };
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(run);
    this.#turn = mine.catch(() => undefined); // whoever asked is told; the next one goes on
    return mine;
  }
}

/** An officer of whom no more than the revocation is known. */
function barredView({ officerId, revokedAt, reason }: VerifiedOfficerRevocation): OfficerView {
  const nothing = { publicKey: new Uint8Array(), certificate: new Uint8Array(), roles: [] };
  return { officerId, ...nothing, state: 'revoked', notBefore: revokedAt, notAfter: revokedAt, revokedAt, reason };
}

function stateOf({ officer, revocation }: Known, at: Instant): OfficerView['state'] {
  if (revocation !== undefined && revocation.revokedAt <= at) return 'revoked';
  if (at < officer.notBefore) return 'not_yet';
  return at < officer.notAfter ? 'in_office' : 'expired';
}

const STATES: Readonly<Record<Exclude<OfficerView['state'], 'in_office'>, string>> = {
  revoked: 'was revoked',
  not_yet: 'is not in office yet',
  expired: 'is no longer in office',
};

/**
 * In office now, by what is known here; that the officer was so when signing, the certificate
 * beside the approval has proved, unless a revocation reaches back to then [OFFICER-7].
 */
function officeFault(known: Known, signedAt: Instant, now: Instant): string | undefined {
  const state = stateOf(known, now);
  if (state !== 'in_office') return `the officer ${STATES[state]}`;
  const { revocation } = known;
  return revocation !== undefined && revocation.revokedAt <= signedAt ? `the officer ${STATES.revoked}` : undefined;
}
