import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ErrorName, Result } from '../base/index.ts';
import {
  checkDowngrade,
  checkVersionList,
  compareVersions,
  contains,
  negotiateVersion,
  parseVersion,
  parseVersionList,
  SUPPORTED_VERSIONS_WITH_LEGACY,
  type Version,
  type VersionList,
  versionText,
} from './versions.ts';

function list(...texts: readonly string[]): VersionList {
  const parsed = parseVersionList(texts);
  assert.ok(parsed.ok, texts.join());
  return parsed.value;
}

function refused(result: Result<unknown>, code: ErrorName): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
}

function negotiated(own: VersionList, peer: VersionList): readonly [version: string, compatibilityMode: boolean] {
  const result = negotiateVersion(own, peer);
  assert.ok(result.ok);
  return [versionText(result.value.version), result.value.compatibilityMode];
}

/** A list as AMC allows it: one major, or two adjacent ones. */
const versionList: fc.Arbitrary<VersionList> = fc
  .tuple(
    fc.integer({ min: 0, max: 4 }),
    fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 15 })), {
      minLength: 1,
      maxLength: 10,
      selector: (pair) => pair.join(),
    }),
  )
  .map(([base, pairs]) => {
    const checked = checkVersionList(pairs.map(([step, minor]) => ({ major: base + step, minor })));
    assert.ok(checked.ok);
    return checked.value;
  });

test('[HS-6] the worked cases of the specification', () => {
  assert.deepEqual(negotiated(list('2.0', '1.2', '1.1', '1.0'), list('1.2', '1.1')), ['1.2', true]);
  refused(negotiateVersion(list('2.0', '1.2'), list('1.0')), 'no_compatible_version');
  assert.deepEqual(negotiated(list('3.0', '2.1', '2.0'), list('2.0', '1.2')), ['2.0', true]);
  assert.deepEqual(negotiated(list('2.0', '1.2'), list('2.0', '1.2')), ['2.0', false]);
  assert.deepEqual(negotiated(list('1.2'), list('1.2', '1.1')), ['1.2', false]);
  refused(negotiateVersion(list('2.0', '1.2'), list('3.0')), 'no_compatible_version');
});

test('[HS-6] versions are numbers: 1.10 is newer than 1.9', () => {
  assert.deepEqual(negotiated(list('1.9', '1.10'), list('1.10', '1.9')), ['1.10', false]);
});

test('[HS-6] the best common version is chosen, whatever the order of the lists and whoever chooses', () => {
  fc.assert(
    fc.property(versionList, versionList, (own, peer) => {
      const best = own
        .filter((version) => contains(peer, version))
        .sort(compareVersions)
        .at(-1);
      const chosen = negotiateVersion(own, peer);
      if (best === undefined) return refused(chosen, 'no_compatible_version');
      assert.ok(chosen.ok);
      assert.deepEqual(chosen.value.version, best);
      assert.deepEqual(negotiateVersion(peer, own), chosen);
      const reversed = checkVersionList([...own].reverse());
      assert.ok(reversed.ok);
      assert.deepEqual(negotiateVersion(reversed.value, peer), chosen);
    }),
  );
});

test('[HS-7] compatibility mode: the major is not the newest of either side', () => {
  fc.assert(
    fc.property(versionList, versionList, (own, peer) => {
      const chosen = negotiateVersion(own, peer);
      fc.pre(chosen.ok);
      const isNewestOf = (versions: readonly Version[]) =>
        versions.every(({ major }) => major <= chosen.value.version.major);
      assert.equal(chosen.value.compatibilityMode, !(isNewestOf(own) && isNewestOf(peer)));
    }),
  );
});

test('[HS-5] a list spans at most two majors, and they are adjacent', () => {
  refused(parseVersionList(['3.0', '2.0', '1.2']), 'version_span');
  refused(parseVersionList(['3.0', '1.2']), 'version_span');
  refused(parseVersionList(['1.2', '3.0']), 'version_span');
  assert.ok(parseVersionList(['3.0', '2.9']).ok);
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 6 }), (majors) => {
      const result = checkVersionList(majors.map((major) => ({ major, minor: 0 })));
      assert.equal(result.ok, Math.max(...majors) - Math.min(...majors) <= 1);
    }),
  );
});

test('[HS-4] a version is two numbers to 15 without leading zeros; a list is not empty, not too long, without repeats', () => {
  for (const text of ['2', '2.', '.0', '2.00', '02.0', '2.0.0', 'v2.0', '2,0', '2.0 ', '-1.0', '16.0', '2.16', '']) {
    refused(parseVersion(text), 'malformed');
  }
  assert.deepEqual(parseVersion('15.15'), { ok: true, value: { major: 15, minor: 15 } });
  refused(parseVersionList([]), 'malformed');
  refused(parseVersionList(['2.0', '2.0']), 'malformed');
  const minors = Array.from({ length: 17 }, (_, minor) => ({ major: 1 + Math.floor(minor / 16), minor: minor % 16 }));
  refused(checkVersionList(minors), 'limit_exceeded');
});

test('what this project speaks is itself within the rules', () => {
  assert.ok(checkVersionList(SUPPORTED_VERSIONS_WITH_LEGACY).ok);
});

test('[HS-11] a peer that once had a newer major is refused with only older ones, unless a person allows it', () => {
  const strict = { newestMajorSeen: 2, allowOlder: false };
  refused(checkDowngrade(strict, list('1.2', '1.1')), 'downgrade_refused');
  assert.deepEqual(checkDowngrade(strict, list('2.0', '1.2')), { ok: true, value: { newestMajorSeen: 2 } });
  assert.deepEqual(checkDowngrade(strict, list('3.0', '2.0')), { ok: true, value: { newestMajorSeen: 3 } });
  assert.deepEqual(checkDowngrade({ ...strict, allowOlder: true }, list('1.2')), {
    ok: true,
    value: { newestMajorSeen: 1 },
  });
  const first = { newestMajorSeen: undefined, allowOlder: false };
  assert.deepEqual(checkDowngrade(first, list('1.2')), { ok: true, value: { newestMajorSeen: 1 } });
});
