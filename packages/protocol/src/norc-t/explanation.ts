import { type Instant, TRUST_REASONS } from '../base/index.ts';
import type { TrustDecision, TrustDenied, TrustQuestion } from './decision.ts';
import { levelForLabel } from './levels.ts';

/**
 * One sentence for screens, errors and the log: who, what, and the numbered reason.
 * Names organisations, never users.
 */
export function explainDecision(question: TrustQuestion, decision: TrustDecision): string {
  const { local, remote, direction, permission } = question;
  const [actor, owner] = direction === 'outgoing' ? [local, remote] : [remote, local];
  const what = local === remote ? `Inside ${local}` : `${permission} from ${actor} to ${owner}`;
  if (decision.kind === 'allow') return `${what}: allowed at level ${decision.level}.`;
  const { number } = TRUST_REASONS[decision.reason];
  return `${what}: refused, reason ${number} (${decision.reason}). ${reasonText(question, decision)}`;
}

function reasonText(question: TrustQuestion, denied: TrustDenied): string {
  const { about } = denied;
  const certificate = about === undefined ? '' : `The certificate that ${about.issuer} gave ${about.subject}`;
  switch (denied.reason) {
    case 'blocked':
      return `The policy of ${question.local} blocks ${question.remote}.`;
    case 'forked':
      return `${question.remote} signed two different histories of its revocations; an officer has to look.`;
    case 'none_given':
      return `${question.local} gave ${question.remote} no trust certificate.`;
    case 'none_received':
      return `${question.remote} gave ${question.local} no trust certificate.`;
    case 'revoked':
      return `${certificate} was revoked.`;
    case 'condition_failed':
      return `${certificate} has a condition that was not met by its deadline.`;
    case 'expired':
      return `${certificate} ended ${about === undefined ? '' : timeText(about.notAfter)}.`;
    case 'not_yet_valid':
      return `${certificate} begins ${about === undefined ? '' : timeText(about.notBefore)}.`;
    case 'suspended':
      return `${certificate} is suspended.`;
    case 'keys_differ':
      return 'The two directions name different organisation root keys.';
    case 'stale':
      return `${question.remote} has not confirmed its revocations for too long; what waits is kept.`;
    case 'permission':
      if (about === undefined) return `The policy of ${question.local} lets no partner do this.`;
      return `${certificate} does not grant ${question.permission}.`;
    case 'size':
      return `${certificate} allows smaller entries only.`;
    case 'label':
    case 'nato':
      return labelText(question, denied);
  }
}

function labelText({ label }: TrustQuestion, { reason, level, needed }: TrustDenied): string {
  if (label === undefined) return '';
  if (reason === 'nato') return `The label ${label} needs nato-capable certificates on both sides.`;
  return `The label ${label} needs level ${needed ?? levelForLabel(label)}; the level here is ${level}.`;
}

const DAY_MS = 86_400_000;

/** `2026-11-23T10:15:00Z`. */
export function timeText(time: Instant): string {
  const days = Math.floor(time / DAY_MS);
  const seconds = Math.floor((time - days * DAY_MS) / 1000);
  const clock = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((part) => pad(Math.floor(part), 2)).join(':');
  return `${dateText(days)}T${clock}Z`;
}

/** Days since 1970 in the proleptic Gregorian calendar, in years that begin on 1 March. */
function dateText(days: number): string {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return `${pad(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4)}-${pad(month, 2)}-${pad(day, 2)}`;
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0');
}
