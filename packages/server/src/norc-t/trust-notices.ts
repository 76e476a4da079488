import { type Domain, type Instant, instant } from '@norc/protocol/base';
import { choice, decodeBody, encodeBody, type Infer, struct, text, uint } from '@norc/protocol/wire';
import type { AuditEvent } from '../services.ts';
import type { StoreWrite, TrustRecordRow } from '../storage/port.ts';
import type { TrustDependencies } from './trust-dependencies.ts';

const TEXT_BYTES_MAX = 1024;

/** `incident`: the partner did what it must not. `due`: something that officers should see to. `told`: something that happened by itself. */
export const NOTICE_KINDS = ['incident', 'due', 'told'] as const;

const noticeSchema = struct({
  kind: choice(NOTICE_KINDS),
  /** What it is about, such as `expiry`, `condition`, `stale`, `suppressed`, `fork`. */
  about: text(64),
  text: text(TEXT_BYTES_MAX),
  at: uint(),
});
type NoticeBody = Infer<typeof noticeSchema>;

/** One sentence for officers that was said once. */
export interface TrustNotice extends Omit<NoticeBody, 'at'> {
  readonly at: Instant;
}

/** What officers are told once about a partner: kept, shown by `trust show`, and in the audit log. */
export class TrustNotices {
  readonly #d: Pick<TrustDependencies, 'store' | 'audit' | 'clock'>;
  readonly #byPeer = new Map<Domain, TrustNotice[]>();
  readonly #keys = new Set<string>();

  constructor(dependencies: Pick<TrustDependencies, 'store' | 'audit' | 'clock'>) {
    this.#d = dependencies;
  }

  async load(): Promise<void> {
    for (const row of await this.#d.store.read.trustRecords('notice')) {
      const notice = decodeBody(noticeSchema, row.document, 'json');
      if (row.peer === undefined || !notice.ok) continue;
      this.#remember(row.key, row.peer, { ...notice.value, at: instant(notice.value.at) });
    }
  }

  of(peer: Domain): readonly TrustNotice[] {
    return this.#byPeer.get(peer) ?? [];
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Says it unless it was said; with the audit entry in one transaction. True when it is new. */
  async once(key: string, peer: Domain, said: Omit<TrustNotice, 'at'>, event: AuditEvent): Promise<boolean> {
    if (this.#keys.has(key)) return false;
    const notice = { ...said, text: said.text.slice(0, TEXT_BYTES_MAX / 4), at: this.#d.clock.now() };
    this.#remember(key, peer, notice); // first: the same may be noticed again while this is written
    const record: TrustRecordRow = {
      ...{ kind: 'notice', key, peer, at: notice.at },
      document: encodeBody(noticeSchema, notice, 'json'),
    };
    const write: StoreWrite = { op: 'trust.record.put', record };
    try {
      await this.#d.audit.commit([write], [event]);
    } catch (error) {
      this.#forget(key, peer, notice); // nothing was kept: it is said at the next look
      throw error;
    }
    return true;
  }

  /** The record of something that is told together with what caused it; `said` once that is durable. */
  draft(key: string, peer: Domain, said: Omit<TrustNotice, 'at'>): { readonly write: StoreWrite; said(): void } {
    const notice = { ...said, at: this.#d.clock.now() };
    const document = encodeBody(noticeSchema, notice, 'json');
    const record: TrustRecordRow = { kind: 'notice', key, peer, at: notice.at, document };
    return { write: { op: 'trust.record.put', record }, said: () => this.#remember(key, peer, notice) };
  }

  #remember(key: string, peer: Domain, notice: TrustNotice): void {
    this.#keys.add(key);
    const known = this.#byPeer.get(peer) ?? [];
    known.push(notice);
    this.#byPeer.set(peer, known);
  }

  #forget(key: string, peer: Domain, notice: TrustNotice): void {
    this.#keys.delete(key);
    const rest = this.of(peer).filter((one) => one !== notice);
    this.#byPeer.set(peer, rest);
  }
}
