import { parseDomain } from '@norc/protocol/base';
import type { AdminClient } from '../admin-client.ts';
import { CommandError, type CommandInput, EXIT, positional } from '../command.ts';
import { fingerprintLines, hint, print, printFacts } from '../output.ts';
import { adminClient, utcTime } from './shared.ts';

/** One partner as the admin interface tells it. */
export interface PartnerView {
  readonly peer: string;
  readonly state: 'none' | 'requested' | 'awaiting_approval' | 'in_force' | 'expired' | 'revoked' | 'refused';
  readonly level: string;
  readonly not_after?: number;
  /** Of the partner's root key, in groups. */
  readonly root_fingerprint?: string;
  readonly explanation: string;
}

export const LEVELS = ['basic', 'verified', 'classified', 'nato'];

export const STATES: Readonly<Record<PartnerView['state'], string>> = {
  none: 'none',
  requested: 'requested',
  awaiting_approval: 'needs approval',
  in_force: 'in force',
  expired: 'expired',
  revoked: 'revoked',
  refused: 'refused',
};

export function domainArgument(input: CommandInput): string {
  const text = positional(input, 0, 'DOMAIN').toLowerCase();
  if (parseDomain(text).ok) return text;
  throw new CommandError(EXIT.usage, `'${text}' is not a domain.`, 'A domain looks like bravo.example.');
}

export async function partnersOf(input: CommandInput): Promise<readonly PartnerView[]> {
  return await partnersAt(await adminClient(input));
}

export async function partnersAt(client: AdminClient): Promise<readonly PartnerView[]> {
  return (await client.get<{ partners: readonly PartnerView[] }>('/trust')).partners;
}

export const levelText = ({ state, level }: PartnerView): string =>
  state === 'requested' ? `${level} (asked)` : level;

export function untilText({ not_after: notAfter }: PartnerView): string {
  return notAfter === undefined ? '-' : utcTime(notAfter);
}

export function printPartner(partner: PartnerView): void {
  const { peer, state, root_fingerprint: fingerprint, explanation } = partner;
  print(peer);
  printFacts([
    ['State', STATES[state]],
    ['Level', levelText(partner)],
    ...(partner.not_after === undefined ? [] : [['Until', `${untilText(partner)} UTC`] as const]),
    ...(fingerprint === undefined ? [] : [['Root fingerprint', fingerprintLines(fingerprint)] as const]),
    ['Why', explanation],
  ]);
}

export function adviseOn(partners: readonly PartnerView[]): void {
  const waiting = partners.find((one) => one.state === 'awaiting_approval');
  if (waiting !== undefined)
    hint(`compare the fingerprint (norc trust show ${waiting.peer}), then: norc trust approve ${waiting.peer}`);
  else if (partners.length === 0) hint('norc trust request DOMAIN');
}
