import { isLoopback } from '../transport/guarded-listener.ts';
import type { ConfigProblem } from './problem.ts';
import { keyOf, type ServerConfig } from './settings.ts';

/** What single settings cannot show: settings that contradict each other. */
export function checkTogether(config: ServerConfig, source: string): ConfigProblem[] {
  const { listen, federation, limits, protocol } = config;
  const problems: ConfigProblem[] = [];
  const wrong = (key: string, found: string, allowed: string) => problems.push({ source, key, found, allowed });

  const hasCertificate = listen.tlsCertificate !== undefined;
  const hasKey = listen.tlsKey !== undefined;
  if (hasCertificate && !hasKey) wrong('listen.tls_key', 'nothing', 'the key of listen.tls_certificate');
  if (hasKey && !hasCertificate) wrong('listen.tls_certificate', 'nothing', 'the certificate of listen.tls_key');
  checkCertificates(config, wrong);
  const local = listen.host === 'localhost' || isLoopback(listen.host);
  const tls = hasCertificate || hasKey || listen.certificates.length > 0;
  if (!local && !tls && !listen.allowPlainNonLoopback) {
    wrong(
      'listen.host',
      `"${listen.host}" without TLS`,
      'a loopback address, or listen.tls_certificate with listen.tls_key, or [[listen.certificate]] tables, or (behind a proxy that does TLS) listen.allow_plain_non_loopback',
    );
  }
  const samePlace = listen.port === federation.port && listen.port !== 0 && overlap(listen.host, federation.host);
  if (federation.enabled && samePlace) wrong('federation.port', `${federation.port}, as listen.port`, 'another port');
  if (protocol.versions.length === 0) wrong('protocol.versions', 'an empty list', 'at least one version');
  if (federation.enabled && !protocol.versions.some((version) => version === '2.0' || version === '1.2')) {
    wrong('protocol.versions', 'neither "2.0" nor "1.2"', 'one of them, or federation.enabled = false');
  }
  for (const [perSource, total] of [
    ['deviceConnectionsPerSourceMax', 'deviceConnectionsMax'],
    ['peerConnectionsPerSourceMax', 'peerConnectionsMax'],
  ] as const) {
    if (limits[perSource] > limits[total]) {
      wrong(
        `limits.${keyOf(perSource)}`,
        String(limits[perSource]),
        `at most limits.${keyOf(total)}, ${limits[total]}`,
      );
    }
  }
  return problems;
}

function checkCertificates(
  { listen, organisation }: ServerConfig,
  wrong: (key: string, found: string, allowed: string) => void,
): void {
  for (const { domain } of listen.certificates) {
    if (!organisation.domains.includes(domain))
      wrong('listen.certificate', `"${domain}"`, 'one of organisation.domains');
  }
  if (listen.certificates.length === 0 || listen.tlsCertificate !== undefined) return;
  const uncovered = organisation.domains.filter((one) => !listen.certificates.some(({ domain }) => domain === one));
  if (uncovered.length > 0) {
    const allowed = 'one for each organisation, or listen.tls_certificate';
    wrong('listen.certificate', `none for ${uncovered.join(', ')}`, allowed);
  }
}

const ANY_ADDRESS = new Set(['0.0.0.0', '::']);

function overlap(a: string, b: string): boolean {
  return a === b || ANY_ADDRESS.has(a) || ANY_ADDRESS.has(b);
}
