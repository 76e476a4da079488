import { nodeCrypto } from '@norc/crypto/node';
import { toHex } from '@norc/protocol/base';
import { fingerprintText } from '@norc/protocol/crypto';
import {
  type RequestDescription,
  rootKeysFingerprint,
  type TrustCertificateBody,
  type TrustTerms,
} from '@norc/protocol/norc-t';
import { utcTime } from '../commands/shared.ts';
import { type Fact, fingerprintLines } from '../output.ts';
import { cleanLine } from '../terminal/clean.ts';
import type { Grant } from './grant.ts';

/** What was found about a partner, as the admin interface tells it. */
export interface FindingView {
  readonly kind: string;
  readonly result: 'held' | 'failed' | 'absent';
  readonly method?: string;
  readonly weight: number;
  readonly checked_at: number;
  readonly expires_at?: number;
  readonly detail: string;
  readonly hash?: string;
}

export interface ScoreView {
  readonly total: number;
  readonly min: number;
  readonly parts: readonly { readonly name: string; readonly points: number; readonly of: number }[];
}

/** As `norc org show` of the other side names it. */
const BOTH_KEYS = 'Both root keys';

/** Everything in the two certificates, in words. */
export function grantFacts({ given, received, peerRootKey, peerRootPqKey }: Grant): readonly Fact[] {
  const fingerprint = fingerprintText(rootKeysFingerprint(nodeCrypto, peerRootKey, peerRootPqKey));
  return [
    [peerRootPqKey === undefined ? 'Their root key' : BOTH_KEYS, fingerprintLines(fingerprint)],
    ['Level', levelText(given, received)],
    ['In force', `from ${utcTime(given.not_before)} until ${utcTime(given.not_after)} UTC`],
    ['They may', termsText(given)],
    ['You may', termsText(received)],
    ...conditionFacts('If they do not', given),
    ...conditionFacts('If you do not', received),
    ...recoveryFacts(given),
  ];
}

/** Nato labels need both directions; what stands in one alone is said, or it would be signed unseen. */
function levelText({ level, ...given }: TrustCertificateBody, received: TrustCertificateBody): string {
  const [theirs, ours] = [given.nato_capable === true, received.nato_capable === true];
  if (theirs && ours) return `${level}, nato labels too`;
  if (theirs) return `${level}; you hold them to be nato-capable, they do not hold you to be`;
  return ours ? `${level}; they hold you to be nato-capable, you do not hold them to be` : level;
}

/** Whose officers may replace the other side's root key is pinned with it. */
function recoveryFacts({ subject: { recovery } }: TrustCertificateBody): readonly Fact[] {
  if (recovery === undefined) return [];
  return [
    [
      'Their recovery',
      `officers of theirs may replace their root key: set ${toHex(nodeCrypto.blake3(recovery)).slice(0, 32)}`,
    ],
  ];
}

export function requestFacts(request: RequestDescription): readonly Fact[] {
  return [
    ['Level', request.nato_capable ? `${request.level}, nato labels too` : request.level],
    ['For', `${request.valid_days} days`],
    ['They may', termsText(request.offers)],
    ['You may', termsText(request.asks)],
    ...conditionFacts('If they do not', request.offers),
    ...conditionFacts('If you do not', request.asks),
  ];
}

function termsText({ permissions, limits }: Pick<TrustTerms, 'permissions' | 'limits'>): string {
  const { message_bytes_max: size, messages_per_second: rate, bytes_per_second: bandwidth } = limits;
  const kib = (bytes: number) => `${Math.floor(bytes / 1024)} KiB`;
  const what = permissions.length === 0 ? 'nothing' : permissions.join(', ');
  return `${what}; messages to ${kib(size)}, ${rate}/s, ${kib(bandwidth)}/s`;
}

function conditionFacts(title: string, { conditions }: Pick<TrustCertificateBody, 'conditions'>): readonly Fact[] {
  if (conditions.length === 0) return [];
  const text = conditions.map(({ name, kind, deadline, action, level }) => {
    const then = level === undefined ? action : `${action} to ${level}`;
    return `show ${quoted(kind)} (${quoted(name)}) by ${utcTime(deadline)} UTC: ${then}`;
  });
  return [[title, text]];
}

/**
 * Somebody else's words, as such, where people decide what to sign: on one line, without runs of spaces that would
 * push the rest to where the terminal begins a new one.
 */
export function quoted(text: string): string {
  return `“${cleanLine(text)
    .replace(/[\s“”]+/g, ' ')
    .trim()}”`;
}

const RESULTS: Readonly<Record<FindingView['result'], string>> = { held: 'holds', failed: 'FAILED', absent: 'absent' };

export const EVIDENCE_HEAD = ['EVIDENCE', 'RESULT', 'HOW', 'AGE', 'WHAT WAS FOUND'];

/** One row per finding. `certificate`: what the server says held has to stand in the certificate that is signed. */
export function evidenceRows(
  findings: readonly FindingView[],
  now: number,
  certificate?: TrustCertificateBody,
): readonly (readonly string[])[] {
  return findings.map((one) => {
    const unnamed = certificate !== undefined && one.result === 'held' && !isNamed(one, certificate);
    const detail = unnamed ? `${one.detail} (the certificate does not name it)` : one.detail;
    return [one.kind, RESULTS[one.result], one.method ?? '-', ageText(now - one.checked_at), detail];
  });
}

function isNamed({ kind, hash }: FindingView, { evidence }: TrustCertificateBody): boolean {
  return evidence.some((one) => one.kind === kind && toHex(one.hash) === hash);
}

export function scoreText({ total, min, parts }: ScoreView): string {
  const needed = min > 0 ? `, ${min} needed` : '';
  return `${total} of 100${needed}: ${parts.map(({ name, points, of }) => `${name} ${points}/${of}`).join(', ')}`;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `3 min`, `5 h`, `2 d` */
export function ageText(milliseconds: number): string {
  if (milliseconds < MINUTE_MS) return 'now';
  if (milliseconds < HOUR_MS) return `${Math.floor(milliseconds / MINUTE_MS)} min`;
  if (milliseconds < 2 * DAY_MS) return `${Math.floor(milliseconds / HOUR_MS)} h`;
  return `${Math.floor(milliseconds / DAY_MS)} d`;
}
