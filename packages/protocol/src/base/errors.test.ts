import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, errorNameOf, isRetryable } from './index.ts';

test('every code names its own error, and no two errors share a code', () => {
  for (const [name, { code, retryable }] of Object.entries(ERRORS)) {
    const found = errorNameOf(code);
    assert.equal(found, name);
    assert.ok(found !== undefined && isRetryable(found) === retryable);
  }
});

test('a code that nobody defined has no name', () => {
  assert.equal(errorNameOf(65535), undefined);
});
