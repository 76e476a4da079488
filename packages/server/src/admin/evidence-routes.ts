import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, fromBase64Url, ok, parseDomain, type Result, reject, toBase64Url } from '@norc/protocol/base';
import { fingerprintText, rootKeyFingerprint } from '@norc/protocol/crypto';
import { type EvidenceMaterial, type Finding, GRANTED_LEVELS, type GrantedLevel } from '@norc/protocol/norc-t';
import type { OwnEvidence } from '../norc-t/evidence/own-material.ts';
import { kindOfMaterial, type OwnStatement } from '../norc-t/evidence/own-statement.ts';
import type { OrgNode } from '../org-node.ts';
import { type AdminInput, AdminInputError, type AdminRoute } from './router.ts';

const ACTOR = 'officer:admin-socket';
const DAYS_DEFAULT = 180;
const CHECKED_FILES_MAX = 8;
const PERCENT_MAX = 100;
const HASH_BYTES = 32;

/** Our own evidence, what we state about others, and a look at what a domain can show (docs/evidence.md). */
export function evidenceRoutes({ evidence }: Pick<OrgNode, 'evidence'>): readonly AdminRoute[] {
  return [
    { method: 'GET', path: '/evidence', run: async () => ok({ evidence: evidence.list().map(ownView) }) },
    post('/evidence/add', async (input) => kept(await evidence.add(bytesOf(input, 'material'), ACTOR))),
    post('/evidence/vouch', async (input) => made(await evidence.vouch(vouchTerms(input), ACTOR))),
    post('/evidence/state', async (input) => made(await evidence.state(stateTerms(input), ACTOR))),
    post('/evidence/attest', async (input) => kept(await evidence.attest(attestTerms(input), ACTOR))),
    post('/evidence/check', async (input) => await check(evidence, input)),
  ];
}

const post = (path: string, run: AdminRoute['run']): AdminRoute => ({ method: 'POST', path, run });

function ownView({ file, kind, title, expiresAt, fault }: OwnEvidence): object {
  return { file, kind, title, expires_at: expiresAt, fault };
}

function kept(outcome: Result<OwnStatement>): Result<object> {
  if (!outcome.ok) return outcome;
  const { kind, title, expiresAt } = outcome.value;
  return ok({ kind, title, expires_at: expiresAt });
}

function made(outcome: Result<Uint8Array>): Result<object> {
  return outcome.ok ? ok({ material: toBase64Url(outcome.value) }) : outcome;
}

function vouchTerms(input: AdminInput) {
  const note = input.optionalText('note');
  const passOn = input.optionalText('pass_on') === undefined ? undefined : bytesOf(input, 'pass_on');
  return {
    ...{ peer: peerOf(input), level: levelOf(input), days: daysOf(input) },
    ...(note === undefined ? {} : { note }),
    ...(passOn === undefined ? {} : { passOn }),
  };
}

function stateTerms(input: AdminInput) {
  const document = input.optionalText('document') === undefined ? undefined : bytesOf(input, 'document');
  if (document !== undefined && document.length !== HASH_BYTES) throw new AdminInputError('document is no BLAKE3 hash');
  return {
    ...{ peer: peerOf(input), scheme: input.text('scheme'), scope: input.text('scope'), days: daysOf(input) },
    ...(document === undefined ? {} : { document }),
  };
}

/** `platforms`: `ios=100,linux=40`. */
function attestTerms(input: AdminInput) {
  const platforms = input
    .text('platforms')
    .split(',')
    .map((part) => {
      const [, platform = '', percent = ''] = /^([a-z0-9-]+)=(\d{1,3})$/.exec(part.trim()) ?? [];
      const attested_percent = Number(percent);
      if (platform === '' || attested_percent > PERCENT_MAX) throw new AdminInputError(`${part} is not NAME=PERCENT`);
      return { platform, attested_percent };
    });
  const policy = bytesOf(input, 'policy');
  if (policy.length !== HASH_BYTES) throw new AdminInputError('policy is no BLAKE3 hash');
  return { platforms, policy, days: daysOf(input) };
}

async function check(evidence: OrgNode['evidence'], input: AdminInput): Promise<Result<object>> {
  const domain = peerOf(input);
  const rootKey = await evidence.rootKeyOf(domain);
  if (!rootKey.ok) return rootKey;
  const peer = { domain, root_key: rootKey.value, server_certificates: [] };
  const findings = await evidence.check({ peer, level: levelOf(input), material: materialOf(input) });
  if (findings === undefined) return reject('no_route', 'the name service does not answer');
  const root_fingerprint = fingerprintText(rootKeyFingerprint(nodeCrypto, rootKey.value));
  return ok({ peer: domain, root_fingerprint, findings: findings.map(findingView) });
}

function findingView({ kind, result, method, weight, detail, expiresAt }: Finding): object {
  return { kind, result, method, weight, detail, expires_at: expiresAt };
}

/** `material`: base64url of each, with commas between. Their form says what they are. */
function materialOf(input: AdminInput): readonly EvidenceMaterial[] {
  const texts = input.optionalText('material')?.split(',') ?? [];
  if (texts.length > CHECKED_FILES_MAX) throw new AdminInputError(`more than ${CHECKED_FILES_MAX} files`);
  return texts.map((text) => {
    const data = fromBase64Url(text);
    if (data === undefined) throw new AdminInputError('material is not base64url');
    return { kind: kindOfMaterial(data), data };
  });
}

function bytesOf(input: AdminInput, name: string): Uint8Array {
  const bytes = fromBase64Url(input.text(name));
  if (bytes === undefined) throw new AdminInputError(`${name} is not base64url`);
  return bytes;
}

function levelOf(input: AdminInput): GrantedLevel {
  const text = input.optionalText('level') ?? 'basic';
  const level = GRANTED_LEVELS.find((one) => one === text);
  if (level === undefined) throw new AdminInputError('level is none of basic, verified, classified, nato');
  return level;
}

function daysOf(input: AdminInput): number {
  const days = input.optionalCount('days') ?? DAYS_DEFAULT;
  if (days < 1) throw new AdminInputError('days must be a number from 1');
  return days;
}

function peerOf(input: AdminInput): Domain {
  const parsed = parseDomain(input.text('peer').toLowerCase());
  if (!parsed.ok) throw new AdminInputError(`peer is not one: ${parsed.error.detail}`);
  return parsed.value;
}
