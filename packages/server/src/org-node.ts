import { randomBytes } from 'node:crypto';
import { nodeCrypto } from '@norc/crypto/node';
import { createGroupViews, type GroupViews } from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import { type Clock, type Domain, ok, type Random, type RatePolicy, reject, toBase64 } from '@norc/protocol/base';
import { parseDocument, SERVER_CERTIFICATE, verifyDeviceCertificate } from '@norc/protocol/crypto';
import { parseVersionList, type VersionList } from '@norc/protocol/handshake';
import { type DomainProof, findDomainProof, type TrustPolicy } from '@norc/protocol/norc-t';
import type { JsonObject } from '@norc/protocol/wire';
import { AuditService } from './audit/audit-service.ts';
import { createDelivery, type DeliveryService, LOG_LIFE_MS, publicGroups } from './delivery/index.ts';
import { createDirectory } from './directory/directory-service.ts';
import type { OrganisationIdentity } from './identity/organisation.ts';
import { DeviceService } from './norc-c/device-service.ts';
import { LegacyRegistrations } from './norc-c/legacy-registrations.ts';
import { FederationRequests } from './norc-f/federation-requests.ts';
import { LinksService } from './norc-f/links-service.ts';
import { TrustService } from './norc-t/trust-service.ts';
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
  readonly transport: LinkTransport;
  readonly versions: readonly string[];
  readonly policy: TrustPolicy;
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
    const world = { ...options, audit, after, onFault };
    const parts = buildServices(world);
    await parts.trust.load();
    for (const peer of parts.trust.ended()) await parts.delivery.freezeWith(peer); // a crash may have come between
    const stopSweeping = every(timers, SWEEP_MS, () => void parts.delivery.sweep().catch(onFault));
    const stopPolling = every(timers, POLL_MS, () => {
      parts.links.tick();
      void parts.trust.poll().catch(onFault);
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
    for (const peer of await store.read.outboxPeers()) parts.links.wake(peer);
    for (const peer of parts.trust.peers()) parts.links.wake(peer);
    return node;
  }

  /** Drains: tells everybody, writes what waits, closes the store. */
  async stop(): Promise<void> {
    this.#stopTimers();
    this.devices.endAll('shutting_down');
    this.links.stop();
    this.delivery.flush();
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
}

function buildServices(world: World): Pick<OrgNode, 'directory' | 'delivery' | 'trust' | 'links' | 'devices'> {
  const { identity, store, audit, clock, random, timers, log, after, onFault } = world;
  const { domain, signer } = identity;
  const versions = versionList(world.versions);
  const certificate = certificateJson(identity);
  const crypto = nodeCrypto;
  const refer = referrer(log);
  const majors = new Map<Domain, number>();
  // Delivery, links and trust need one another: each is reached when it is called, which is after all are made.
  const late: { links?: LinksService; trust?: TrustService } = {};
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
    ...{ self: domain, store, crypto, clock, random, after, onFault, groups: publicGroups(domain, views, following) },
    decide: (question) => trust().decide(question),
    wake: (peer, outbox) => links().wake(peer, outbox),
    sendDelivered: (peer, updates) => links().sendDelivered(peer, updates),
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
  late.trust = new TrustService({
    ...{ store, audit, crypto, clock, random, signer, onFault, policy: world.policy },
    party: { domain, root_key: identity.rootKey, server_certificates: [identity.certificate.document.bytes] },
    onUnusable: (what, code) => log.warn('trust_unusable', { what, code }),
    proveDomain: (peer, rootKey) => proveDomain(world, peer, rootKey),
    send: (peer, type, document) => void links().sendTrust(peer, type, document).catch(onFault),
    ask: (peer, type, document) => links().askTrust(peer, type, document),
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
    endpoints: (peer) => world.resolver.federationEndpoints(peer),
    onState: (peer, state, detail) => {
      log.info(state === 'up' ? 'link_up' : 'link_down', { peer, detail });
      const type = state === 'up' ? 'link_opened' : 'link_closed';
      audit.note({ type, actor: `org:${domain}`, subject: `org:${peer}`, outcome: 'ok' });
    },
    newestMajorSeen: (peer) => majors.get(peer),
    rememberMajor: (peer, major) => void majors.set(peer, major),
  });
  late.trust.onChange((peer, change) => trustChanged(world, { links: links(), delivery }, peer, change));
  const services = { domain, clock, directory, delivery, trust: late.trust, links: late.links };
  const devices = new DeviceService({
    ...{ services, directory, domain, signer, certificate, versions, crypto, random, clock, timers, refer, onFault },
    rootKey: toBase64(identity.rootKey),
    messageRate: world.messageRate,
    legacy: new LegacyRegistrations(crypto, clock),
  });
  return { directory, delivery, trust: late.trust, links: late.links, devices };
}

function present<T>(service: T | undefined): T {
  if (service === undefined) throw new TypeError('a service was used before all were made');
  return service;
}

/** Trust granted: links are dialed anew with the certificates. Trust ended: links close now, shared conversations freeze. */
function trustChanged(
  { log, onFault, audit, identity }: World,
  { links, delivery }: { readonly links: LinksService; readonly delivery: DeliveryService },
  peer: Domain,
  change: 'granted' | 'ended',
): void {
  log.info(change === 'granted' ? 'trust_granted' : 'trust_ended', { peer });
  if (change === 'granted') return links.renew(peer);
  links.cut(peer);
  void delivery
    .freezeWith(peer)
    .then((count) => {
      if (count === 0) return;
      audit.note({
        type: 'conversation_frozen',
        actor: `org:${identity.domain}`,
        subject: `org:${peer}`,
        outcome: 'ok',
        detail: { conversations: count },
      });
    })
    .catch(onFault);
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
      const rootKey = org === undefined ? undefined : trust().rootKey(org);
      if (org === undefined || rootKey === undefined) return reject('credential_invalid', 'organisation');
      const verified = verifyDeviceCertificate(nodeCrypto, { certificate, issuer }, { pinned: { org, rootKey }, now });
      if (!verified.ok) return reject('credential_invalid', verified.error.detail);
      const { deviceId, user, publicKey } = verified.value;
      const same = nodeCrypto.equal(publicKey, signaturePublicKey);
      return same ? ok({ deviceId, user, org }) : reject('credential_invalid', 'key of the leaf');
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

async function proveDomain(
  { resolver, clock, isStatic, log }: World,
  domain: Domain,
  rootKey: Uint8Array,
): Promise<DomainProof | undefined> {
  const at = clock.now();
  const proof = (method: DomainProof['method'], line: string): DomainProof => ({
    ...{ kind: 'domain_proof', method, at },
    found: { rootKey, hash: nodeCrypto.blake3(new TextEncoder().encode(line)) },
  });
  try {
    const inDns = findDomainProof(await resolver.trustTxt(domain), rootKey);
    if (inDns.ok) return proof(isStatic(domain) ? 'static' : 'dns', inDns.value);
    const file = await resolver.trustWellKnown(domain);
    const online = findDomainProof(file?.split('\n') ?? [], rootKey);
    if (online.ok) return proof('https', online.value);
  } catch (error) {
    log.fault('domain_proof', error); // a passing fault: the exchange asks again
    return undefined;
  }
  return { kind: 'domain_proof', method: 'dns', found: undefined, at };
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
