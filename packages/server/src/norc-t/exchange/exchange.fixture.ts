import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, instant, MESSAGE_TYPES, type Random } from '@norc/protocol/base';
import type { KeyPair, Signer } from '@norc/protocol/crypto';
import { defaultPolicy, type EvidenceQuestion, type Finding, type TrustPolicy } from '@norc/protocol/norc-t';
import {
  partyOfSide,
  TEST_EPOCH,
  type TestOrganisation,
  type TestPostQuantum,
  testBytes,
  trueEvidence,
} from '@norc/testkit';
import type { AuditEvent } from '../../services.ts';
import { MemoryDisk, openMemoryStore } from '../../storage/memory.ts';
import type { Store, StoreWrite } from '../../storage/port.ts';
import { TrustBoard } from '../trust-facts.ts';
import { summarizeTrust } from '../trust-summary.ts';
import { ExchangeRunner } from './exchange-runner.ts';
import { partnerRecord } from './partner-record.ts';

export interface SideOptions {
  readonly pq?: TestPostQuantum;
  readonly policy?: Partial<TrustPolicy>;
}

/** One organisation's exchanges over a disk that survives a restart; what it sends lies in `outbox`. */
export class ExchangeSide {
  readonly organisation: TestOrganisation;
  readonly options: SideOptions;
  readonly disk = new MemoryDisk();
  readonly outbox: { readonly to: Domain; readonly type: number; readonly document: Uint8Array }[] = [];
  readonly events: AuditEvent[] = [];
  readonly notes: AuditEvent[] = [];
  readonly unusable: string[] = [];
  readonly granted: Domain[] = [];
  now: number = TEST_EPOCH;
  /** What a check gives; undefined: no answer now. */
  evidence: (question: EvidenceQuestion) => readonly Finding[] | undefined = (question) =>
    trueEvidence(question, instant(this.now)).findings;
  store!: Store;
  board!: TrustBoard;
  runner!: ExchangeRunner;
  #drawn = 0;

  private constructor(organisation: TestOrganisation, options: SideOptions) {
    this.organisation = organisation;
    this.options = options;
  }

  static async start(organisation: TestOrganisation, options: SideOptions = {}): Promise<ExchangeSide> {
    const side = new ExchangeSide(organisation, options);
    await side.restart();
    return side;
  }

  get clock() {
    return { now: () => instant(this.now) };
  }

  async restart(): Promise<void> {
    const self = partyOfSide(
      this.options.pq === undefined ? this : { organisation: this.organisation, pq: this.options.pq },
    );
    const onUnusable = (what: string) => void this.unusable.push(what);
    this.store = openMemoryStore(this.disk);
    this.board = new TrustBoard(nodeCrypto, self, defaultPolicy(this.options.policy), onUnusable);
    await this.board.load(this.store, instant(this.now));
    this.runner = new ExchangeRunner({
      ...{ self, board: this.board, store: this.store, clock: this.clock, random: this.#random(), onUnusable },
      ...{ crypto: nodeCrypto, audit: this.#audit(), signers: this.#signers(), material: () => [] },
      checkEvidence: async (question) => this.evidence(question),
      record: (peer, now) => partnerRecord(this.board, { self: self.domain, peer, now }),
      send: (to, type, document) => void this.outbox.push({ to, type, document }),
      onGranted: (peer) => void this.granted.push(peer),
    });
    await this.runner.load();
  }

  #audit() {
    return {
      commit: async (writes: readonly StoreWrite[], events: readonly AuditEvent[]) => {
        const outcome = await this.store.commit(writes);
        if (!outcome.ok) throw new Error(outcome.conflict);
        this.events.push(...events);
        return outcome;
      },
      note: (event: AuditEvent) => void this.notes.push(event),
    };
  }

  #random(): Random {
    return {
      bytes: (length) => {
        this.#drawn += 1;
        const draws = Array.from({ length: Math.ceil(length / 32) }, (_, n) =>
          testBytes(`${this.organisation.domain} ${this.#drawn} ${n}`, 32),
        );
        return Uint8Array.from(draws.flatMap((draw) => [...draw])).slice(0, length);
      },
    };
  }

  #signers(): readonly Signer[] {
    const { pq } = this.options;
    const first = signerOf('ed25519', this.organisation.server);
    return pq === undefined ? [first] : [first, signerOf('ml-dsa-65', pq.server)];
  }

  types(): readonly string[] {
    return this.events.map(({ type }) => type);
  }

  summary(peer: Domain) {
    const exchanges = this.runner.all.filter((one) => one.peer === peer);
    const question = { self: this.organisation.domain, peer, now: instant(this.now) };
    return summarizeTrust(nodeCrypto, this.board, exchanges, question);
  }
}

function signerOf(algorithm: Signer['algorithm'], { publicKey, privateKey }: KeyPair): Signer {
  const { sign } = algorithm === 'ed25519' ? nodeCrypto.ed25519 : nodeCrypto.mlDsa65;
  return { algorithm, publicKey, sign: async (message) => sign(privateKey, message) };
}

/** Delivers until neither side has anything to send; what was delivered, by the names of the messages. */
export async function exchangeAll(one: ExchangeSide, other: ExchangeSide): Promise<readonly string[]> {
  const names = new Map<number, string>(Object.entries(MESSAGE_TYPES).map(([name, code]) => [code, name]));
  const delivered: string[] = [];
  while (one.outbox.length + other.outbox.length > 0) {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      for (const { type, document } of from.outbox.splice(0)) {
        delivered.push(names.get(type) ?? '');
        await to.runner.receive(from.organisation.domain, document);
      }
    }
  }
  return delivered;
}
