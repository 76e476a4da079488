import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { comparePolicies, defaultPolicy, policyDocument } from '@norc/protocol/norc-t';
import { parse } from 'smol-toml';
import { ConfigError } from './problem.ts';
import { isTable } from './table.ts';
import { loadTrustPolicy, parseTrustPolicy } from './trust-policy.ts';
import { findLines } from './trust-policy-lines.ts';
import { POLICY_SETTINGS } from './trust-policy-settings.ts';
import { type Fields, isSetting } from './trust-policy-shape.ts';

const ROOT = new URL('../../../../', import.meta.url);
const example = readFileSync(new URL('deploy/trust-policy.example.toml', ROOT), 'utf8');
const manual = readFileSync(new URL('docs/trust-policy.md', ROOT), 'utf8');
/** The example with its commented settings and tables made live. */
const everything = example.replace(/^# (?=\[\[|[a-z_]+ = )/gm, '');

const folder = mkdtempSync(join(tmpdir(), 'norc-policy-'));
after(() => rmSync(folder, { recursive: true }));
/** A CA certificate (ECDSA P-256, made for this test), and one of a server that is no CA. */
const CA = `-----BEGIN CERTIFICATE-----
MIIBrzCCAVWgAwIBAgIUbtn8hNl6Mjb0/u3x12xTWQyLgZ4wCgYIKoZIzj0EAwIw
LDEQMA4GA1UECgwHRXhhbXBsZTEYMBYGA1UEAwwPRXhhbXBsZSBSb290IENBMCAX
DTI2MTEyMzA0MTUxMVoYDzIxMjYxMDMwMDQxNTExWjAsMRAwDgYDVQQKDAdFeGFt
cGxlMRgwFgYDVQQDDA9FeGFtcGxlIFJvb3QgQ0EwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASQT0s4OQvLsNaDrrxkcJ65b3A+su7pjLe64Hh9KiO+wGCV2vvcUXS5
S31tHSYKQ4mqOdUO36ai7oE3NKupbRH+o1MwUTAdBgNVHQ4EFgQU4nC8L+ZYyCtC
J9ev4m1KGvpjQmIwHwYDVR0jBBgwFoAU4nC8L+ZYyCtCJ9ev4m1KGvpjQmIwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBNUrIQkHzyw+TxLNvccOHd
xz2GASY5rKGjKLty7Et73AIhAIUKTMZV+t7ZhnzslRP+WiT0i28AFOV48VX/p5rL
qm66
-----END CERTIFICATE-----
`;
const LEAF = `-----BEGIN CERTIFICATE-----
MIIBhjCCASygAwIBAgIURr+Dokg3uiAlw2bU6clsWQGwwVkwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOc2VydmVyLmV4YW1wbGUwIBcNMjYxMTIzMDQxNTExWhgPMjEy
NjEwMzAwNDE1MTFaMBkxFzAVBgNVBAMMDnNlcnZlci5leGFtcGxlMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEZd4t5pdg0XldB9b6wNS9qNcMHXaRafAeuY9tCUoE
1Db6YbSN0M5B/dUYrrwIae3EPMgTKJyZZw5SEAFf3UEwvaNQME4wHQYDVR0OBBYE
FOaR/Xa7pXZgnMOkJNypqxd4yHKQMB8GA1UdIwQYMBaAFOaR/Xa7pXZgnMOkJNyp
qxd4yHKQMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAwRQIgfQMrRgPUsTgW
6Wc1q7P4Aj7ov+eTfE8ywnaxY8VR9yMCIQDUQ8797pUyQn5feEll1YSRZEuluMrY
iiJ5Yp6gKtCkog==
-----END CERTIFICATE-----
`;
mkdirSync(join(folder, 'anchors'));
writeFileSync(join(folder, 'anchors', 'example-root.pem'), CA);
writeFileSync(join(folder, 'anchors', 'leaf.pem'), LEAF);

const read = (text: string) => parseTrustPolicy({ path: 'trust-policy.toml', folder, text });

function problemsOf(text: string): readonly string[] {
  try {
    read(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(({ source, key, found, allowed }) => `${source}: ${key}: ${found} -> ${allowed}`);
  }
  return [];
}

test('[POLICY-1] an empty file is the default policy, and so is the example', () => {
  assert.deepEqual(policyDocument(read('')).bytes, policyDocument(defaultPolicy()).bytes);
  assert.deepEqual(comparePolicies(defaultPolicy(), read(example)), []);
});

test('the example has every setting', () => {
  const live: unknown = parse(everything);
  assert.ok(isTable(live));
  assertComplete(POLICY_SETTINGS, live, '');
  assert.equal(read(everything).anchors.length, 1);
});

function assertComplete(fields: Fields, table: Readonly<Record<string, unknown>>, path: string): void {
  for (const [name, shape] of Object.entries(fields)) {
    const value = table[name];
    const at = `${path}${name}`;
    const leftOut = name === 'level' && path.startsWith('levels.basic.'); // nothing is below basic
    assert.ok(value !== undefined || leftOut, `${at} is not in deploy/trust-policy.example.toml`);
    if (isSetting(shape)) continue;
    const inner: unknown = Array.isArray(value) ? value[0] : value;
    assert.ok(isTable(inner), at);
    assertComplete(shape.fields, inner, `${at}.`);
  }
}

test('everything in a policy can be set', () => {
  const policy = read(everything.replace('secret = "classified"', 'secret = "nato"'));
  assert.equal(policy.partnerLevelMax.size, 1);
  assert.equal(policy.documents.size, 1);
  assert.equal(policy.labelLevels.get('secret'), 'nato');
  assert.equal(policy.levels.nato.conditions[0]?.level, 'basic');
  assert.deepEqual(policy.anchors[0]?.policies, ['2.16.840.1.101.3.2.1.3.13']);
  assert.equal(policy.compliance[0]?.statedBy.size, 1);
  const told = comparePolicies(defaultPolicy(), policy).map(({ path }) => path.split(/[. ]/)[0]);
  assert.deepEqual([...new Set(told)].sort(), ['anchor', 'compliance', 'labels', 'levels', 'partner']);
});

test('[POLICY-2] every problem is named, with its line and what was meant', () => {
  const text = `[organisation]
levle = "classified"

[partners]
level_max = "cosmic"

[levels.verified]
score_min = 12

[levels.verified.evidence]
key_proof = "none"

[[partner]]
domain = "Bravo"

[fresness]
x = 1
`;
  assert.deepEqual(problemsOf(text), [
    'trust-policy.toml, line 16: fresness: an unknown table -> did you mean "freshness"?',
    'trust-policy.toml, line 2: organisation.levle: an unknown setting -> did you mean "level"?',
    'trust-policy.toml, line 5: partners.level_max: "cosmic" -> one of "basic", "verified", "classified", "nato"',
    'trust-policy.toml, line 14: partner[1].domain: "Bravo" -> a domain name in lower case',
    'trust-policy.toml, line 11: levels.verified.evidence.key_proof: "none" -> "required": the protocol asks for it at verified [POLICY-10]',
    'trust-policy.toml, line 8: levels.verified.score_min: 12 -> 70 to 100: the protocol asks for 70 at verified [POLICY-11]',
  ]);
});

test('[POLICY-2] what is no TOML is named by line and column, and nothing is quoted', () => {
  const [problem = ''] = problemsOf('[organisation]\nlevel = secret-word');
  assert.match(problem, /line 2, column 9/);
  assert.doesNotMatch(problem, /secret-word/);
});

test('what stands twice, or where a table belongs, is refused', () => {
  for (const [text, expected] of [
    ['partners = 3', /partners: 3 -> a table \[partners\]/],
    ['partner = "x"', /partner: "x" -> tables \[\[partner\]\]/],
    [
      '[[partner]]\ndomain = "a.example"\n[[partner]]\ndomain = "a.example"',
      /line 4: partner\[2\]\.domain.*each domain once/,
    ],
    ['[[compliance]]\nstated_by = []', /line 1: compliance\[1\]\.scheme: nothing/],
    ['[grants]\npermissions = ["presence", "presence"]', /line 2: grants\.permissions.*different/],
    ['[officers]\napprovers = ["0123456789abcdef0123456789abcdef"]', /line 2: officers\.approvers.*POLICY-19/],
  ] as const) {
    const problems = problemsOf(text);
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', expected);
  }
});

test('[POLICY-4] anchors are read from files beside the policy, and what they hold is the policy', () => {
  const anchor = (file: string) => `[[anchor]]\nname = "root"\nfile = "${file}"\npurpose = "organisation"\n`;
  const policy = read(anchor('anchors/example-root.pem'));
  assert.equal(policy.anchors[0]?.certificate[0], 0x30);
  writeFileSync(join(folder, 'copy.pem'), CA);
  assert.deepEqual(policyDocument(read(anchor('copy.pem'))).bytes, policyDocument(policy).bytes);
  writeFileSync(join(folder, 'key.pem'), '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n');
  writeFileSync(join(folder, 'two.pem'), CA + CA);
  writeFileSync(join(folder, 'damaged.pem'), CA.replace(/^M.*$/m, 'AAAA'));
  for (const [file, expected] of [
    ['absent.pem', /line 3: anchor "root" file: a file that cannot be read \(ENOENT\)/],
    ['key.pem', /1 PEM blocks that are not one certificate/],
    ['two.pem', /2 PEM blocks/],
    ['damaged.pem', /a certificate that cannot be read/],
    ['anchors/leaf.pem', /a certificate that is no CA/],
  ] as const) {
    const [problem = ''] = problemsOf(anchor(file));
    assert.match(problem, expected);
    assert.doesNotMatch(problem, /c2VjcmV0/);
  }
});

test('a file that is not there is named', () => {
  assert.throws(
    () => loadTrustPolicy(join(folder, 'absent.toml')),
    /the file: found a file that cannot be read \(ENOENT\)/,
  );
});

test('lines are found in every form of TOML', () => {
  const lineOf = findLines(`# comment [not.a.table]
top = 1
[ "a" . b ]  # a header
key = """
[x]
fake = 1
"""
'quoted key' = [
  1, # ]
  2,
]
dotted.name = { inline = 3, fake = "]" }

[[list]]
name = "one"
[[list]]
name = 'two # not a comment'
[list.inner]
deep = 1
[[a.b.more]]
x = 1
`);
  const expected = {
    top: 2,
    'a.b': 3,
    'a.b.key': 4,
    'a.b.quoted key': 8,
    'a.b.dotted.name': 12,
    'a.b.dotted.name.inline': 12,
    'list[1].name': 15,
    'list[2]': 16,
    'list[2].name': 17,
    'list[2].inner.deep': 19,
    'a.b.more[1].x': 21,
    fake: undefined,
    x: undefined,
  };
  for (const [path, line] of Object.entries(expected)) assert.equal(lineOf(path), line, path);
});

test('the manual has every setting, and its policies are valid', () => {
  const documented = new Set([...manual.matchAll(/^\| `([a-z_.[\]*]+)` \|/gm)].map((match) => match[1]));
  const settings = settingPaths(POLICY_SETTINGS, '');
  for (const path of settings) assert.ok(documented.has(path), `${path} is not in docs/trust-policy.md`);
  assert.deepEqual(
    [...documented].filter((path) => !settings.has(path ?? '')),
    [],
  );
  const blocks = [...manual.matchAll(/```toml\n(.*?)```/gs)].map((match) => match[1] ?? '');
  assert.ok(blocks.length > 0);
  for (const text of blocks) read(text);
});

/** Levels, kinds of evidence and labels are one row each: `levels.*.evidence.*`. */
function settingPaths(fields: Fields, path: string): ReadonlySet<string> {
  const paths = Object.entries(fields).flatMap(([name, shape]) => {
    const any = path === 'levels.' || path === 'labels.' || path.endsWith('.evidence.');
    const at = `${path}${any ? '*' : name}`;
    if (isSetting(shape)) return [at];
    return [...settingPaths(shape.fields, shape.kind === 'tables' ? `${at}[].` : `${at}.`)];
  });
  return new Set(paths);
}
