import { randomBytes } from 'node:crypto';
import { nodeCrypto } from '@norc/crypto/node';
import { createGroupViews, type GroupViews } from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import { type Clock, type Domain, ok, type Random, type RatePolicy, reject, toBase64 } from '@norc/protocol/base';
import { parseDocument, SERVER_CERTIFICATE, verifyDeviceCertificate } from '@norc/protocol/crypto';
import { parseVersionList, type VersionList } from '@norc/protocol/handshake';
import { hubCertificate, verifyHubKey } from '@norc/protocol/norc-f';
import { rootStanding, type TrustPolicy } from '@norc/protocol/norc-t';
import type { JsonObject } from '@norc/protocol/wire';
import { AuditService } from './audit/audit-service.ts';
import { createDelivery, type DeliveryService, LOG_LIFE_MS, publicGroups } from './delivery/index.ts';
import { createDirectory } from './directory/directory-service.ts';
import { type OrganisationIdentity, partyOf } from './identity/organisation.ts';
import { DeviceService } from './norc-c/device-service.ts';
import { LegacyRegistrations } from './norc-c/legacy-registrations.ts';
import { FederationRequests } from './norc-f/federation-requests.ts';
import { LinksService } from './norc-f/links-service.ts';
import { EvidenceService } from './norc-t/evidence/evidence-service.ts';
import type { CertificateFetch } from './norc-t/evidence/web-fetch.ts';
import { OfficerService } from './norc-t/officers/officer-service.ts';
import { ProposalService } from './norc-t/officers/proposals.ts';
import { DecisionCounts } from './norc-t/policy/decision-counts.ts';
import { type PolicyReader, type StartingPolicy, startingPolicy } from './norc-t/policy/policy-record.ts';
import { PolicyService } from './norc-t/policy/policy-service.ts';
import { policyTrust } from './norc-t/policy/policy-trust.ts';
import { closeConversations, conversationEffects, tellDevices } from './norc-t/revocation/trust-effects.ts';
import { TrustService } from './norc-t/trust-service.ts';
import type { TrustChange } from './norc-t/trust-watch.ts';
import type { Directory } from './services.ts';
import { StorageError, type Store } from './storage/port.ts';
import type { LinkTransport, Resolver } from './transport/port.ts';
import { every, type Timers } from './transport/timers.ts';

const POLL_MS = 60_000;
const SWEEP_MS = 3_600_000;
const PSEUDONYM_KEY = 'audit.pseudonym_key';

export interface OrgNodeOptions {
  readonly identity: OrganisationIdentity;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly resolver: Resolver;
  /** How a proof found by `resolver` is named in evidence: `static` when the operator wrote it down. */
  readonly isStatic: (domain: Domain) => boolean;
  /** Where this organisation keeps evidence about itself, and how it fetches what certificates of others point to. */
  readonly evidence: { readonly folder: string; readonly fetch: CertificateFetch };
  readonly transport: LinkTransport;
  readonly versions: readonly string[];
  /** Where nothing was ever applied, and no file is named. */
  readonly policy: TrustPolicy;
  /** The configured policy file: taken at the first start, compared at later ones. */
  readonly readPolicy?: PolicyReader;
  readonly messageRate: RatePolicy;
  readonly peerRate: RatePolicy;
  readonly log: NodeLog;
}

/** Where a node's stories go: structured, without secrets or content. */
export interface NodeLog {
  info(event: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
  warn(event: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
  fault(event: string, error: unknown): void;
}

/** One organisation on this server: its keys, its store, its services. Shares nothing with another. */
export class OrgNode {
  readonly identity: OrganisationIdentity;
  readonly store: Store;
  readonly audit: AuditService;
  readonly directory: Directory;
  readonly delivery: DeliveryService;
  readonly officers: OfficerService;
  readonly proposals: ProposalService;
  readonly counts: DecisionCounts;
  readonly policy: PolicyService;
  readonly evidence: EvidenceService;
  readonly trust: TrustService;
  readonly links: LinksService;
  readonly devices: DeviceService;
  readonly #stopTimers: () => void;

  private constructor(parts: Omit<OrgNode, 'stop'> & { readonly stopTimers: () => void }) {
    this.identity = parts.identity;
    this.store = parts.store;
    this.audit = parts.audit;
    this.directory = parts.directory;
    this.delivery = parts.delivery;
    this.officers = parts.officers;
    this.proposals = parts.proposals;
    this.counts = parts.counts;
    this.policy = parts.policy;
    this.evidence = parts.evidence;
    this.trust = parts.trust;
    this.links = parts.links;
    this.devices = parts.devices;
    this.#stopTimers = parts.stopTimers;
  }

  static async start(options: OrgNodeOptions): Promise<OrgNode> {
    const { identity, store, clock, timers, log } = options;
    const after = (delay: number, run: () => void) => void timers.after(delay, run);
    let stopping = false;
    const onFault = (error: unknown) => {
      // Work that a stop cuts off finds the store closed; it was acknowledged to nobody and is done again.
      if (!(stopping && error instanceof StorageError)) log.fault('background', error);
    };
    const audit = new AuditService({
      ...{ store, clock, after, onFault, crypto: nodeCrypto, org: identity.domain, signer: identity.signer },
      pseudonymKey: await pseudonymKey(store),
    });
    const policies = { builtIn: options.policy, readFile: options.readPolicy };
    const about = { store, audit, crypto: nodeCrypto, self: identity.domain };
    const starting = await startingPolicy(about, clock.now(), policies);
    tellPolicy(log, starting);
    const world = { ...options, audit, after, onFault, starting };
    const parts = buildServices(world);
    await parts.officers.load();
    await parts.proposals.load();
    await parts.trust.load();
    // A crash may have come between: what was not carried out to its end goes on.
    const unfinished = await parts.delivery.unfinished();
    for (const peer of parts.trust.ended()) await closeConversations(parts, peer);
    for (const end of unfinished) await parts.delivery.expel(end);
    void expelRevoked(store, parts.delivery).catch(onFault);
    const stopSweeping = every(timers, SWEEP_MS, () => void parts.delivery.sweep().catch(onFault));
    const stopPolling = every(timers, POLL_MS, () => {
      parts.links.tick();
      void parts.trust.poll().catch(onFault);
      void parts.proposals.tick().catch(onFault);
      void parts.counts.flush().catch(onFault);
    });
    const node = new OrgNode({
      identity,
      store,
      audit,
      ...parts,
      stopTimers: () => {
        stopping = true;
        stopPolling();
        stopSweeping();
      },
    });
    await audit.commit(
      [],
      [{ type: 'server_started', actor: 'system:server', subject: `org:${identity.domain}`, outcome: 'ok' }],
    );
    void parts.trust.poll().catch(onFault);
    void parts.proposals.tick().catch(onFault);
    for (const peer of await store.read.outboxPeers()) parts.links.wake(peer);
    for (const peer of parts.trust.peers()) parts.links.wake(peer);
    return node;
  }

  /** Drains: tells everybody, writes what waits, closes the store. */
  async stop(): Promise<void> {
    this.#stopTimers();
    this.devices.endAll('shutting_down');
    this.trust.stop();
    this.links.stop();
    this.delivery.flush();
    await this.counts.flush();
    await this.audit.flush();
    await this.audit.commit(
      [],
      [{ type: 'server_stopped', actor: 'system:server', subject: `org:${this.identity.domain}`, outcome: 'ok' }],
    );
    await this.store.close();
  }
}

interface World extends OrgNodeOptions {
  readonly audit: AuditService;
  readonly after: (delay: number, run: () => void) => void;
  readonly onFault: (error: unknown) => void;
  readonly starting: StartingPolicy;
}

type Services = Pick<
  OrgNode,
  'directory' | 'delivery' | 'officers' | 'proposals' | 'counts' | 'policy' | 'evidence' | 'trust' | 'links' | 'devices'
>;

function buildServices(world: World): Services {
  const { identity, store, audit, clock, random, timers, log, after, onFault } = world;
  const { domain, signer } = identity;
  const versions = versionList(world.versions);
  const certificate = certificateJson(identity);
  const crypto = nodeCrypto;
  const refer = referrer(log);
  const majors = new Map<Domain, number>();
  // Delivery, links and trust need one another: each is reached when it is called, which is after all are made.
  const late: { links?: LinksService; trust?: TrustService; devices?: DeviceService } = {};
  const links = () => present(late.links);
  const trust = () => present(late.trust);
  const views = groupViews(world, () => trust(), 0);
  const following = groupViews(world, () => trust(), LOG_LIFE_MS);
  const directory = createDirectory({
    ...{ domain, store, audit, crypto, clock, random },
    issuer: signer,
    issuerCertificate: { document: identity.certificate.document.bytes, notAfter: identity.certificate.notAfter },
    verifyKeyPackage: (keyPackage) => keyPackageFacts(views, domain, keyPackage),
  });
  const delivery = createDelivery({
    ...{
      self: domain,
      store,
      crypto,
      clock,
      random,
      after,
      onFault,
      signer,
      groups: publicGroups(domain, views, following, signer),
    },
    decide: (question) => trust().decide(question),
    wake: (peer, outbox) => links().wake(peer, outbox),
    sendDelivered: (peer, updates) => links().sendDelivered(peer, updates),
    onUntrusted: (peer) => {
      log.warn('conversation_frozen', { peer });
      const parties = { actor: `org:${domain}`, subject: `org:${peer}` };
      audit.note({ type: 'conversation_frozen', ...parties, outcome: 'ok', detail: { conversations: 1 } });
    },
    onMisbehavior: (hub, code, detail) => {
      log.warn('relay_refused', { hub, code, detail });
      audit.note({
        type: 'relay_refused',
        actor: `org:${hub}`,
        subject: `org:${domain}`,
        outcome: 'refused',
        detail: { code },
      });
    },
  });
  const officers = new OfficerService({
    ...{ store, audit, crypto, clock },
    pinned: () => rootStanding(identity.lineage, clock.now()),
    serverKeys: () => [signer.publicKey],
    policy: () => trust().parts.board.policy,
    onUnusable: (what, code) => log.warn('trust_unusable', { what, code }),
  });
  const proposals = new ProposalService({
    ...{ self: domain, store, audit, crypto, clock, random, officers, onFault },
  });
  const counts = new DecisionCounts({ store, clock, onFault });
  const evidence = evidenceService(world, trust);
  late.trust = new TrustService({
    ...{ store, audit, crypto, clock, random, signer, onFault, policy: world.starting.inForce.policy },
    onDecided: (question, decision, now) => counts.count(question, decision, now),
    party: partyOf(identity),
    ownRoots: { lineage: identity.lineage, rotations: identity.rotations.map((one) => one.rotation) },
    onUnusable: (what, code) => log.warn('trust_unusable', { what, code }),
    signers: identity.pq === undefined ? [signer] : [signer, identity.pq.signer],
    checkEvidence: (question) => evidence.checkPartner(question),
    recheckChains: (peer) => evidence.recheck(peer),
    material: () => evidence.material(),
    send: (peer, type, document) => void links().sendTrust(peer, type, document).catch(onFault),
    ask: (peer, type, document) => links().askTrust(peer, type, document),
    ...{ after, ...conversationEffects(domain, store, delivery) },
    tellDevices: (peer, notice) => tellDevices(store, late.devices, peer, notice),
    ...{ officers: () => officers, proposals: () => proposals },
  });
  const policy = new PolicyService({
    ...{ self: domain, store, audit, crypto, clock, onFault, counts, officers, proposals },
    ...{ trust: policyTrust(late.trust, clock), inForce: world.starting.inForce, readFile: world.readPolicy },
  });
  const requests = new FederationRequests({
    domain,
    clock,
    directory,
    delivery,
    trust: late.trust,
    rate: world.peerRate,
  });
  late.links = new LinksService({
    ...{ store, delivery, requests, timers, onFault, refer, trust: late.trust, transport: world.transport },
    identity: { domain, signer, certificate, versions: linkVersions(versions), crypto, random, clock },
    endpoints: (peer) => world.resolver.federationEndpoints(peer, trust().rootKey(peer) !== undefined),
    onState: (peer, state, detail) => {
      log.info(state === 'up' ? 'link_up' : 'link_down', { peer, detail });
      const type = state === 'up' ? 'link_opened' : 'link_closed';
      audit.note({ type, actor: `org:${domain}`, subject: `org:${peer}`, outcome: 'ok' });
    },
    newestMajorSeen: (peer) => majors.get(peer),
    rememberMajor: (peer, major) => void majors.set(peer, major),
  });
  late.trust.onChange((peer, change) =>
    trustChanged(world, { links: links(), delivery, trust: trust() }, peer, change),
  );
  delivery.onExpelled(({ pending }) => {
    if (pending === 0) trust().tick();
  });
  directory.onDevicesChanged((_, revoked) => {
    if (revoked !== undefined) void delivery.expelDevice(revoked).catch(onFault);
  });
  const services = { domain, clock, directory, delivery, trust: late.trust, links: late.links };
  late.devices = new DeviceService({
    ...{ services, directory, domain, signer, certificate, versions, crypto, random, clock, timers, refer, onFault },
    rootKey: toBase64(identity.rootKey),
    messageRate: world.messageRate,
    legacy: new LegacyRegistrations(crypto, clock),
  });
  const { links: madeLinks, devices } = late;
  return {
    directory,
    delivery,
    officers,
    proposals,
    counts,
    policy,
    evidence,
    trust: late.trust,
    links: madeLinks,
    devices,
  };
}

/** The policy in force is the stored one: a file that says something else waits for `norc policy apply`. */
function tellPolicy(log: NodeLog, { inForce, fileChanges, fileFault }: StartingPolicy): void {
  log.info('policy', { number: inForce.number });
  if (fileFault !== undefined) log.warn('policy_file_unreadable', { detail: fileFault });
  if (fileChanges.length > 0) log.warn('policy_file_differs', { number: inForce.number, changes: fileChanges.length });
}

function evidenceService(world: World, trust: () => TrustService): EvidenceService {
  const { identity, audit, clock, resolver, isStatic, evidence, store, log } = world;
  return new EvidenceService({
    ...{ audit, clock, resolver, isStatic, ...evidence, store, self: identity.domain, crypto: nodeCrypto },
    ...{ ownRootKey: identity.rootKey, signer: identity.signer, certificate: identity.certificate.document.bytes },
    policy: () => trust().parts.board.policy,
    // Trust that has gone stale speaks for nobody either.
    rootKey: (domain) => (trust().level(domain) === 'untrusted' ? undefined : trust().rootKey(domain)),
    level: (peer) => trust().level(peer),
    onFault: (what, error) => log.fault(what, error),
  });
}

function present<T>(service: T | undefined): T {
  if (service === undefined) throw new TypeError('a service was used before all were made');
  return service;
}

/**
 * Trust granted: links are dialed anew with the certificates. Trust ended: links close now, shared
 * conversations freeze. Another level, or fresh again: what waited goes now.
 */
async function trustChanged(
  { log, audit, identity }: World,
  { links, delivery, trust }: Pick<Services, 'links' | 'delivery' | 'trust'>,
  peer: Domain,
  change: TrustChange,
): Promise<void> {
  log.info(`trust_${change}`, { peer });
  if (change === 'changed') return links.wake(peer, 'more');
  if (change === 'granted') {
    links.renew(peer);
    await delivery.readmit(peer);
    return;
  }
  links.cut(peer);
  const conversations = await closeConversations({ delivery, trust }, peer);
  if (conversations === 0) return;
  const parties = { actor: `org:${identity.domain}`, subject: `org:${peer}` };
  audit.note({ type: 'conversation_frozen', ...parties, outcome: 'ok', detail: { conversations } });
}

/** Devices that were revoked just before the server died. */
async function expelRevoked(store: Store, delivery: DeliveryService): Promise<void> {
  for (const { user } of await store.read.users()) {
    for (const { deviceId, revokedAt } of await store.read.devicesOf(user)) {
      if (revokedAt !== undefined) await delivery.expelDevice(deviceId);
    }
  }
}

/** A number for an error that a peer or device is told; the log has the story under it. */
function referrer(log: NodeLog) {
  return (who: string | undefined, code: string, detail: string): string => {
    const reference = randomBytes(6).toString('hex');
    log.info('refused', { reference, code, detail, ...(who === undefined ? {} : { who }) });
    return reference;
  };
}

/** The group views check every credential against the root key that is pinned for its organisation now. */
function groupViews({ clock }: World, trust: () => TrustService, catchUpMs: number): GroupViews {
  return createGroupViews({
    provider: createNodeMlsProvider(),
    clock,
    catchUpMs,
    async verifyCredential([certificate, issuer], signaturePublicKey, now) {
      if (certificate === undefined || issuer === undefined) return reject('credential_invalid', 'chain');
      const org = claimedOrg(issuer);
      const pinned = org === undefined ? undefined : trust().pinned(org);
      if (org === undefined || pinned === undefined) return reject('credential_invalid', 'organisation');
      const verified = verifyDeviceCertificate(nodeCrypto, { certificate, issuer }, { pinned, now });
      if (!verified.ok) return reject('credential_invalid', verified.error.detail);
      const { deviceId, user, publicKey } = verified.value;
      const same = nodeCrypto.equal(publicKey, signaturePublicKey);
      return same ? ok({ deviceId, user, org }) : reject('credential_invalid', 'key of the leaf');
    },
    async verifyHub(certificates, signaturePublicKey, now) {
      const parsed = hubCertificate(certificates);
      if (!parsed.ok) return parsed;
      const { org } = parsed.value.body;
      const rootKey = trust().rootKey(org);
      if (rootKey === undefined) return reject('credential_invalid', 'organisation of the hub');
      return verifyHubKey(nodeCrypto, certificates, signaturePublicKey, { pinned: { org, rootKey }, now });
    },
  });
}

/** Which root key to check against; the check itself then shows whether the claim is true. */
function claimedOrg(issuer: Uint8Array): Domain | undefined {
  const parsed = parseDocument(SERVER_CERTIFICATE, issuer);
  return parsed.ok ? parsed.value.body.org : undefined;
}

async function keyPackageFacts(views: GroupViews, domain: Domain, keyPackage: Uint8Array) {
  const info = await views.verifyKeyPackage(keyPackage);
  if (!info.ok) return info;
  const { identity, notAfter, lastResort } = info.value;
  if (identity.org !== domain) return reject('credential_invalid', 'organisation');
  return ok({ deviceId: identity.deviceId, user: identity.user, notAfter, lastResort });
}

function certificateJson({ certificate }: OrganisationIdentity): JsonObject {
  return certificate.document.json;
}

/** The configuration has checked the list. */
function versionList(texts: readonly string[]): VersionList {
  const versions = parseVersionList(texts);
  if (!versions.ok) throw new RangeError(`versions: ${versions.error.detail}`);
  return versions.value;
}

/** Servers talk in hybrid versions only: 1.1 and 1.0 are for a device's registration. */
function linkVersions(versions: VersionList): VersionList {
  return versionList(
    versions.map(({ major, minor }) => `${major}.${minor}`).filter((text) => text !== '1.1' && text !== '1.0'),
  );
}

/** Made once per organisation and kept in its database: without it no pseudonym leads back to a person. */
async function pseudonymKey(store: Store): Promise<Uint8Array> {
  const known = await store.read.meta(PSEUDONYM_KEY);
  if (known !== undefined) return known;
  const made = Uint8Array.from(randomBytes(32));
  await store.commit([{ op: 'meta.put', key: PSEUDONYM_KEY, value: made }]);
  return made;
}
