import { type Domain, instant, toHex } from '@norc/protocol/base';
import {
  decideTrust,
  defaultPolicy,
  explainDecision,
  type RevocationBody,
  type TrustQuestion,
  type VerifiedTrustCertificate,
} from '@norc/protocol/norc-t';
import { TEST_EPOCH, testOrganisation, testTrustCertificate } from '@norc/testkit';
import type { VectorFile } from '../files.ts';
import { alpha, bravo, DAY, textOf } from './certificates.ts';
import { chainOf } from './trust.ts';

/** Cases of spec/norc-t section 7: the decision. */

const given = testTrustCertificate(alpha, bravo);
const received = testTrustCertificate(bravo, alpha);
const high = testTrustCertificate(alpha, bravo, { level: 'nato' });
const highBack = testTrustCertificate(bravo, alpha, { level: 'nato' });
const condition = { name: 'report', kind: 'unknown kind', deadline: TEST_EPOCH + DAY } as const;
const impostor = testOrganisation('bravo.example', {}, 'impostor');

interface Scene {
  readonly question?: Partial<TrustQuestion>;
  readonly certificates?: readonly VerifiedTrustCertificate[];
  readonly said?: readonly (Partial<RevocationBody> & {
    readonly about: VerifiedTrustCertificate;
    readonly action: RevocationBody['action'];
  })[];
  readonly days?: number;
  readonly heardAgo?: number | 'never';
  readonly blocked?: readonly Domain[];
}

function decision(name: string, scene: Scene) {
  const { certificates = [given, received], said = [], days = 0, heardAgo = 0, blocked = [] } = scene;
  const now = instant(TEST_EPOCH + days * DAY);
  const question: TrustQuestion = {
    local: alpha.domain,
    remote: bravo.domain,
    direction: 'outgoing',
    permission: 'message_relay',
    ...scene.question,
  };
  const heardAt = heardAgo === 'never' ? undefined : instant(now - heardAgo);
  const chains = [alpha, bravo].map((issuer) =>
    chainOf(
      issuer,
      said
        .filter(({ about }) => about.issuer === issuer.domain)
        .map(({ about, ...statement }) => ({
          subject: about.subject,
          certificate_id: about.certificateId,
          reason: 'test',
          issued_at: TEST_EPOCH,
          effective_at: TEST_EPOCH,
          ...statement,
        })),
    ),
  );
  const policy = defaultPolicy({ blocked: new Set(blocked) });
  const revocations = chains.map(({ chain }) => chain);
  const answer = decideTrust(question, { certificates, revocations, heardAt, policy, now });
  return {
    name,
    now,
    ...(heardAt === undefined ? {} : { heard_at: heardAt }),
    blocked,
    question,
    certificates: certificates.map(({ document, issuerRootKey }) => ({
      issuer_root_key: toHex(issuerRootKey),
      document: textOf(document.bytes),
    })),
    revocations: [alpha, bravo].map((issuer, index) => ({
      issuer: issuer.domain,
      statements: chains[index]?.texts ?? [],
    })),
    ...(answer.kind === 'allow'
      ? { decision: 'allow', level: answer.level }
      : { decision: 'deny', reason: answer.reason, code: answer.code }),
    explanation: explainDecision(question, answer),
  };
}

export const decisionVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'decision',
    about:
      'The policy is the default one with the `blocked` organisations; heard_at: when the remote organisation last confirmed its ' +
      'revocations, absent for never. decision, with level, or with reason and code: what the function gives.',
    cases: [
      decision('a message out', {}),
      decision('a message in', { question: { direction: 'incoming' } }),
      decision('a label that basic carries', { question: { label: 'official_use_only' } }),
      decision('inside one organisation', { question: { remote: alpha.domain, label: 'secret' }, certificates: [] }),
      decision('above the own ceiling', { question: { remote: alpha.domain, label: 'top_secret' }, certificates: [] }),
      decision('the lower of two levels', { certificates: [high, received], question: { label: 'confidential' } }),
      decision('nato level without nato capability', {
        certificates: [high, highBack],
        question: { label: 'nato_secret' },
      }),
      decision('blocked', { blocked: [bravo.domain] }),
      decision('nothing given', { certificates: [received] }),
      decision('nothing received', { certificates: [given] }),
      decision('revoked by the own side', { said: [{ about: given, action: 'revoke' }] }),
      decision('revoked by the other side', { said: [{ about: received, action: 'revoke' }] }),
      decision('a revocation is final', {
        said: [
          { about: given, action: 'revoke' },
          { about: given, action: 'restore' },
        ],
      }),
      decision('suspended', { said: [{ about: given, action: 'suspend' }] }),
      decision('suspended and restored', {
        said: [
          { about: given, action: 'suspend' },
          { about: given, action: 'restore' },
        ],
      }),
      decision('downgraded', {
        certificates: [high, highBack],
        said: [{ about: high, action: 'downgrade', level: 'verified' }],
        question: { label: 'secret' },
      }),
      decision('a revocation before its time', {
        said: [{ about: given, action: 'revoke', effective_at: TEST_EPOCH + DAY }],
      }),
      decision('a revocation in its time', {
        said: [{ about: given, action: 'revoke', effective_at: TEST_EPOCH + DAY }],
        days: 1,
      }),
      decision('a condition before its deadline', {
        certificates: [
          testTrustCertificate(alpha, bravo, { conditions: [{ ...condition, action: 'revoke' }] }),
          received,
        ],
      }),
      decision('a condition after its deadline', {
        certificates: [
          testTrustCertificate(alpha, bravo, { conditions: [{ ...condition, action: 'revoke' }] }),
          received,
        ],
        days: 1,
      }),
      decision('not begun', { days: -1 }),
      decision('the last moment', { days: 90 - 1 / DAY }),
      decision('over', { days: 90 }),
      decision('another root key in the other direction', {
        certificates: [given, testTrustCertificate(impostor, alpha)],
      }),
      decision('never heard from', { heardAgo: 'never' }),
      decision('heard from ten minutes ago', { heardAgo: 600_000 }),
      decision('heard from longer ago', { heardAgo: 600_001 }),
      decision('a permission that was not granted', { question: { permission: 'presence' } }),
      decision('a label above the level', { question: { label: 'confidential' } }),
      decision('as large as allowed', { question: { bytes: received.limits.message_bytes_max } }),
      decision('too large', { question: { bytes: received.limits.message_bytes_max + 1 } }),
      decision('two certificates overlap', {
        certificates: [given, high, received, highBack],
        question: { label: 'secret' },
      }),
    ],
  },
];
