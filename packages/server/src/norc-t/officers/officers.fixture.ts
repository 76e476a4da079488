import { nodeCrypto } from '@norc/crypto/node';
import { instant } from '@norc/protocol/base';
import type { PinnedOrg } from '@norc/protocol/crypto';
import type { OfficerId, TrustPolicy } from '@norc/protocol/norc-t';
import { TEST_EPOCH, type TestOfficer, type TestOrganisation } from '@norc/testkit';
import type { AuditEvent } from '../../services.ts';
import { MemoryDisk, openMemoryStore } from '../../storage/memory.ts';
import type { Store, StoreWrite } from '../../storage/port.ts';
import { OfficerService } from './officer-service.ts';
import { ProposalService } from './proposals.ts';

/** Officers and proposals of one organisation on a disk that survives their restart. */
export class OfficerWorld {
  readonly organisation: TestOrganisation;
  readonly disk = new MemoryDisk();
  store: Store = openMemoryStore(this.disk);
  now: number = TEST_EPOCH;
  policy: Pick<TrustPolicy, 'approvers' | 'evidenceAgeMillisecondsMax'> = {
    approvers: new Set<OfficerId>(),
    evidenceAgeMillisecondsMax: 86_400_000,
  };
  pinned: PinnedOrg;
  readonly unusable: string[] = [];
  readonly events: AuditEvent[] = [];
  readonly notes: AuditEvent[] = [];
  readonly faults: unknown[] = [];
  officers: OfficerService;
  proposals: ProposalService;
  /** When it gives a fault, the commit of these writes is lost, as when the server is killed. */
  killAt: (writes: readonly StoreWrite[]) => boolean = () => false;
  #drawn = 0;

  constructor(organisation: TestOrganisation) {
    this.organisation = organisation;
    this.pinned = organisation.pinned;
    this.officers = this.#makeOfficers();
    this.proposals = this.#makeProposals();
  }

  get clock() {
    return { now: () => instant(this.now) };
  }

  get audit() {
    return {
      commit: async (writes: readonly StoreWrite[], events: readonly AuditEvent[]) => {
        if (this.killAt(writes)) throw new Error('killed');
        const outcome = await this.store.commit(writes);
        if (outcome.ok) this.events.push(...events);
        return outcome.ok ? outcome : { ok: false as const, conflict: outcome.conflict };
      },
      note: (event: AuditEvent) => void this.notes.push(event),
    };
  }

  async add(...officers: readonly TestOfficer[]): Promise<void> {
    for (const { certificate } of officers) {
      const added = await this.officers.add(certificate, 'officer:test');
      if (!added.ok) throw new Error(added.error.detail);
    }
  }

  /** The same disk, services that remember nothing. */
  async restart(): Promise<void> {
    this.killAt = () => false;
    this.store = openMemoryStore(this.disk);
    this.officers = this.#makeOfficers();
    this.proposals = this.#makeProposals();
    await this.officers.load();
    await this.proposals.load();
  }

  types(): readonly string[] {
    return this.events.map(({ type }) => type);
  }

  #makeOfficers(): OfficerService {
    const { store, audit, clock } = this;
    return new OfficerService({
      ...{ store, audit, clock, crypto: nodeCrypto, policy: () => this.policy },
      pinned: () => this.pinned,
      serverKeys: () => [this.organisation.server.publicKey],
      onUnusable: (what, code) => void this.unusable.push(`${what} ${code}`),
    });
  }

  #makeProposals(): ProposalService {
    const { store, audit, clock, officers } = this;
    return new ProposalService({
      ...{ store, audit, clock, officers, self: this.organisation.domain, crypto: nodeCrypto },
      random: { bytes: (length) => nodeCrypto.blake3(Uint8Array.of(this.#drawn++)).slice(0, length) },
      onFault: (error) => void this.faults.push(error),
    });
  }
}
