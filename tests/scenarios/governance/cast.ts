import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeClock, nodeCrypto, nodeRandom, openSignerFile } from '@norc/crypto/node';
import { type Clock, type Domain, instant, type Result, type TrustLevel } from '@norc/protocol/base';
import { type KeyPair, signDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  type ApprovalAction,
  type ConditionRule,
  defaultPolicy,
  draftApproval,
  draftOfficerCertificate,
  draftOfficerRevocation,
  type GrantedLevel,
  officerIdOf,
  type SignedApproval,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import { bindX509, type Ordered, organisationPaths, type TrustOrder } from '@norc/server';
import { mustBe } from '@norc/testkit';
import { TestDevice, type TestServer, TestServers, trustState, until } from '@norc/testkit/live';

/** Who plays in the stories: organisations on real servers in this process, their officers with keys, their people with devices. */

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
const ADMIN = 'officer:test';
const SCHEME = 'iso27001';
/** Of the authority in tests/fixtures/pki. */
const POLICY_OID = '1.3.6.1.4.1.32473.1.1';
const fixture = (name: string): Buffer => readFileSync(new URL(`../../fixtures/pki/${name}`, import.meta.url));

function pemBlocks(name: string, type: string): readonly Uint8Array[] {
  const pattern = new RegExp(`-----BEGIN ${type}-----([^-]+)-----END`, 'g');
  return [...fixture(name).toString().matchAll(pattern)].map(([, text = '']) =>
    Uint8Array.from(Buffer.from(text, 'base64')),
  );
}

export interface Cast extends AsyncDisposable {
  readonly organisations: readonly Organisation[];
  readonly world: TestServers;
  /** All clocks go on by so much, and everybody looks what has become due. */
  pass(milliseconds: number): Promise<void>;
}

/** Real servers for these organisations, which share one clock. */
export async function meet(...domains: readonly string[]): Promise<Cast> {
  let offset = 0;
  const clock = { now: () => instant(nodeClock.now() + offset) };
  const world = await TestServers.start(...domains.map((domain) => ({ domains: [domain] as const, clock })));
  const organisations = world.all.map((server) => new Organisation(server, clock));
  return {
    ...{ organisations, world },
    pass: async (milliseconds) => {
      offset += milliseconds;
      await until('whoever is still trusted is heard again', async () => {
        const up = organisations.filter(({ server }) => server.isUp);
        for (const { trust } of up) await trust.poll();
        return up.every((one) => up.every((other) => one === other || one.hasHeard(other)));
      });
      for (const { server } of organisations) if (server.isUp) server.node().trust.tick();
    },
    [Symbol.asyncDispose]: () => world.dispose(),
  };
}

export interface Request {
  readonly conditions?: readonly ConditionRule[];
  readonly note?: string;
}

export class Organisation {
  readonly server: TestServer;
  readonly clock: Clock;
  #policy: Partial<TrustPolicy> = {};

  constructor(server: TestServer, clock: Clock) {
    this.server = server;
    this.clock = clock;
  }

  get domain(): Domain {
    return this.server.domain;
  }

  get node() {
    return this.server.node();
  }

  get trust() {
    return this.node.trust;
  }

  /** The level that counts with a partner now. */
  levelOf(partner: Organisation): TrustLevel {
    return this.trust.level(partner.domain);
  }

  stateOf(partner: Organisation): string {
    return trustState(this.node, partner.domain);
  }

  /** A partner that is trusted, and not heard for long, is not trusted until it is. */
  hasHeard(partner: Organisation): boolean {
    return this.trust.pins(partner.domain) === undefined || this.levelOf(partner) !== 'untrusted';
  }

  /** What its officers read about a partner. */
  explanationOf(partner: Organisation): string {
    return this.trust.summaries().find(({ peer }) => peer === partner.domain)?.explanation ?? '';
  }

  /** What the last request to a partner came to, if nothing. */
  refusedBy(partner: Organisation): string | undefined {
    const last = this.trust.parts.exchanges.findLast(({ peer }) => peer === partner.domain)?.state;
    return last?.phase === 'ended' ? `${last.code}: ${last.reason}` : undefined;
  }

  /** What its officers are told about a partner, once it has been told. */
  isTold(partner: Organisation, what: RegExp): Promise<string> {
    const find = () => this.noticesAbout(partner).find((text) => what.test(text));
    return until(`officers of ${this.domain} are told ${what}`, find);
  }

  noticesAbout(partner: Organisation): readonly string[] {
    return this.trust.parts.notices.of(partner.domain).map(({ text }) => text);
  }

  async auditTypes(): Promise<readonly string[]> {
    await this.node.audit.flush();
    return (await this.node.store.read.auditEntries(0, 1000)).map(({ type }) => type);
  }

  // ---- what it is governed by ----

  async keepsTo(policy: Partial<TrustPolicy>): Promise<void> {
    this.#policy = policy;
    await this.trust.setPolicy(defaultPolicy(policy));
  }

  /** Its server was away and comes back, with whatever lies in its folder by now. */
  async returns(): Promise<void> {
    await (this.server.isUp ? this.server.restart() : this.server.start());
    await this.keepsTo(this.#policy);
  }

  // ---- what it shows about itself ----

  /** Its X.509 certificate from the ministry's authority, with what that authority has revoked. */
  async showsItsCertificate(): Promise<void> {
    const [name] = this.domain.split('.');
    const material = bindX509({
      certificates: pemBlocks(`chain-${name}.pem`, 'CERTIFICATE'),
      privateKey: createPrivateKey(fixture('organisation.key')),
      binding: { domain: this.domain, root_key: this.server.rootKey(), not_after: this.trust.now + 300 * DAY },
      crls: pemBlocks('revoked.pem', 'X509 CRL'),
    });
    mustBe(await this.node.evidence.add(material, ADMIN));
  }

  async attestsItsDevices(): Promise<void> {
    const platforms = [{ platform: 'ios', attested_percent: 100 }];
    mustBe(await this.node.evidence.attest({ platforms, policy: new Uint8Array(32), days: 300 }, ADMIN));
  }

  /** Says of a partner that it keeps to the scheme, and the partner keeps that. */
  async certifiesComplianceOf(partner: Organisation): Promise<void> {
    const terms = { peer: partner.domain, scheme: SCHEME, scope: 'all of it', days: 300 };
    const statement = mustBe(await this.node.evidence.state(terms, ADMIN));
    mustBe(await partner.node.evidence.add(statement, ADMIN));
  }

  // ---- its people ----

  async appoints(name: string): Promise<Officer> {
    const officer = new Officer(this, name);
    await officer.isCertified();
    return officer;
  }

  /** The officer left: whoever holds the root key says so. */
  async putsOut({ id }: Officer, reason: string): Promise<void> {
    const body = { officer_id: id, org: this.domain, reason, revoked_at: this.trust.now };
    const { bytes } = await signDocument(nodeCrypto, draftOfficerRevocation(body), await this.rootSigner());
    mustBe(await this.node.officers.revoke(bytes, ADMIN));
  }

  rootSigner() {
    return openSignerFile(organisationPaths(join(this.server.folder, this.domain)).rootKey);
  }

  person(name: string): Promise<TestDevice> {
    return TestDevice.enrol(this.server, `${name}@${this.domain}`, { clock: this.clock });
  }
}

/** Somebody with a key of their own, certified by the organisation's root key. */
export class Officer {
  readonly organisation: Organisation;
  readonly name: string;
  readonly keys: KeyPair = nodeCrypto.ed25519.keyPair((length) => nodeRandom.bytes(length));
  #certificate: Uint8Array = new Uint8Array();

  constructor(organisation: Organisation, name: string) {
    this.organisation = organisation;
    this.name = name;
  }

  get id() {
    return officerIdOf(nodeCrypto, this.keys.publicKey);
  }

  /** By the root key that the organisation has now. */
  async isCertified(): Promise<void> {
    const { organisation, keys } = this;
    const { now } = organisation.trust;
    const draft = draftOfficerCertificate(nodeCrypto, {
      ...{ org: organisation.domain, publicKey: keys.publicKey, roles: ['trust'] },
      ...{ notBefore: now - 1000, notAfter: now + 365 * DAY },
    });
    this.#certificate = (await signDocument(nodeCrypto, draft, await organisation.rootSigner())).bytes;
    mustBe(await organisation.node.officers.add(this.#certificate, ADMIN));
  }

  sign(action: ApprovalAction, subject: Uint8Array, peer?: Domain): SignedApproval {
    const { organisation, keys, id } = this;
    const about = { org: organisation.domain, officer_id: id, action, subject, approved_at: organisation.trust.now };
    const draft = draftApproval({ ...about, ...(peer === undefined ? {} : { peer }) });
    return { approval: signDocumentWith(nodeCrypto, draft, keys).bytes, certificate: this.#certificate };
  }

  async asks(partner: Organisation, level: GrantedLevel, options: Request = {}): Promise<Result<unknown>> {
    const { trust } = this.organisation;
    const draft = mustBe(trust.draftRequest(partner.domain, level, options));
    if (!draft.signed) return await trust.request(partner.domain, level, ADMIN, options);
    const approval = this.sign('trust_request', draft.subject, partner.domain);
    return await trust.request(partner.domain, level, ADMIN, { requested: { subject: draft.subject, approval } });
  }

  /** What waits for the officers here about a partner. */
  async approves(partner: Organisation): Promise<Result<unknown>> {
    const { trust } = this.organisation;
    const question = trust.question(partner.domain);
    if (!question.ok) return question;
    const { subject, signed } = question.value;
    const approval = signed ? { signed: this.sign('trust_grant', subject, partner.domain) } : {};
    return await trust.approve(partner.domain, ADMIN, approval);
  }

  /** Gives an order with a signature: where it narrows, that is all; where it gives something back, others sign too. */
  async orders(order: TrustOrder): Promise<Result<Ordered>> {
    const { trust } = this.organisation;
    const { document, action } = mustBe(trust.draftOrder(order));
    const approval = this.sign(action, nodeCrypto.blake3(document), order.peer);
    return await trust.order(order, ADMIN, approval);
  }

  /** Alone: an emergency asks for no second one. */
  async revokes(partner: Organisation, reason: string): Promise<Result<Ordered>> {
    return await this.orders({ peer: partner.domain, action: 'revoke', reason });
  }

  /** Of what waits for the officers here, other than a request. */
  async signsTheProposal(): Promise<Result<unknown>> {
    const { proposals } = this.organisation.node;
    const open = proposals.list().find(({ state }) => state === 'open') ?? assert.fail('no proposal waits');
    return await proposals.approve(open.proposalId, this.sign(open.action, open.subject, open.peer));
  }
}

/** A policy that knows the ministry's authority, and lets an organisation state compliance. */
export function civilPolicy(auditor: Organisation): Partial<TrustPolicy> {
  const certificate = Uint8Array.from(new X509Certificate(fixture('root.pem')).raw);
  const anchor = { name: 'Ministry', certificate, policies: [POLICY_OID] };
  return {
    anchors: [{ ...anchor, purpose: 'pki', revocationUnknown: 'fail' }],
    compliance: [{ scheme: SCHEME, statedBy: new Set([auditor.domain]) }],
  };
}

/** Officers of the one asked, then of the one who asks: as many as are named. */
export async function agree(
  asker: Officer,
  partner: Organisation,
  level: GrantedLevel,
  officers: readonly Officer[],
  request: Request = {},
): Promise<void> {
  const { organisation } = asker;
  mustBe(await asker.asks(partner, level, request));
  for (const officer of officers)
    await approvesWhenAsked(officer, officer.organisation === partner ? organisation : partner);
  await bothHave(organisation, partner, level);
}

export async function approvesWhenAsked(officer: Officer, partner: Organisation): Promise<void> {
  const { organisation } = officer;
  const about = `${organisation.domain} asks its officers about ${partner.domain}`;
  await until(about, () => organisation.stateOf(partner) === 'awaiting_approval');
  mustBe(await officer.approves(partner));
}

export async function bothHave(one: Organisation, other: Organisation, level: TrustLevel): Promise<void> {
  await until(
    `${one.domain} and ${other.domain} are at ${level}`,
    () => one.levelOf(other) === level && other.levelOf(one) === level,
  );
}

/** Two organisations that can reach `classified`: a third one, the auditor, has stated what the two keep to. */
export interface CivilCast extends Cast {
  readonly alpha: Organisation;
  readonly bravo: Organisation;
  readonly carol: Organisation;
}

export async function civilService(): Promise<CivilCast> {
  const cast = await meet('alpha.example', 'bravo.example', 'carol.example');
  const [alpha, bravo, carol] = cast.organisations as [Organisation, Organisation, Organisation]; // as many as met
  await cast.world.trust(alpha.server, bravo.server);
  for (const one of [alpha, bravo]) {
    await one.keepsTo(civilPolicy(carol));
    await cast.world.trust(one.server, carol.server);
    await carol.certifiesComplianceOf(one);
    await one.showsItsCertificate();
    await one.attestsItsDevices();
  }
  return { ...cast, alpha, bravo, carol, [Symbol.asyncDispose]: () => cast.world.dispose() };
}

export function refusal(result: Result<unknown>): string | undefined {
  return result.ok ? undefined : result.error.code;
}
