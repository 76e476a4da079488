import { type Domain, type Instant, instant, ok, type Result, reject } from '@norc/protocol/base';
import { type GrantedLevel, levelSchema, REVOCATION_ACTIONS, type RevocationAction } from '@norc/protocol/norc-t';
import { choice, decodeBody, domain, encodeBody, fixedBytes, optional, struct, text, uint } from '@norc/protocol/wire';

const REASON_BYTES_MAX = 512;
const NAME_BYTES_MAX = 64;

const orderSchema = struct({
  peer: domain(),
  action: choice(REVOCATION_ACTIONS),
  level: optional(levelSchema),
  condition: optional(text(NAME_BYTES_MAX)),
  reason: text(REASON_BYTES_MAX),
  effective_at: optional(uint()),
  /** Certificates that it is about, so that an approval is of exactly these; absent: all in force. */
  certificates: optional(text(4096)),
  /** Where the own chain stands: an approval is of the statement that comes next. */
  after_sequence: optional(uint()),
  after_head: optional(fixedBytes(32)),
});

/** What officers want said about all certificates of a partner. */
export interface TrustOrder {
  readonly peer: Domain;
  readonly action: RevocationAction;
  /** With `downgrade`. */
  readonly level?: GrantedLevel;
  /** With `condition_met`. */
  readonly condition?: string;
  readonly reason: string;
  /** At once when absent. */
  readonly effectiveAt?: Instant;
  /** Ids of the certificates, where officers sign: anything that changes voids what they signed. */
  readonly certificates?: readonly string[];
  /** The own chain as they saw it: the statement that they sign is the next one, so it cannot be said a second time. */
  readonly after?: { readonly sequence: number; readonly head: Uint8Array };
}

/** Canonical: its BLAKE3 is what officers approve. */
export function encodeOrder({
  peer,
  action,
  level,
  condition,
  reason,
  effectiveAt,
  certificates,
  after,
}: TrustOrder): Uint8Array {
  return encodeBody(
    orderSchema,
    {
      ...{ peer, action, reason },
      ...(level === undefined ? {} : { level }),
      ...(condition === undefined ? {} : { condition }),
      ...(effectiveAt === undefined ? {} : { effective_at: effectiveAt }),
      ...(certificates === undefined ? {} : { certificates: certificates.join(' ') }),
      ...(after === undefined ? {} : { after_sequence: after.sequence, after_head: after.head }),
    },
    'json',
  );
}

export function decodeOrder(document: Uint8Array): Result<TrustOrder> {
  const decoded = decodeBody(orderSchema, document, 'json');
  if (!decoded.ok) return decoded;
  const { peer, action, level, condition, reason, effective_at: effectiveAt, certificates } = decoded.value;
  const { after_sequence: sequence, after_head: head } = decoded.value;
  if ((sequence === undefined) !== (head === undefined)) return reject('malformed', 'place of the order');
  return ok({
    ...{ peer, action, reason },
    ...(level === undefined ? {} : { level }),
    ...(condition === undefined ? {} : { condition }),
    ...(effectiveAt === undefined ? {} : { effectiveAt: instant(effectiveAt) }),
    ...(certificates === undefined ? {} : { certificates: certificates.split(' ') }),
    ...(sequence === undefined || head === undefined ? {} : { after: { sequence, head } }),
  });
}
