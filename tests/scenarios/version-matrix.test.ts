import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/*
 * Every scenario file once more with other versions: as they are, both sides speak 2.0.
 * A file whose subject is versions chooses them itself and is not repeated.
 */

const FILES = [
  'norc-c/authentication',
  'norc-c/enrolment',
  'norc-c/key-packages',
  'norc-c/membership',
  'norc-c/resilience',
  'norc-t/audit',
  'norc-t/expulsion',
  'norc-t/revocation',
  'norc-t/several-organisations',
  'norc-t/strangers',
].map((name) => fileURLToPath(new URL(`./${name}.test.ts`, import.meta.url)));

const RUNS = {
  'devices speak 1.2, servers 2.0 and 1.2': { NORC_TEST_DEVICE_VERSIONS: '1.2' },
  'one server speaks 1.2, the other and the devices 2.0 and 1.2': { NORC_TEST_ALPHA_VERSIONS: '1.2' },
  'everybody speaks 1.2': {
    NORC_TEST_DEVICE_VERSIONS: '1.2',
    NORC_TEST_ALPHA_VERSIONS: '1.2',
    NORC_TEST_OTHER_VERSIONS: '1.2',
  },
} as const;

for (const [name, versions] of Object.entries(RUNS)) {
  test(`the scenarios hold where ${name}`, async () => {
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', ...FILES], {
      env: { ...environment, ...versions },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const [code] = await once(child, 'close');
    const failed = output.split('\n').filter((line) => /^\s*not ok/.test(line));
    assert.deepEqual(failed, []);
    assert.equal(code, 0);
    assert.match(output, /^# pass [1-9]/m);
  });
}
