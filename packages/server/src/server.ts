import { join } from 'node:path';
import { nodeClock, nodeRandom } from '@norc/crypto/node';
import type { Clock, Domain, RatePolicy } from '@norc/protocol/base';
import { defaultPolicy } from '@norc/protocol/norc-t';
import { adminRoutes } from './admin/admin-routes.ts';
import { listenAdmin } from './admin/router.ts';
import { type DeviceTls, loadTrustPolicy, readDeviceTls, type ServerConfig } from './config/index.ts';
import { openOrganisation, organisationPaths } from './identity/organisation.ts';
import { type CertificateFetch, createCertificateFetch } from './norc-t/evidence/web-fetch.ts';
import { type NodeLog, OrgNode, type OrgNodeOptions } from './org-node.ts';
import { openSqliteStore } from './storage/sqlite/store.ts';
import {
  combineResolvers,
  createH2LinkTransport,
  type DeviceSocket,
  type DeviceSocketHandler,
  DnsResolver,
  LINK_ALPN,
  type LinkListener,
  listenDevices,
  StaticResolver,
  systemTimers,
} from './transport/index.ts';

export const SERVER_VERSION = '0.1.0';
const MINUTE_MS = 60_000;

export interface ServerOptions {
  readonly config: ServerConfig;
  readonly log: NodeLog;
  /** Somebody asked for a stop through the admin interface. */
  readonly onStopAsked?: () => void;
  /** The machine's own unless told: a test has a wrong clock, or a disk that fails. */
  readonly clock?: Clock;
  readonly openStore?: typeof openSqliteStore;
}

export interface RunningServer {
  readonly deviceAddress: { readonly host: string; readonly port: number; readonly tls: boolean };
  readonly federationAddress: { readonly host: string; readonly port: number } | undefined;
  readonly organisations: readonly {
    readonly domain: Domain;
    readonly folder: string;
    readonly rootFingerprint: Uint8Array;
  }[];
  /** The organisations that live here, for tests and measurement. */
  readonly nodes: ReadonlyMap<Domain, OrgNode>;
  /** Drains and closes everything; may be called twice. */
  stop(): Promise<void>;
}

/**
 * Starts all organisations of a configuration. Rejects with IdentityError, StorageError,
 * ListenError or ConfigError, each of which says what to do; nothing stays behind then.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const closers: (() => Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return await start(options, closers, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function start(
  options: ServerOptions,
  closers: (() => Promise<void>)[],
  closeAll: () => Promise<void>,
): Promise<RunningServer> {
  const { config, log } = options;
  const nodes = new Map<Domain, OrgNode>();
  for (const domain of config.organisation.domains) {
    const node = await startOrganisation(options, domain);
    nodes.set(domain, node);
    closers.push(() => node.stop());
  }
  const tls = await readDeviceTls(config);
  const devices = await listenDevices(deviceListenerOptions(config, tls, log), (socket) =>
    deviceHandler(nodes, socket),
  );
  closers.push(() => devices.close());
  const links = config.federation.enabled ? await listenLinks(config, nodes, log) : undefined;
  if (links !== undefined) closers.push(() => links.close());
  const deviceAddress = { ...devices.address, tls: tls !== undefined };
  for (const [domain, node] of nodes) {
    const context = {
      node,
      version: SERVER_VERSION,
      deviceAddress: () => deviceAddress,
      federationAddress: () => links?.endpoint,
      stop: () => options.onStopAsked?.(),
    };
    const path = organisationPaths(join(config.organisation.data, domain)).adminSocket;
    const admin = await listenAdmin(path, adminRoutes(context), (error) => log.fault('admin', error));
    closers.push(() => admin.close());
  }
  return {
    deviceAddress,
    federationAddress: links?.endpoint,
    organisations: [...nodes].map(([domain, node]) => ({
      domain,
      folder: join(config.organisation.data, domain),
      rootFingerprint: node.identity.rootFingerprint,
    })),
    nodes,
    stop: closeAll,
  };
}

async function startOrganisation(options: ServerOptions, domain: Domain): Promise<OrgNode> {
  const { config, log, clock = nodeClock, openStore = openSqliteStore } = options;
  const folder = join(config.organisation.data, domain);
  const identity = await openOrganisation(folder, domain, clock.now());
  const store = await openStore({
    file: organisationPaths(folder).database,
    onFault: (fault) => log.fault('storage', fault),
  });
  const versions = config.protocol.versions;
  const dns = dnsResolver(config);
  try {
    return await OrgNode.start({
      ...{ identity, store, log, versions, clock, random: nodeRandom, timers: systemTimers },
      resolver: combineResolvers(new StaticResolver(config.federation.peers), dns),
      evidence: { folder: organisationPaths(folder).evidence, fetch: certificateFetch(config, dns) },
      isStatic: (peer) => config.federation.peers.some((one) => one.domain === peer && one.trustTxt.length > 0),
      transport: createH2LinkTransport({
        identity: identity.tls,
        alpn: alpnOf(versions),
        onFault: (fault) => log.fault('link', fault),
      }),
      policy: defaultPolicy(),
      ...policyReader(config, domain),
      messageRate: perMinute(config.limits.messagesPerMinute, config.limits.messagesBurst),
      peerRate: perMinute(config.limits.peerMessagesPerMinute, config.limits.peerMessagesPerMinute),
    });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Each organisation may have its own: `{domain}` in the path stands for it. */
function policyReader({ trust }: ServerConfig, domain: Domain): Pick<OrgNodeOptions, 'readPolicy'> {
  const { policyFile } = trust;
  return policyFile === undefined
    ? {}
    : { readPolicy: () => loadTrustPolicy(policyFile.replaceAll('{domain}', domain)) };
}

function deviceListenerOptions(config: ServerConfig, tls: DeviceTls | undefined, log: NodeLog) {
  const { host, port, allowPlainNonLoopback, allowedOrigins } = config.listen;
  const { deviceConnectionsMax, deviceConnectionsPerSourceMax, deviceBufferedBytesMax } = config.limits;
  return {
    ...{ host, port, allowPlainNonLoopback, allowedOrigins },
    ...(tls === undefined ? {} : { tls }),
    limits: {
      connectionsMax: deviceConnectionsMax,
      connectionsPerSourceMax: deviceConnectionsPerSourceMax,
      bufferedBytesMax: deviceBufferedBytesMax,
    },
    onFault: (fault: unknown) => log.fault('device', fault),
  };
}

/** The Host that a device asks for picks its organisation; with one organisation there is nothing to pick. */
function deviceHandler(nodes: ReadonlyMap<Domain, OrgNode>, socket: DeviceSocket): DeviceSocketHandler {
  const only = nodes.size === 1 ? [...nodes.values()][0] : undefined;
  const node = only ?? [...nodes].find(([domain]) => domain === socket.host)?.[1];
  if (node !== undefined) return node.devices.accept(socket);
  socket.close(1008, 'forbidden');
  return { message: () => undefined, closed: () => undefined };
}

async function listenLinks(
  config: ServerConfig,
  nodes: ReadonlyMap<Domain, OrgNode>,
  log: NodeLog,
): Promise<LinkListener> {
  const first = [...nodes.values()][0];
  if (first === undefined) throw new RangeError('a server has an organisation');
  const find = (name: string | undefined) => [...nodes].find(([domain]) => domain === name)?.[1];
  const transport = createH2LinkTransport({
    identity: first.identity.tls,
    identityFor: (serverName) => find(serverName)?.identity.tls,
    alpn: alpnOf(config.protocol.versions),
    limits: {
      connectionsMax: config.limits.peerConnectionsMax,
      connectionsPerSourceMax: config.limits.peerConnectionsPerSourceMax,
    },
    onFault: (fault) => log.fault('link', fault),
  });
  const { host, port } = config.federation;
  return await transport.listen({ host, port }, (connection) =>
    (find(connection.serverName) ?? first).links.accept(connection),
  );
}

function dnsResolver({ federation }: ServerConfig): DnsResolver {
  return new DnsResolver({
    random: nodeRandom,
    ...(federation.privateAddresses ? { allowed: () => true } : {}),
    ...(federation.dnsServers.length === 0 ? {} : { servers: federation.dnsServers }),
  });
}

/** Of revocation lists and OCSP answers: from the public internet, unless the operator has authorities inside. */
function certificateFetch({ trust }: ServerConfig, dns: DnsResolver): CertificateFetch {
  return createCertificateFetch({
    addresses: (host) => dns.addresses(host),
    timers: systemTimers,
    ...(trust.revocationFromPrivate ? { allowed: () => true } : {}),
  });
}

/** Link protocols of the versions that this server speaks. */
function alpnOf(versions: readonly string[]): readonly string[] {
  return LINK_ALPN.filter((name) => versions.includes(name.slice(name.indexOf('/') + 1)));
}

function perMinute(count: number, burst: number): RatePolicy {
  return { count, perMilliseconds: MINUTE_MS, burst };
}
