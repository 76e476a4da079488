import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { nodeClock, nodeRandom } from '@norc/crypto/node';
import type { Domain } from '@norc/protocol/base';
import { domainProofText } from '@norc/protocol/norc-t';
import { initOrganisation } from '@norc/server';
import { type SidePaths, sidePaths } from './folder.ts';

/** One of the two organisations, before its server runs. */
export interface Side {
  readonly domain: Domain;
  readonly paths: SidePaths;
  readonly rootKey: Uint8Array;
  /** BLAKE3-256 of it. */
  readonly rootFingerprint: Uint8Array;
}

export async function createSide(folder: string, domain: Domain): Promise<Side> {
  const paths = sidePaths(folder, domain);
  const identity = await initOrganisation(paths.organisation, domain, { clock: nodeClock, random: nodeRandom });
  identity.signer.close();
  return { domain, paths, rootKey: identity.rootKey, rootFingerprint: identity.rootFingerprint };
}

/**
 * Writes the configuration of one side. There is no DNS on loopback: where the other
 * server is, and the proof that its domain names its root key, are static entries here.
 */
export async function writeConfig(side: Side, ports: SidePorts, other: Side, otherPorts: SidePorts): Promise<void> {
  await mkdir(dirname(side.paths.config), { recursive: true, mode: 0o700 });
  await writeFile(side.paths.config, configText(side, ports, other, otherPorts), { mode: 0o600 });
}

function configText(side: Side, ports: SidePorts, other: Side, otherPorts: SidePorts): string {
  return `# Written by norc demo.
[organisation]
domains = ["${side.domain}"]
data = "data"

[listen]
host = "127.0.0.1"
port = ${ports.devices}

[federation]
host = "127.0.0.1"
port = ${ports.federation}

[[federation.peer]]
domain = "${other.domain}"
endpoints = ["127.0.0.1:${otherPorts.federation}"]
trust_txt = ["${domainProofText(other.rootKey)}"]

[log]
file = "server.log"
`;
}

export interface SidePorts {
  readonly devices: number;
  readonly federation: number;
}

/** Each side's configuration names the other's port, so they are chosen before the servers start. */
export async function freePorts(): Promise<readonly [SidePorts, SidePorts]> {
  const servers = [0, 1, 2, 3].map(() => createServer());
  const ports = await Promise.all(servers.map(listenAnywhere));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  const [a = 0, b = 0, c = 0, d = 0] = ports;
  return [
    { devices: a, federation: b },
    { devices: c, federation: d },
  ];
}

function listenAnywhere(server: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
