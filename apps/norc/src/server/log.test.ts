import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openServerLog } from './log.ts';

const folder = mkdtempSync(join(tmpdir(), 'norc-log-'));
after(() => rmSync(folder, { recursive: true }));

test('one JSON object on a line, in a file for its owner alone, below the level nothing', () => {
  const file = join(folder, 'deep', 'server.log');
  const log = openServerLog({ level: 'warn', file });
  log.info('not_this');
  log.warn('link_down', { peer: 'bravo.example' });
  log.fault('storage', Object.assign(new Error('disk\nfull'), { code: 'ENOSPC' }));
  log.close();
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const [first, second, ...more] = lines.map((line) => JSON.parse(line) as Record<string, unknown>); // our own lines
  assert.deepEqual(more, []);
  assert.deepEqual([first?.['level'], first?.['event'], first?.['peer']], ['warn', 'link_down', 'bravo.example']);
  assert.match(String(first?.['time']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual([second?.['message'], second?.['code']], ['disk\nfull', 'ENOSPC']);
  if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o077, 0);
});

test('a log goes on where an earlier one ended', () => {
  const file = join(folder, 'server.log');
  for (const event of ['first', 'second']) {
    const log = openServerLog({ level: 'info', file });
    log.info(event);
    log.close();
  }
  assert.equal(readFileSync(file, 'utf8').trimEnd().split('\n').length, 2);
});
