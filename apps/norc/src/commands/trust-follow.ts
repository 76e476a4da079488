import { setTimeout as delay } from 'node:timers/promises';
import { type AdminClient, AdminRefusal } from '../admin-client.ts';
import { CommandError, EXIT } from '../command.ts';
import { EVIDENCE_HEAD, evidenceRows, type FindingView, type ScoreView, scoreText } from '../officer/grant-words.ts';
import { type Fact, factLines, fingerprintLines, note, print, tableLines } from '../output.ts';
import { utcTime } from './shared.ts';
import { type PartnerView, partnersAt, printPartner } from './trust-partner.ts';

/** A partner with what was found about it and who signed, while an exchange goes on and after it. */
export interface NegotiationView extends PartnerView {
  readonly evidence?: readonly FindingView[];
  readonly score?: ScoreView;
  readonly approvals?: {
    readonly signed: boolean;
    readonly needed: number;
    readonly given: readonly { readonly by: string; readonly at: number }[];
    readonly theirs: readonly { readonly by: string; readonly at: number }[];
    readonly good_until?: number;
  };
  readonly requested_by?: string;
  readonly waits_for?: 'ours' | 'theirs';
  /** While an exchange goes on. */
  readonly exchange_id?: string;
  /** Why the last exchange came to nothing, if it did. */
  readonly refusal?: string;
}

const POLL_MS = 50;
/** How long a request may stand still before the person is not kept any longer. */
export const QUIET_MS = 1_000;
/** The other side's answer to an approval. */
export const CONFIRM_MS = 10_000;

/** Tells each change of what is waited for, until `isOver`, or until nothing has changed for `quietMs`. */
export async function follow(
  client: AdminClient,
  peer: string,
  isOver: (one: NegotiationView) => boolean,
  quietMs: number,
): Promise<NegotiationView> {
  let told = '';
  let changedAt = performance.now();
  for (;;) {
    const partner: NegotiationView | undefined = (await partnersAt(client)).find((one) => one.peer === peer);
    if (partner === undefined)
      throw new CommandError(EXIT.failure, `The server knows nothing of ${peer}.`, 'norc trust list');
    if (isOver(partner)) return partner;
    if (partner.explanation !== told) {
      told = partner.explanation;
      changedAt = performance.now();
      note(told);
    }
    if (performance.now() - changedAt >= quietMs) return partner;
    await delay(POLL_MS);
  }
}

export function explainNothingWaits(peer: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof AdminRefusal) || cause.code !== 'forbidden' || !/no request/i.test(cause.message))
      throw cause;
    throw new CommandError(EXIT.failure, `No request of ${peer} waits for approval.`, 'norc trust list', { cause });
  };
}

/** A name service proves no more than a name service does: what is pinned first is what counts from then on. */
const FIRST_CONTACT = 'First contact: compare this fingerprint by another channel, such as a call.';

/** Whether this root key would be pinned now, and was not before. */
const isFirstContact = ({ state, not_after: notAfter, root_fingerprint: fingerprint }: PartnerView): boolean =>
  (state === 'requested' || state === 'awaiting_approval') && notAfter === undefined && fingerprint !== undefined;

/** Before an officer approves: whose key it is that they let in. */
export async function tellFirstContact(client: AdminClient, peer: string): Promise<void> {
  const partner = (await partnersAt(client)).find((one) => one.peer === peer);
  if (partner?.root_fingerprint === undefined || !isFirstContact(partner)) return;
  note(`Root fingerprint of ${peer}:`);
  for (const line of fingerprintLines(partner.root_fingerprint)) note(`  ${line}`);
  note(FIRST_CONTACT);
}

const ID_SHOWN = 8;

/** The partner, then what was found about it, the score with its parts, and who signed. */
export function printNegotiation(partner: NegotiationView, now: number): void {
  printPartner(partner);
  if (isFirstContact(partner)) note(FIRST_CONTACT);
  const { score, approvals, requested_by: requestedBy, evidence = [], refusal } = partner;
  const facts: readonly Fact[] = [
    ...(refusal === undefined || partner.state === 'refused' ? [] : [['Last request', refusal] as const]),
    ...(score === undefined ? [] : [['Score', scoreText(score)] as const]),
    ...(requestedBy === undefined ? [] : [['Asked by', `officer ${requestedBy.slice(0, ID_SHOWN)}`] as const]),
    ...(approvals?.signed === true ? [['Signed', signaturesText(approvals)] as const] : []),
  ];
  if (facts.length > 0) print('', ...factLines(facts));
  if (evidence.length > 0) print('', ...tableLines(EVIDENCE_HEAD, evidenceRows(evidence, now)));
}

function signaturesText({
  given,
  theirs,
  needed,
  good_until: goodUntil,
}: NonNullable<NegotiationView['approvals']>): readonly string[] {
  const who = (all: readonly { readonly by: string }[]) =>
    all.length === 0 ? '' : ` (${all.map(({ by }) => by.slice(0, ID_SHOWN)).join(', ')})`;
  return [
    `${given.length} of ${needed} officers here${who(given)}`,
    `${theirs.length} officers of the other side${who(theirs)}`,
    ...(goodUntil === undefined ? [] : [`what was signed is void after ${utcTime(goodUntil)} UTC`]),
  ];
}
