import { isIP } from 'node:net';
import { LIMITS } from '@norc/protocol/base';
import { DEVICE_LIMITS, LINK_LIMITS } from '../transport/limits.ts';
import { FEDERATION_PORT, parseEndpoint, type StaticPeer } from '../transport/resolver.ts';
import type { ListenCertificate } from './listen-certificates.ts';
import { choice, domains, flag, host, integer, list, optionalPath, path, type Setting } from './setting.ts';

const PORT_MAX = 65_535;
const COUNT_MAX = 1_000_000;
const DNS_PORT = 53;

/** Versions that this server can speak, best first (spec/handshake). */
const VERSIONS = ['2.0', '1.2', '1.1', '1.0'] as const;
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

const oneOf =
  <const T extends string>(choices: readonly T[]) =>
  (text: string): T | undefined =>
    choices.find((name) => name === text);

/**
 * Every setting of a server but the `[[federation.peer]]` and `[[listen.certificate]]` tables. The key in the file is
 * the name in snake case; docs/configuration.md and deploy/norc.example.toml are checked
 * against this table.
 */
export const SETTINGS = {
  organisation: {
    domains: domains('The organisations that live on this server, each by its domain.'),
    data: path('Folder for keys and databases; each organisation has its own folder in it.', 'norc-data'),
  },
  protocol: {
    versions: list(
      'Protocol versions to speak. Fewer only to test how peers of other versions get on.',
      'versions of "2.0", "1.2", "1.1", "1.0", at least one',
      VERSIONS,
      oneOf(VERSIONS),
    ),
  },
  listen: {
    host: host('Address for devices.', '127.0.0.1'),
    port: integer('Port for devices. 0 takes a free one.', 8080, 0, PORT_MAX),
    tlsCertificate: optionalPath('Certificate chain for devices, PEM. Needs tls_key too.'),
    tlsKey: optionalPath('Private key of that certificate, PEM, readable by the server only.', { secret: true }),
    allowPlainNonLoopback: flag(
      'Serve devices without TLS on an address that others reach. Only behind a proxy that does TLS.',
      false,
    ),
    allowedOrigins: list(
      'Web pages that may connect, by origin.',
      'origins such as "https://chat.example"',
      [],
      readOrigin,
    ),
  },
  federation: {
    enabled: flag('Listen for servers of other organisations, and dial them.', true),
    host: host('Address for other servers. 0.0.0.0 for all.', '127.0.0.1'),
    port: integer('Port for other servers. 0 takes a free one.', FEDERATION_PORT, 0, PORT_MAX),
    dnsServers: list(
      "Name servers to ask; the system's when empty.",
      'IP addresses, with a port or without',
      [],
      readDnsServer,
    ),
    privateAddresses: flag('Connect to private addresses that DNS names for organisations not trusted yet.', false),
  },
  trust: {
    policyFile: optionalPath(
      'Trust policy, taken at the first start; later ones are applied by norc policy apply. {domain} stands for the organisation.',
    ),
    revocationFromPrivate: flag('Fetch revocation lists and OCSP answers from private addresses too.', false),
  },
  limits: {
    messagesPerMinute: integer('Messages a device may send.', LIMITS.messagesPerMinute, 1, COUNT_MAX),
    messagesBurst: integer('Messages a device may send at once.', LIMITS.messagesBurst, 1, COUNT_MAX),
    peerMessagesPerMinute: integer(
      'Messages from one remote organisation.',
      LIMITS.peerMessagesPerMinute,
      1,
      COUNT_MAX,
    ),
    deviceConnectionsMax: integer('Connections of devices at a time.', DEVICE_LIMITS.connectionsMax, 1, COUNT_MAX),
    deviceConnectionsPerSourceMax: integer(
      'The same from one IPv4 address or IPv6 /64.',
      DEVICE_LIMITS.connectionsPerSourceMax,
      1,
      COUNT_MAX,
    ),
    deviceBufferedBytesMax: integer(
      'Output that a slow device may leave waiting before it is closed.',
      DEVICE_LIMITS.bufferedBytesMax,
      LIMITS.frameBytesMax,
      1024 ** 3,
    ),
    peerConnectionsMax: integer('Connections of other servers at a time.', LINK_LIMITS.connectionsMax, 1, COUNT_MAX),
    peerConnectionsPerSourceMax: integer(
      'The same from one IPv4 address or IPv6 /64.',
      LINK_LIMITS.connectionsPerSourceMax,
      1,
      COUNT_MAX,
    ),
  },
  log: {
    level: choice('How much to log.', 'info', LOG_LEVELS),
    file: optionalPath('Log file, made readable by the server only. Standard error when absent.'),
  },
} as const;

type Sections = typeof SETTINGS;
type ValueOf<S> = S extends Setting<infer T> ? T : never;
type Values = { readonly [S in keyof Sections]: { readonly [K in keyof Sections[S]]: ValueOf<Sections[S][K]> } };

/** A server's settings, checked and frozen. Paths are absolute. */
export type ServerConfig = Omit<Values, 'federation' | 'listen'> & {
  readonly listen: Values['listen'] & { readonly certificates: readonly ListenCertificate[] };
  readonly federation: Values['federation'] & { readonly peers: readonly StaticPeer[] };
};

function readOrigin(text: string): string | undefined {
  const url = URL.parse(text);
  return url !== null && url.origin === text && url.origin !== 'null' ? text : undefined;
}

function readDnsServer(text: string): string | undefined {
  const endpoint = isIP(text) === 6 ? { host: text } : parseEndpoint(text, DNS_PORT);
  return endpoint !== undefined && isIP(endpoint.host) !== 0 ? text : undefined;
}

/** `tlsCertificate` -> `tls_certificate`. */
export function keyOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export const ENVIRONMENT_PREFIX = 'NORC_';

/** `listen`, `tlsKey` -> `NORC_LISTEN_TLS_KEY`. */
export function variableOf(section: string, name: string): string {
  return `${ENVIRONMENT_PREFIX}${section}_${keyOf(name)}`.toUpperCase();
}

/** Every setting with its place. */
export function allSettings(): readonly {
  readonly section: string;
  readonly name: string;
  readonly setting: Setting<unknown>;
}[] {
  return Object.entries(SETTINGS).flatMap(([section, settings]) =>
    Object.entries(settings).map(([name, setting]) => ({ section, name, setting })),
  );
}
