import type { PartnerView } from '../commands/trust-partner.ts';
import type { Pair, RunningSide } from './servers.ts';
import { expect, until } from './wait.ts';

export interface TrustOutcome {
  /** Milliseconds of each part. */
  readonly proved: number;
  readonly approved: number;
  readonly linked: number;
  readonly level: string;
  readonly notAfter: number;
  /** Of NORC-F, as both servers negotiated it. */
  readonly linkVersion: string;
}

/** Alpha's officer asks, both servers prove themselves to each other, bravo's officer approves. */
export async function agreeOnTrust([alpha, bravo]: Pair<RunningSide>): Promise<TrustOutcome> {
  const begin = performance.now();
  await alpha.admin.post('/trust/request', { peer: bravo.domain, level: 'basic' });
  await until(
    () => partner(bravo, alpha, 'awaiting_approval'),
    `${bravo.domain} did not see a request of ${alpha.domain} that is proved.`,
  );
  const proved = performance.now();
  await bravo.admin.post('/trust/approve', { peer: alpha.domain });
  const [atAlpha, atBravo] = await Promise.all([
    until(() => partner(alpha, bravo, 'in_force'), `Trust did not come into force at ${alpha.domain}.`),
    until(() => partner(bravo, alpha, 'in_force'), `Trust did not come into force at ${bravo.domain}.`),
  ]);
  const approved = performance.now();
  expect(
    atAlpha.level === 'basic' && atBravo.level === 'basic',
    'The level in force is not the one that was asked for.',
  );
  const [version] = await Promise.all([
    until(() => linkUp(alpha, bravo), `${alpha.domain} has no link to ${bravo.domain}.`),
    until(() => linkUp(bravo, alpha), `${bravo.domain} has no link to ${alpha.domain}.`),
  ]);
  return {
    proved: proved - begin,
    approved: approved - proved,
    linked: performance.now() - approved,
    level: atAlpha.level,
    notAfter: atAlpha.not_after ?? 0,
    linkVersion: version,
  };
}

async function partner(
  at: RunningSide,
  other: RunningSide,
  state: PartnerView['state'],
): Promise<PartnerView | undefined> {
  const { partners } = await at.admin.get<{ partners: readonly PartnerView[] }>('/trust');
  const found = partners.find(({ peer }) => peer === other.domain);
  expect(found?.state !== 'refused', `${at.domain}: ${found?.explanation}`);
  return found?.state === state ? found : undefined;
}

async function linkUp(at: RunningSide, other: RunningSide): Promise<string | undefined> {
  interface Link {
    readonly peer: string;
    readonly state: string;
    readonly version?: string;
  }
  const { links } = await at.admin.get<{ links: readonly Link[] }>('/status');
  const link = links.find(({ peer }) => peer === other.domain);
  return link?.state === 'up' ? (link.version ?? '') : undefined;
}
