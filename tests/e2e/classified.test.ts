import assert from 'node:assert/strict';
import { copyFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { federation, type Place, startAll } from './federation.ts';
import { Sandbox } from './sandbox.ts';

/**
 * A classified negotiation as officers do it, every step a command: servers and officers are processes of their
 * own. It is also the test of the commands in docs/governance.md that are marked so.
 */

const POLICY = `[[anchor]]
name = "Ministry"
file = "root.pem"
purpose = "pki"
policies = ["1.3.6.1.4.1.32473.1.1"]

[[compliance]]
scheme = "iso27001"
stated_by = ["carol.example"]
`;
const fixture = (name: string): URL => new URL(`../fixtures/pki/${name}`, import.meta.url);

let sandbox: Sandbox;
let alpha: Place;
let bravo: Place;
let carol: Place;

before(async () => {
  sandbox = await Sandbox.create();
  const places = await federation(
    sandbox,
    ['alpha.example', 'bravo.example', 'carol.example'],
    '[trust]\npolicy_file = "trust-policy.toml"\n',
  );
  [alpha, bravo, carol] = places as [Place, Place, Place]; // as many as were asked for
  for (const place of places) {
    await writeFile(place.path('trust-policy.toml'), POLICY);
    await copyFile(fixture('root.pem'), place.path('root.pem'));
  }
  await startAll(places);
});
after(() => sandbox.close());

const officer = (name: string): readonly string[] => ['--officer', `${name}.key`, '--passphrase-file', `${name}.words`];

async function appoint(place: Place, name: string): Promise<void> {
  await writeFile(place.path(`${name}.words`), `the passphrase of ${name}\n`, { mode: 0o600 });
  const made = await place.must('officer', 'init', '--out', `${name}.key`, '--passphrase-file', `${name}.words`);
  const request = /norc-officer1-[\w-]+/.exec(made)?.[0] ?? '';
  assert.match(await place.must('officer', 'add', request, '--yes'), /is in office until/);
}

/** What a level above basic asks for, as files. */
async function gatherEvidence(place: Place): Promise<void> {
  const [name = ''] = place.domain.split('.');
  await copyFile(fixture(`chain-${name}.pem`), place.path('chain.pem'));
  await copyFile(fixture('organisation.key'), place.path('chain.key'));
  await copyFile(fixture('revoked.pem'), place.path('revoked.pem'));
  await writeFile(place.path('device-rules.txt'), 'Screens are locked.');
  await place.must('evidence', 'x509', '--chain', 'chain.pem', '--key', 'chain.key', '--crl', 'revoked.pem');
  await place.must('evidence', 'attest', '--platforms', 'ios=100', '--policy', 'device-rules.txt');
}

/** The auditor trusts both, and states what they keep to. */
async function audited(place: Place): Promise<void> {
  await place.must('trust', 'request', carol.domain);
  await carol.must('trust', 'approve', place.domain);
  const file = sandbox.path(`${place.domain}-iso27001.json`);
  await carol.must(
    ...['evidence', 'state', '--for', place.domain, '--scheme', 'iso27001', '--scope', 'everything'],
    ...['--out', file],
  );
  await place.must('evidence', 'add', file);
}

const EVIDENCE = [
  'domain_proof +holds +static',
  'organisation_identity +holds +x509',
  'pki_chain +holds +x509',
  'device_attestation +holds +statement',
  'compliance +holds +statement',
  'key_proof +holds',
  'post_quantum_signature +holds +ml-dsa-65',
];

test('classified trust, from nothing: asked by one officer, signed by two of each side, and ended by one', async () => {
  const [unsigned] = await Promise.all([
    alpha.norc('trust', 'request', bravo.domain, '--level', 'classified'),
    ...['anna', 'ada', 'alex'].map((name) => appoint(alpha, name)),
    ...['bert', 'bea'].map((name) => appoint(bravo, name)),
    ...[alpha, bravo].map(gatherEvidence),
    ...[alpha, bravo].map(audited),
  ]);
  assert.equal(unsigned.code, 1);
  assert.match(unsigned.err, /asked for by an officer, with their own key; two others approve it/);

  const asked = await alpha.must(
    ...['trust', 'request', bravo.domain, '--level', 'classified', '--note', 'the joint exercise', '--yes'],
    ...officer('anna'),
  );
  for (const row of EVIDENCE) assert.match(asked, new RegExp(row), `the asking side sees ${row}:\n${asked}`);

  const first = await bravo.must('trust', 'approve', alpha.domain, '--yes', ...officer('bert'));
  assert.match(first, /You are about to sign: trust with alpha\.example at level classified\./);
  assert.match(first, /people here could exchange up to secret/);
  assert.match(first, /Note +.the joint exercise/);
  assert.match(first, /Your approval is recorded: 1 of 2\./);
  await bravo.must('trust', 'approve', alpha.domain, '--yes', ...officer('bea'));

  await alpha.must('trust', 'approve', bravo.domain, '--yes', ...officer('ada'));
  const last = await alpha.must('trust', 'approve', bravo.domain, '--yes', ...officer('alex'));
  assert.match(last, /State +in force\n +Level +classified/);

  const shown = await Promise.all([
    alpha.must('trust', 'show', bravo.domain),
    bravo.must('trust', 'show', alpha.domain),
  ]);
  for (const text of shown) {
    assert.match(text, /State +in force\n +Level +classified/);
    for (const row of EVIDENCE) assert.match(text, new RegExp(row), text);
    assert.match(text, /Score +90 of 100, 85 needed: chain 30\/30, organisation 20\/20, domain_proof 15\/15/);
    assert.match(text, /compliance 10\/10, history 0\/10/);
    assert.match(text, /2 of 2 officers here \([0-9a-f]{8}, [0-9a-f]{8}\)/);
    assert.match(text, /2 officers of the other side/);
    assert.doesNotMatch(text, /FAILED/);
  }

  const ended = await alpha.norc(
    ...['trust', 'revoke', bravo.domain, '--reason', 'the exercise is over', '--yes', '--watch'],
    ...['--receipts', 'receipts'],
  );
  assert.equal(ended.code, 0, ended.out + ended.err);
  assert.match(ended.out, /links with bravo\.example closed/);
  assert.match(ended.out, /carol\.example confirmed with its signature/);
  assert.match(ended.out, /All is in force\./);
  const theirs = await bravo.must('trust', 'show', alpha.domain);
  assert.match(theirs, /alpha\.example ended trust with bravo\.example: the exercise is over/);
});
