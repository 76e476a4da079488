import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant, LIMITS, type Random } from '@norc/protocol/base';
import { CONNECT, connected, disconnected, reconnect } from './index.ts';

const longest: Random = { bytes: (length) => new Uint8Array(length).fill(255) };

test('[C-21] after a session that lasted, the first retry comes at once', () => {
  const online = connected({ state: 'connecting', failures: 9 }, instant(0));
  const lost = disconnected(online, instant(LIMITS.retryDelayMillisecondsMax), longest);
  assert.ok(lost.state === 'waiting');
  assert.equal(lost.retryAt, LIMITS.retryDelayMillisecondsMax + LIMITS.retryDelayMillisecondsMin);
});

test('[C-21] waits grow, also when the server accepts and drops', () => {
  let failures = 0;
  let waited = 0;
  for (let i = 0; i < 5; i += 1) {
    const lost = disconnected(connected({ state: 'connecting', failures }, instant(0)), instant(100), longest);
    assert.ok(lost.state === 'waiting' && lost.retryAt - 100 > waited);
    waited = lost.retryAt - 100;
    failures = reconnect(lost).failures;
  }
  assert.equal(waited, 4000);
});

test('[C-21] what trying again cannot help stops, and says why', () => {
  const why = (code: Parameters<typeof disconnected>[3]) => disconnected(CONNECT, instant(0), longest, code).state;
  for (const code of ['auth_failed', 'downgrade_refused', 'certificate_invalid', 'no_compatible_version'] as const)
    assert.equal(why(code), 'stopped', code);
  for (const code of ['shutting_down', 'rate_limited', 'clock_skew', 'internal', 'frame_rejected', 'no_route'] as const)
    assert.equal(why(code), 'waiting', code);
  assert.equal(why(undefined), 'waiting');
});
