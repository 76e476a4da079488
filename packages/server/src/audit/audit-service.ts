import {
  type AuditHead,
  type AuditPartyKind,
  auditGenesis,
  auditParty,
  auditPseudonym,
  draftAuditEntry,
} from '@norc/protocol/audit';
import type { Clock, Domain, Instant } from '@norc/protocol/base';
import type { Crypto, Signer } from '@norc/protocol/crypto';
import type { Audit, AuditEvent } from '../services.ts';
import type { AuditRow, Store, StoreWrite } from '../storage/port.ts';

/** Another writer (a second node of the organisation) appended first this often: something is wrong with it. */
const ATTEMPTS_MAX = 16;
/** Notes of one kind about one subject within this time become one entry with a count. */
const NOTE_WINDOW_MS = 10_000;
const NOTES_PER_TYPE_MAX = 100;
const PERSON_KINDS: readonly AuditPartyKind[] = ['officer', 'user', 'device', 'conversation', 'source'];

export interface AuditDependencies {
  readonly org: Domain;
  readonly store: Store;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly signer: Signer;
  /** Secret of this organisation: who has it can look pseudonyms up. */
  readonly pseudonymKey: Uint8Array;
  readonly after: (delayMilliseconds: number, run: () => void) => void;
  readonly onFault: (error: unknown) => void;
}

interface Note {
  readonly event: AuditEvent;
  readonly since: Instant;
  count: number;
}

/**
 * The organisation's log: each entry is chained, signed and stored in the transaction
 * of what it records. Entries are made one after the other, since each holds the hash
 * of the one before.
 */
export class AuditService implements Audit {
  readonly #d: AuditDependencies;
  #head: AuditHead | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #notes = new Map<string, Note>();
  #noting = false;

  constructor(dependencies: AuditDependencies) {
    this.#d = dependencies;
  }

  commit(writes: readonly StoreWrite[], events: readonly AuditEvent[]): ReturnType<Audit['commit']> {
    const mine = this.#turn.then(() => this.#commit(writes, events));
    this.#turn = mine.catch(() => undefined); // whoever asked is told; the next one goes on
    return mine;
  }

  async #commit(writes: readonly StoreWrite[], events: readonly AuditEvent[]): ReturnType<Audit['commit']> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const { rows, head } = await this.#entries(events);
      const appends: StoreWrite[] = rows.map((entry) => ({ op: 'audit.append', entry }));
      const outcome = await this.#d.store.commit([...writes, ...appends]);
      if (outcome.ok) {
        this.#head = head;
        return { ok: true };
      }
      if (outcome.conflict !== 'audit.append') return { ok: false, conflict: outcome.conflict };
      this.#head = undefined;
    }
    return { ok: false, conflict: 'audit.append' };
  }

  async #entries(
    events: readonly AuditEvent[],
  ): Promise<{ readonly rows: readonly AuditRow[]; readonly head: AuditHead }> {
    const { crypto, signer, clock } = this.#d;
    let head = this.#head ?? (await this.#d.store.read.auditHead()) ?? auditGenesis(crypto, this.#d.org);
    const rows: AuditRow[] = [];
    for (const { type, actor, subject, outcome, detail } of events) {
      const parties = { actor: this.#party(actor), subject: this.#party(subject) };
      const event = { time: clock.now(), type, ...parties, outcome, ...(detail === undefined ? {} : { detail }) };
      const { sequence, time, previousHash, hash, entry, signingInput } = draftAuditEntry(
        crypto,
        head,
        event,
        signer.publicKey,
      );
      rows.push({ sequence, time, type, previousHash, hash, entry, signature: await signer.sign(signingInput) });
      head = { sequence, hash };
    }
    return { rows, head };
  }

  /** People, devices, conversations and addresses go in by pseudonym only. */
  #party(party: string): string {
    const colon = party.indexOf(':');
    const kind = party.slice(0, colon) as AuditPartyKind; // auditParty refuses a kind that is none
    const id = party.slice(colon + 1);
    if (!PERSON_KINDS.includes(kind)) return auditParty(kind, id);
    return auditParty(kind, auditPseudonym(this.#d.crypto, this.#d.pseudonymKey, kind, id));
  }

  note(event: AuditEvent): void {
    const key = [event.type, event.actor, event.subject, event.outcome, JSON.stringify(event.detail ?? {})].join(' ');
    this.#count(key, event, 1, this.#d.clock.now());
    if (this.#noting) return;
    this.#noting = true;
    this.#d.after(NOTE_WINDOW_MS, () => void this.flush().catch(this.#d.onFault));
  }

  /** A flood of one type fills its own share only; what is over it becomes one entry that says how many. */
  #count(key: string, event: AuditEvent, count: number, since: Instant): void {
    const known = this.#notes.get(key);
    if (known !== undefined) {
      known.count += count;
      return;
    }
    const ofType = [...this.#notes.values()].filter((note) => note.event.type === event.type).length;
    if (ofType < NOTES_PER_TYPE_MAX) this.#notes.set(key, { event, since, count });
    else {
      const subject = `org:${this.#d.org}`;
      const many: AuditEvent = {
        type: event.type,
        actor: 'system:server',
        subject,
        outcome: event.outcome,
        detail: { others: true },
      };
      const overflow = `${event.type} ${event.outcome}`;
      const note = this.#notes.get(overflow);
      if (note === undefined) this.#notes.set(overflow, { event: many, since, count });
      else note.count += count;
    }
  }

  /** Writes the notes that wait. A flood of one kind is one entry, so the log cannot be flooded. */
  async flush(): Promise<void> {
    this.#noting = false;
    const notes = [...this.#notes];
    this.#notes.clear();
    if (notes.length === 0) return;
    const events = notes.map(([, { event, count, since }]) =>
      count === 1 ? event : { ...event, detail: { ...event.detail, count, since } },
    );
    try {
      await this.commit([], events);
    } catch (error) {
      for (const [key, { event, count, since }] of notes) this.#count(key, event, count, since); // kept for the next time
      throw error;
    }
  }
}
