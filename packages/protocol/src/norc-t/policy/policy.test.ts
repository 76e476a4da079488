import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EVIDENCE, type EvidenceKind, instant, utf8 } from '../../base/index.ts';
import {
  defaultPolicy,
  domainProofText,
  findDomainProof,
  GRANTED_LEVELS,
  highestLevel,
  levelFault,
  missingEvidence,
  parseDomainProof,
  timeText,
} from '../index.ts';

const CHECKED_EVIDENCE: readonly EvidenceKind[] = ['domain_proof', 'key_proof'];
const kinds = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds

test('[TRUST-4] the evidence table of the registry is the one that the policy starts from', () => {
  const path = new URL('../../../../../spec/registry/trust-evidence.json', import.meta.url);
  const table = JSON.parse(readFileSync(path, 'utf8')) as { evidence: Record<string, string>[] };
  const policy = defaultPolicy();
  for (const row of table.evidence) {
    for (const level of GRANTED_LEVELS) {
      assert.equal(policy.levels[level].evidence[row['name'] as EvidenceKind], row[level], `${row['name']} ${level}`);
    }
  }
  assert.deepEqual(
    GRANTED_LEVELS.map((level) => policy.levels[level].scoreMin),
    [0, 70, 85, 85],
  );
  assert.deepEqual(
    GRANTED_LEVELS.map((level) => policy.levels[level].lifeDaysMax),
    [365, 180, 90, 90],
  );
  assert.deepEqual(
    GRANTED_LEVELS.map((level) => policy.levels[level].approvals),
    [1, 1, 2, 2],
  );
});

test('[TRUST-5] what is missing for a level follows from the table', () => {
  const policy = defaultPolicy();
  assert.deepEqual(missingEvidence(policy, 'basic', []), ['domain_proof', 'key_proof']);
  assert.deepEqual(missingEvidence(policy, 'basic', CHECKED_EVIDENCE), []);
  assert.deepEqual(missingEvidence(policy, 'verified', CHECKED_EVIDENCE), ['organisation_identity']);
  assert.deepEqual(missingEvidence(policy, 'nato', kinds), []);
  assert.equal(levelFault(policy, 'basic', CHECKED_EVIDENCE), undefined);
  assert.equal(
    levelFault(policy, 'verified', CHECKED_EVIDENCE),
    'level verified needs evidence kinds organisation_identity',
  );
  assert.equal(levelFault(defaultPolicy({ levelMax: 'basic' }), 'verified', kinds), 'policy allows basic at most');
  assert.equal(highestLevel(policy, CHECKED_EVIDENCE), 'basic');
  assert.equal(highestLevel(policy, kinds), 'nato');
  assert.equal(highestLevel(policy, []), undefined);
});

test('a higher level never asks for less', () => {
  const policy = defaultPolicy();
  for (const [index, level] of GRANTED_LEVELS.entries()) {
    const lower = GRANTED_LEVELS[index - 1];
    if (lower === undefined) continue;
    const needed = missingEvidence(policy, level, []);
    for (const kind of missingEvidence(policy, lower, [])) assert.ok(needed.includes(kind), `${level} ${kind}`);
    assert.ok(policy.levels[level].lifeDaysMax <= policy.levels[lower].lifeDaysMax);
  }
});

test('[TRUST-6] the domain names its root key in one line', () => {
  const root = new Uint8Array(32).fill(7);
  const line = domainProofText(root);
  assert.equal(line, `norc-trust=v1; root=${Buffer.from(root).toString('base64url')}`);
  assert.deepEqual(parseDomainProof(line), root);
  for (const wrong of [
    '',
    'v=spf1',
    `${line}x`,
    line.replace('v1', 'v2'),
    `${line.slice(0, -1)}=`,
    `${line} ${line}`,
  ]) {
    assert.equal(parseDomainProof(wrong), undefined, wrong);
  }
  assert.equal(parseDomainProof(`${' '.repeat(600)}${line}`), undefined);
});

test('[TRUST-6] one of several keys may match; other records do not disturb', () => {
  const [root, next] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)];
  const lines = ['v=spf1 -all', domainProofText(next), ` ${domainProofText(root)}`];
  assert.deepEqual(findDomainProof(lines, root), { ok: true, value: domainProofText(root) });
  const other = findDomainProof(lines, new Uint8Array(32).fill(9));
  assert.deepEqual(other, {
    ok: false,
    error: { code: 'evidence_rejected', detail: 'the domain names another root key' },
  });
  const none = findDomainProof(['v=spf1'], root);
  assert.equal(none.ok ? '' : none.error.detail, 'the domain names no root key');
  const buried = [...Array.from({ length: 64 }, () => 'x'), domainProofText(root)];
  assert.equal(findDomainProof(buried, root).ok, false);
});

test('times are shown as people read them', () => {
  for (const time of [0, 951_827_696_000, 1_790_000_000_000, 4_107_542_399_000, 1_709_164_800_000]) {
    assert.equal(timeText(instant(time)), new Date(time).toISOString().replace('.000Z', 'Z'));
  }
  assert.ok(utf8(timeText(instant(1))).length === 20);
});
