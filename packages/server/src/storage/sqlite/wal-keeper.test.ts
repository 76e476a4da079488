import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WAL_PAGES_MAX as FULL, WAL_CHECKPOINT_PAGES as START } from './limits.ts';
import { WalKeeper } from './wal-keeper.ts';

test('the checkpoint thread starts once when the log has grown enough, and again after it is done', () => {
  const keeper = new WalKeeper();
  assert.equal(keeper.step(START - 1, 0), 'none');
  assert.equal(keeper.step(START, 0), 'start');
  assert.equal(keeper.step(START + 100, 0), 'none', 'it is running');
  keeper.stopped();
  assert.equal(keeper.step(START + 200, START), 'none');
  assert.equal(keeper.step(2 * START + 1, START), 'start');
});

test('a checkpoint that fails is tried again only when the log has grown as much again', () => {
  const keeper = new WalKeeper();
  assert.equal(keeper.step(START, 0), 'start');
  keeper.stopped();
  assert.equal(keeper.step(START + 1, 0), 'none');
  assert.equal(keeper.step(2 * START, 0), 'start');
});

test('the writer copies the small rest of a large log itself, now and then', () => {
  const keeper = new WalKeeper();
  assert.equal(keeper.step(FULL, FULL - 10), 'finish');
  assert.equal(keeper.step(FULL + 10, FULL), 'none', 'a reader holds the log: no use in trying at every commit');
  assert.equal(keeper.step(FULL + START, FULL), 'start');
  keeper.stopped();
  assert.equal(keeper.step(FULL + START, FULL + START - 1), 'finish');
});

test('a log that was begun anew counts from its beginning', () => {
  const keeper = new WalKeeper();
  assert.equal(keeper.step(START + 500, 0), 'start');
  keeper.stopped();
  assert.equal(keeper.step(10, 0), 'none');
  assert.equal(keeper.step(START, 0), 'start');
});
