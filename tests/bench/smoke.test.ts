import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

/* The benchmark still runs. What it measures here, briefly and beside other tests, means nothing. */

const RUN = new URL('../../bench/run.ts', import.meta.url);

async function bench(
  ...args: string[]
): Promise<{ readonly table: readonly string[]; readonly lines: readonly Line[] }> {
  const { stdout } = await promisify(execFile)(process.execPath, [RUN.pathname, '--quick', ...args]);
  const rows = stdout.split('\n').filter((row) => row !== '');
  const json = rows.filter((row) => row.startsWith('{'));
  return { table: rows.slice(1, rows.length - json.length), lines: json.map((row) => JSON.parse(row)) };
}

type Line = Readonly<Record<string, unknown>>;

describe('bench', { concurrency: true }, () => {
  for (const questions of [
    ['frames', 'handshakes', 'mls', 'storage'],
    ['relay', 'idle'],
  ]) {
    test(questions.join(', '), async () => {
      const { table, lines } = await bench(...questions);
      assert.deepEqual([...new Set(lines.map((line) => line['bench']))], questions);
      assert.equal(table.length, lines.length, 'one row for a line');
      for (const line of lines) checkLine(line);
    });
  }

  test('an unknown question is named', async () => {
    await assert.rejects(bench('nonsense'), { code: 1, stderr: /no question 'nonsense'/ });
  });
});

function checkLine(line: Line): void {
  for (const key of ['cpu', 'cores', 'memoryMiB', 'node', 'commit', 'date']) assert.ok(line[key], key);
  const figures = ['perSecond', 'kilobytes'].filter((key) => key in line);
  assert.notEqual(figures.length, 0, 'a line has a figure');
  for (const key of figures) assert.ok(Number.isFinite(line[key]), `${line['question']}: ${key}`);
}
