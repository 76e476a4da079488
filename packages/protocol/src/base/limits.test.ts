import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEVELS, LIMITS } from './index.ts';

/** How much longer bytes are as base64url. */
const base64 = (bytes: number): number => Math.ceil((bytes * 4) / 3);
/** Everything else in a body that carries one large byte string: ids, addresses, hashes, names of fields. */
const OTHER_FIELDS = 65536;

test('limits that lean on one another', () => {
  const { bodyBytesMax, frameBytesMax, entryBytesMax, mlsMessageBytesMax, documentBytesMax, helloBytesMax } = LIMITS;
  assert.ok(
    frameBytesMax >= 62 + 65536 * Math.ceil((bodyBytesMax + 12) / 65536) + 16,
    'a frame holds the largest body',
  );
  assert.ok(base64(entryBytesMax) + OTHER_FIELDS <= bodyBytesMax, 'an entry accepted over 2.0 fits a 1.2 body');
  assert.ok(base64(mlsMessageBytesMax) + OTHER_FIELDS <= bodyBytesMax, 'so does an MLS message');
  assert.ok(helloBytesMax >= 3 * base64(1184), 'a hello holds a post-quantum key');
  assert.ok(documentBytesMax < bodyBytesMax);
  assert.ok(LIMITS.keyPackagesLow < LIMITS.keyPackagesPerDevice);
  assert.ok(LIMITS.keyPackagesPerDevice <= LIMITS.keyPackagesPerDeviceMax);
  assert.ok(LIMITS.entriesPerFrameMax <= LIMITS.unackedEntriesMax);
  assert.ok(LIMITS.messagesPerMinute <= LIMITS.messagesBurst);
  assert.ok(LIMITS.authSkewMillisecondsMax < LIMITS.handshakeMillisecondsMax);
  assert.ok(LIMITS.hopsMax <= LIMITS.routeDomainsMax, 'a route can name every hop');
});

test('a higher trust level is never laxer', () => {
  const { basic, verified, classified, nato } = LEVELS;
  const rising = [basic, verified, classified, nato];
  for (const [i, higher] of rising.slice(1).entries()) {
    const lower = rising[i];
    assert.ok(lower !== undefined && lower.rank < higher.rank);
    for (const [name, value] of Object.entries(higher)) {
      if (name === 'name' || name === 'rank') continue;
      const before: unknown = Object.entries(lower).find(([field]) => field === name)?.[1];
      const stricter = name.endsWith('Min') ? Number(value) >= Number(before ?? 0) : Number(value) <= Number(before);
      assert.ok(stricter, `${higher.name}.${name}`);
    }
  }
});
