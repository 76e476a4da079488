import { instant } from '../../base/index.ts';
import type { SignedDocument } from '../../crypto/index.ts';
import type { Party } from '../party.ts';
import type { TrustCertificateBody } from '../trust-certificate.ts';
import { grantSubject } from './exchange-approvals.ts';
import type { CertificatePair } from './exchange-certificates.ts';
import { findingsOf, scoreOf } from './exchange-evidence.ts';
import type { Review } from './exchange-state.ts';
import type { ApprovalQuestion, ExchangeContext } from './exchange-types.ts';
import type { TrustTerms } from './messages.ts';

interface Asked {
  readonly pair: CertificatePair<SignedDocument<TrustCertificateBody>>;
  /** Of the certificate that this side gives, and of the one that it gets. */
  readonly grants: TrustTerms;
  readonly receives: TrustTerms;
  readonly signed: boolean;
  readonly approvedBy: readonly string[];
  readonly approvalsNeeded: number;
  readonly note: string | undefined;
}

/** What an officer decides about: the pair, and everything that was found about the peer. */
export function pairQuestion(
  context: ExchangeContext,
  { peer_party, review }: { readonly peer_party: Party; readonly review: Review },
  { pair, grants, receives, signed, approvedBy, approvalsNeeded, note }: Asked,
): ApprovalQuestion {
  const { level, not_before, not_after } = pair.issued.body;
  const capable = [pair.issued, pair.counterpart].every(({ body }) => body.nato_capable === true);
  return {
    ...{ peer: peer_party.domain, rootKey: peer_party.root_key, level, natoCapable: capable },
    ...{ grants: termsOf(grants), receives: termsOf(receives) },
    ...{ notBefore: instant(not_before), notAfter: instant(not_after) },
    ...{ findings: findingsOf(review), score: scoreOf(context, review) },
    subject: grantSubject(context.crypto, pair),
    ...{ issued: pair.issued.bytes, counterpart: pair.counterpart.bytes },
    ...{ signed, approvalsNeeded: Math.max(0, approvalsNeeded), approvedBy },
    ...(review.requested_by === undefined ? {} : { requestedBy: review.requested_by }),
    ...(note === undefined ? {} : { note }),
  };
}

function termsOf({ permissions, limits, conditions }: TrustTerms): TrustTerms {
  return { permissions, limits, conditions };
}
