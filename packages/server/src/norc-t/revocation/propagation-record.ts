import { type Domain, type Instant, instant, ok, type Result } from '@norc/protocol/base';
import { levelSchema, REVOCATION_ACTIONS, type RevocationAct } from '@norc/protocol/norc-t';
import {
  bool,
  choice,
  decodeBody,
  domain,
  encodeBody,
  type Infer,
  list,
  optional,
  struct,
  text,
  uint,
} from '@norc/protocol/wire';
import type { StoreWrite } from '../../storage/port.ts';

const PARTNERS_MAX = 4096;
const REASON_BYTES_MAX = 512;
const NAME_BYTES_MAX = 64;

const recordSchema = struct({
  issuer: domain(),
  subject: domain(),
  action: choice(REVOCATION_ACTIONS),
  level: optional(levelSchema),
  condition: optional(text(NAME_BYTES_MAX)),
  reason: text(REASON_BYTES_MAX),
  issued_at: uint(),
  effective_at: uint(),
  first: uint(),
  last: uint(),
  deadline_at: uint(),
  /** Third organisations that had trust with us then: each of them confirms. */
  partners: list(domain(), PARTNERS_MAX),
  links_cut_at: optional(uint()),
  enforced_at: optional(uint()),
  told_at: optional(uint()),
  sessions_told: optional(uint()),
  /** Everything was confirmed, or the deadline had come. */
  finished_at: optional(uint()),
  in_time: optional(bool()),
  /** Everything was confirmed, in time or late. */
  completed_at: optional(uint()),
});
export type PropagationBody = Infer<typeof recordSchema>;

/** How far an act of ours got, as it is kept. */
export interface PropagationRecord {
  readonly act: RevocationAct;
  readonly deadlineAt: Instant;
  readonly partners: readonly Domain[];
  readonly linksCutAt?: Instant;
  readonly enforcedAt?: Instant;
  readonly toldAt?: Instant;
  readonly sessionsTold?: number;
  readonly finishedAt?: Instant;
  readonly inTime?: boolean;
  readonly completedAt?: Instant;
}

export function propagationWrite(record: PropagationRecord, at: Instant): StoreWrite {
  const { act } = record;
  return {
    op: 'trust.record.put',
    record: {
      ...{ kind: 'propagation', key: String(act.last), peer: act.subject, at },
      document: encodeBody(recordSchema, bodyOf(record), 'json'),
    },
  };
}

function bodyOf({ act, deadlineAt, partners, ...later }: PropagationRecord): PropagationBody {
  const { issuer, subject, action, level, condition, reason, issuedAt, effectiveAt, first, last } = act;
  return {
    ...{ issuer, subject, action, reason, first, last, partners, deadline_at: deadlineAt },
    ...(level === undefined ? {} : { level }),
    ...(condition === undefined ? {} : { condition }),
    issued_at: issuedAt,
    effective_at: effectiveAt,
    ...(later.linksCutAt === undefined ? {} : { links_cut_at: later.linksCutAt }),
    ...(later.enforcedAt === undefined ? {} : { enforced_at: later.enforcedAt }),
    ...(later.toldAt === undefined ? {} : { told_at: later.toldAt }),
    ...(later.sessionsTold === undefined ? {} : { sessions_told: later.sessionsTold }),
    ...(later.finishedAt === undefined ? {} : { finished_at: later.finishedAt }),
    ...(later.inTime === undefined ? {} : { in_time: later.inTime }),
    ...(later.completedAt === undefined ? {} : { completed_at: later.completedAt }),
  };
}

export function readPropagation(document: Uint8Array): Result<PropagationRecord> {
  const decoded = decodeBody(recordSchema, document, 'json');
  if (!decoded.ok) return decoded;
  const { value } = decoded;
  const { issuer, subject, action, reason, first, last, level, condition, partners } = value;
  const time = <K extends string>(name: K, at: number | undefined) =>
    at === undefined ? {} : ({ [name]: instant(at) } as Record<K, Instant>); // one key, whose name is given
  return ok({
    act: {
      ...{ issuer, subject, action, reason, first, last },
      ...(level === undefined ? {} : { level }),
      ...(condition === undefined ? {} : { condition }),
      issuedAt: instant(value.issued_at),
      effectiveAt: instant(value.effective_at),
    },
    deadlineAt: instant(value.deadline_at),
    partners,
    ...time('linksCutAt', value.links_cut_at),
    ...time('enforcedAt', value.enforced_at),
    ...time('toldAt', value.told_at),
    ...(value.sessions_told === undefined ? {} : { sessionsTold: value.sessions_told }),
    ...time('finishedAt', value.finished_at),
    ...(value.in_time === undefined ? {} : { inTime: value.in_time }),
    ...time('completedAt', value.completed_at),
  });
}
