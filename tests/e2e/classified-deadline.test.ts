import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@norc/testkit/live';
import { agree, civilService, type Officer } from '../scenarios/governance/cast.ts';
import { Sandbox } from './sandbox.ts';

/** The command in a process of its own, the servers in this one: so that their clocks can go on to the deadline. */

const MINUTE = 60_000;

test('trust revoke --watch ends with 2 at the deadline, and names who has not confirmed', async () => {
  const sandbox = await Sandbox.create();
  try {
    await using cast = await civilService();
    const { alpha, bravo, carol } = cast;
    const ours: Officer[] = [];
    for (const name of ['anna', 'ada', 'alex']) ours.push(await alpha.appoints(name));
    const theirs = [await bravo.appoints('bert'), await bravo.appoints('bea')];
    const [anna, ...others] = ours;
    await agree(anna ?? assert.fail('anna'), bravo, 'classified', [...theirs, ...others]);
    await carol.server.stop();

    const words = ['trust', 'revoke', bravo.domain, '--reason', 'broken into', '--yes', '--watch'];
    const running = sandbox.start([...words, '--data', alpha.server.folder]);
    running.end();
    await running.line(/links with bravo\.example closed/);
    await until('bravo has confirmed', () => running.out.includes('bravo.example confirmed with its signature'));
    await cast.pass(MINUTE + 1000);
    assert.equal(await running.ended, 2, running.out + running.err);
    assert.match(
      running.out,
      /The deadline has come\. Not confirmed:\n {2}carol\.example: no confirmation, it cannot be reached/,
    );

    const shown = await sandbox.must(['trust', 'show', bravo.domain, '--data', alpha.server.folder]);
    assert.match(shown, /overdue since /);
    await carol.server.start();
    await until('carol has confirmed', async () => {
      await alpha.trust.poll();
      return (await alpha.trust.revocationProgress(1))?.state === 'enforced';
    });
    const after = await sandbox.must(['trust', 'show', bravo.domain, '--data', alpha.server.folder]);
    assert.match(after, /all is in force, later than it had to be/);
  } finally {
    await sandbox.close();
  }
});
