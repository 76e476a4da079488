import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Sandbox } from './sandbox.ts';

let sandbox: Sandbox;

before(async () => {
  sandbox = await Sandbox.create();
  await sandbox.server();
  const files = {
    'strict.toml': '[partners]\nlevel_max = "verified"\n',
    'loose.toml': '[organisation]\nlevel = "nato"\n',
    'wrong.toml': '[partners]\nlevel_max = "verified"\n[levels.verified]\nscore_min = 12\nlife_day_max = 4\n',
    'one.toml': '[officers]\napprovers = []\n',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(sandbox.path(name), text);
});
after(() => sandbox.close());

test('a wrong file is exit 78 before any server is asked, every problem with its line', async () => {
  for (const words of [['check'], ['plan', '--data', 'nowhere'], ['apply', '--data', 'nowhere']]) {
    const { code, out, err } = await sandbox.norc(['policy', ...words, 'wrong.toml']);
    assert.equal(code, 78, err);
    assert.equal(out, '');
    assert.match(err, /wrong\.toml, line 5: levels\.verified\.life_day_max: .*did you mean "life_days_max"/);
    assert.match(err, /wrong\.toml, line 4: levels\.verified\.score_min: .*POLICY-11/);
  }
});

test('plan says by its exit code whether a file opens anything, and changes nothing', async () => {
  const plan = async (file: string) => {
    const { code, out } = await sandbox.norc(['policy', 'plan', file, '--json']);
    return { code, plan: JSON.parse(out) as { number: number; opens: boolean; changes: readonly object[] } }; // our own command's
  };
  assert.equal((await plan('one.toml')).code, 0);
  assert.equal((await plan('strict.toml')).code, 0);
  const loose = await plan('loose.toml');
  assert.equal(loose.code, 3);
  assert.deepEqual([loose.plan.number, loose.plan.opens, loose.plan.changes.length], [0, true, 1]);
  assert.match(await sandbox.must(['policy', 'show']), /^Policy 0$/m);
});

test('apply asks, and without a terminal says which option answers', async () => {
  const { code, err } = await sandbox.norc(['policy', 'apply', 'strict.toml']);
  assert.notEqual(code, 0);
  assert.match(err, /--yes/);
  assert.match(await sandbox.must(['policy', 'show']), /^Policy 0$/m);
});

test('what tightens is in force at once; what loosens waits, and its plan can be read', async () => {
  assert.match(await sandbox.must(['policy', 'apply', 'strict.toml', '--yes']), /^Policy 1 is in force\.$/m);
  const again = await sandbox.must(['policy', 'apply', 'strict.toml', '--yes']);
  assert.match(again, /says the same: nothing was changed/);
  const said = await sandbox.must(['policy', 'apply', 'loose.toml', '--yes']);
  const [, id = ''] = /0 signed, 2 more are needed \(proposal ([0-9a-f]{8})\)/.exec(said) ?? [];
  const { code, out } = await sandbox.norc(['policy', 'plan', '--proposal', id]);
  assert.equal(code, 3);
  assert.match(out, /top_secret may be used/);
  assert.match(
    await sandbox.must(['policy', 'history']),
    /^Policy 1, .*through the admin socket\n {2}tightens {2}The highest level/,
  );
  assert.match(await sandbox.must(['policy', 'show']), /^Policy 1$/m);
});
