import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Domain, ok, type Result, reject, sameBytes } from '@norc/protocol/base';
import { documentHash, parseDocument, type SignedDocument, type Signer, signDocument } from '@norc/protocol/crypto';
import {
  atLeast,
  decodeRecommendation,
  draftAttestation,
  draftCompliance,
  draftRecommendation,
  type EvidenceMaterial,
  type EvidenceQuestion,
  encodeRecommendation,
  encodeStatement,
  type Finding,
  type GrantedLevel,
  MATERIAL,
  parseDomainProof,
  RECOMMENDATION_HOPS_MAX,
  type RecommendationBody,
  type SignedStatement,
  TRUST_RECOMMENDATION,
  verifyRecommendation,
} from '@norc/protocol/norc-t';
import type { Audit } from '../../services.ts';
import type { Store } from '../../storage/port.ts';
import { createEvidenceChecker, type EvidenceChecker } from './checker.ts';
import { domainLines } from './domain.ts';
import {
  EVIDENCE_FILES,
  loadOwnMaterial,
  MATERIAL_ITEM_BYTES_MAX,
  materialOf,
  type OwnEvidence,
} from './own-material.ts';
import { type OwnContext, type OwnStatement, readOwnStatement } from './own-statement.ts';
import { chainsThatHold, PartnerChains } from './partner-chains.ts';
import type { EvidenceWorld } from './world.ts';
import { type ChainRecheck, recheckX509 } from './x509.ts';

const DAY_MS = 86_400_000;
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export interface EvidenceOptions extends EvidenceWorld {
  readonly folder: string;
  readonly ownRootKey: Uint8Array;
  /** With usage `trust`, and its certificate in canonical JSON. */
  readonly signer: Signer;
  readonly certificate: Uint8Array;
  readonly level: (peer: Domain) => GrantedLevel | 'untrusted';
  readonly audit: Audit;
  /** Where chains of partners are kept; without it, none is asked about again. */
  readonly store?: Pick<Store, 'commit' | 'read'>;
}

export interface StatementTerms {
  readonly peer: Domain;
  readonly days: number;
}

/** Evidence about partners, and our own: what we hold, what we state about others (docs/evidence.md). */
export class EvidenceService {
  readonly #o: EvidenceOptions;
  readonly #checker: EvidenceChecker;
  readonly #chains: PartnerChains | undefined;

  constructor(options: EvidenceOptions) {
    this.#o = options;
    this.#checker = createEvidenceChecker(options);
    this.#chains = options.store === undefined ? undefined : new PartnerChains(options.store);
  }

  check(question: EvidenceQuestion): Promise<readonly Finding[] | undefined> {
    return this.#checker.check(question);
  }

  /** As `check`, for an exchange: chains that hold are kept, and asked about again while trust is in force. */
  async checkPartner(question: EvidenceQuestion): Promise<readonly Finding[] | undefined> {
    const findings = await this.#checker.check(question);
    if (findings === undefined || this.#chains === undefined) return findings;
    const { crypto, clock, rootKey, onFault } = this.#o;
    const { domain, root_key: key } = question.peer;
    const pinned = rootKey(domain);
    const slot = pinned !== undefined && sameBytes(pinned, key) ? 'pinned' : 'other';
    const chains = chainsThatHold(question, findings, (data) => crypto.blake3(data));
    const kept = this.#chains.keep({ peer: domain, rootKey: key }, chains, slot, clock.now());
    await kept.catch((error: unknown) => onFault('evidence_chain', error)); // what was found is true all the same
    return findings;
  }

  /** Asks again about the chains that a partner in force showed: whether they still hold, or were revoked since [EVID-66]. */
  async recheck(peer: Domain): Promise<ChainRecheck> {
    const { rootKey, level } = this.#o;
    const key = rootKey(peer);
    const standing = level(peer);
    if (key === undefined || standing === 'untrusted')
      return { state: 'none', detail: 'the partner is not trusted now' };
    const material = (await this.#chains?.of({ peer, rootKey: key })) ?? [];
    const party = { domain: peer, root_key: key, server_certificates: [] };
    return await recheckX509(this.#o, { peer: party, level: standing, material });
  }

  /** What others need to check evidence about us; read anew each time. */
  material(): readonly EvidenceMaterial[] {
    return materialOf(this.list());
  }

  list(): readonly OwnEvidence[] {
    return loadOwnMaterial(this.#o.folder, this.#context());
  }

  /** Keeps material about us, after a look at it. Errors: as `readOwnStatement`, and limit_exceeded. */
  async add(data: Uint8Array, actor: string): Promise<Result<OwnStatement>> {
    if (data.length > MATERIAL_ITEM_BYTES_MAX) return reject('limit_exceeded', 'the material is too large');
    const read = readOwnStatement(data, this.#context());
    if (!read.ok) return read;
    await this.#keep(fileFor(read.value), data);
    this.#note(actor, 'evidence_added', this.#o.self, read.value.kind);
    return read;
  }

  /**
   * Recommends a partner, or with `passOn` passes on what an organisation that we trust says of one that we may not
   * know. The result is material of kind `trust_recommendation`, for the partner.
   * Errors: insufficient_trust, not_trusted, evidence_rejected.
   */
  async vouch(
    terms: StatementTerms & { readonly level: GrantedLevel; readonly note?: string; readonly passOn?: Uint8Array },
    actor: string,
  ): Promise<Result<Uint8Array>> {
    const { peer, level, days, note, passOn } = terms;
    const subject = passOn === undefined ? this.#known(peer, level) : this.#passed(peer, level, passOn);
    if (!subject.ok) return subject;
    const { rootKey, before } = subject.value;
    const dates = this.#dates(days);
    const drafted = drafting(() =>
      draftRecommendation({
        ...{ recommender: this.#o.self, subject: peer, root_key: rootKey, level, hops: before.length + 1, ...dates },
        ...passing(this.#o, before[0]),
        ...(note === undefined ? {} : { note }),
      }),
    );
    if (!drafted.ok) return drafted;
    const statement = await this.#sign(drafted.value);
    this.#note(actor, 'evidence_vouch', peer, level);
    return ok(encodeRecommendation([statement, ...before]));
  }

  /** States that a partner keeps to a scheme. The result is material for the partner. Errors: not_trusted. */
  async state(
    terms: StatementTerms & { readonly scheme: string; readonly scope: string; readonly document?: Uint8Array },
    actor: string,
  ): Promise<Result<Uint8Array>> {
    const { peer, days, scheme, scope, document } = terms;
    const known = this.#known(peer, 'basic');
    if (!known.ok) return known;
    const drafted = drafting(() =>
      draftCompliance({
        ...{
          stated_by: this.#o.self,
          subject: peer,
          root_key: known.value.rootKey,
          scheme,
          scope,
          ...this.#dates(days),
        },
        ...(document === undefined ? {} : { document }),
      }),
    );
    if (!drafted.ok) return drafted;
    const statement = await this.#sign(drafted.value);
    this.#note(actor, 'evidence_state', peer, scheme);
    return ok(encodeStatement(statement));
  }

  /** States how many of our own devices attest their keys, and keeps that. */
  async attest(
    terms: {
      readonly platforms: readonly { readonly platform: string; readonly attested_percent: number }[];
      readonly policy: Uint8Array;
      readonly days: number;
    },
    actor: string,
  ): Promise<Result<OwnStatement>> {
    const { platforms, policy, days } = terms;
    const { self: org, ownRootKey: root_key } = this.#o;
    const drafted = drafting(() => draftAttestation({ org, root_key, platforms, policy, ...this.#dates(days) }));
    if (!drafted.ok) return drafted;
    return await this.add(encodeStatement(await this.#sign(drafted.value)), actor);
  }

  /**
   * The root key to check a domain against: the one that trust pinned, or the one that the domain itself names.
   * Errors: evidence_rejected when it names none or several, no_route when the name service does not answer.
   */
  async rootKeyOf(peer: Domain): Promise<Result<Uint8Array>> {
    const { rootKey, onFault } = this.#o;
    const pinned = rootKey(peer);
    if (pinned !== undefined) return ok(pinned);
    try {
      const { lines } = await domainLines(this.#o, peer);
      const keys = lines.flatMap((line) => parseDomainProof(line) ?? []);
      const [only] = keys;
      if (only === undefined) return reject('evidence_rejected', 'the domain names no root key');
      const same = keys.every((key) => sameBytes(key, only));
      return same ? ok(only) : reject('evidence_rejected', 'the domain names several root keys');
    } catch (error) {
      onFault('domain_proof', error);
      return reject('no_route', 'the name service does not answer');
    }
  }

  #context(): OwnContext {
    const { crypto, self, ownRootKey, clock } = this.#o;
    return { crypto, subject: { domain: self, rootKey: ownRootKey }, now: clock.now() };
  }

  #dates(days: number): { readonly issued_at: number; readonly expires_at: number } {
    const issued_at = this.#o.clock.now();
    return { issued_at, expires_at: issued_at + days * DAY_MS };
  }

  /** We state things only about partners that we trust, and vouch for no more than we would give ourselves. */
  #known(peer: Domain, level: GrantedLevel): Result<Subject> {
    const { rootKey, level: levelOf } = this.#o;
    const key = rootKey(peer);
    if (key === undefined) return reject('not_trusted', peer);
    if (!atLeast(levelOf(peer), level)) return reject('insufficient_trust', `trust with ${peer} is ${levelOf(peer)}`);
    return ok({ rootKey: key, before: [] });
  }

  #passed(peer: Domain, level: GrantedLevel, material: Uint8Array): Result<Subject> {
    const { crypto, self, clock, rootKey, policy } = this.#o;
    const decoded = decodeRecommendation(material);
    if (!decoded.ok) return decoded;
    const [first] = decoded.value;
    const named = first === undefined ? undefined : recommendationIn(first);
    if (named === undefined || !named.ok) return named ?? reject('evidence_rejected', 'the recommendation is empty');
    if (decoded.value.length >= RECOMMENDATION_HOPS_MAX) return reject('evidence_rejected', 'it has too many hops');
    const { recommenders, blocked } = policy();
    const subject = { domain: peer, rootKey: named.value.body.root_key };
    const view = { self, subject, now: clock.now(), rootKey, recommenders, blocked, level };
    const checked = verifyRecommendation(crypto, decoded.value, view);
    return checked.ok ? ok({ rootKey: subject.rootKey, before: decoded.value }) : checked;
  }

  async #sign(document: SignedDocument<unknown>): Promise<SignedStatement> {
    const { crypto, signer, certificate } = this.#o;
    const signed = await signDocument(crypto, document, signer);
    return { document: signed.bytes, certificate };
  }

  /** Complete or not at all: another process may read the folder at any time. */
  async #keep(file: string, data: Uint8Array): Promise<void> {
    const path = join(this.#o.folder, file);
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    await writeFile(`${path}.new`, data, { mode: FILE_MODE });
    await rename(`${path}.new`, path);
  }

  #note(actor: string, action: string, subject: Domain, what: string): void {
    const parties = { actor, subject: `org:${subject}` };
    this.#o.audit.note({ type: 'admin_action', ...parties, outcome: 'ok', detail: { action, what } });
  }
}

interface Subject {
  readonly rootKey: Uint8Array;
  /** What is passed on; empty when we know the subject ourselves. */
  readonly before: readonly SignedStatement[];
}

const recommendationIn = ({ document }: SignedStatement) => parseDocument(TRUST_RECOMMENDATION, document);

/** What the statement before is called in the one that passes it on. */
function passing(
  { crypto, rootKey }: EvidenceOptions,
  before: SignedStatement | undefined,
): Pick<RecommendationBody, 'passes_on'> {
  const parsed = before === undefined ? undefined : recommendationIn(before);
  if (parsed?.ok !== true) return {};
  const { recommender } = parsed.value.body;
  const root_key = rootKey(recommender);
  if (root_key === undefined) return {};
  return { passes_on: { recommender, root_key, statement: documentHash(crypto, parsed.value) } };
}

/** A draft that could never hold is the caller's wish, not a bug. */
function drafting<T>(draft: () => SignedDocument<T>): Result<SignedDocument<T>> {
  try {
    return ok(draft());
  } catch (error) {
    if (error instanceof RangeError) return reject('malformed', error.message);
    throw error;
  }
}

function fileFor({ kind, name }: OwnStatement): string {
  const place = kind === MATERIAL.documentHash ? EVIDENCE_FILES.document : EVIDENCE_FILES[kind];
  return place.endsWith('.json') ? place : `${place}/${name}.json`;
}
