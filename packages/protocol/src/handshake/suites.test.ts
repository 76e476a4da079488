import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ErrorName, type Result, SUITES } from '../base/index.ts';
import {
  checkChosenSuite,
  HYBRID_SUITES,
  type HybridSuiteName,
  negotiateSuite,
  parseSuiteList,
  suitesOf,
  suiteText,
} from './suites.ts';

function refused(result: Result<unknown>, code: ErrorName): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
}

const CHACHA = 'hybrid_chacha20_blake3';
const AES = 'hybrid_aes256_sha256';
const names = fc.uniqueArray(fc.constantFrom<HybridSuiteName>(...HYBRID_SUITES), { minLength: 1 });

test('[HS-12] the registry decides which suites a session may use, and in which order', () => {
  assert.deepEqual(HYBRID_SUITES, [CHACHA, AES]);
  for (const name of HYBRID_SUITES) {
    assert.equal(SUITES[name].status, 'active');
    assert.equal(SUITES[name].kem, 'x25519+ml-kem-768');
  }
  assert.deepEqual(suitesOf([AES, CHACHA]).map(suiteText), ['0x0101', '0x0102']);
});

test('[HS-12] a classical or reserved suite is never negotiated, even if it is all that a peer offers', () => {
  for (const offer of [['0x0001'], ['0x0002'], ['0x0001', '0x0002', '0xffff']]) {
    const parsed = parseSuiteList(offer);
    assert.ok(parsed.ok);
    refused(negotiateSuite(suitesOf(HYBRID_SUITES), parsed.value), 'no_compatible_suite');
  }
});

test('[HS-12] the order of a list changes nothing; unknown suites are ignored', () => {
  const own = suitesOf(HYBRID_SUITES);
  for (const offer of [
    ['0x0102', '0x0101'],
    ['0x0101', '0x0102'],
    ['0xfffe', '0x0102', '0x0101', '0x0001'],
  ]) {
    const parsed = parseSuiteList(offer);
    assert.ok(parsed.ok);
    const chosen = negotiateSuite(own, parsed.value);
    assert.ok(chosen.ok);
    assert.equal(chosen.value.name, CHACHA);
  }
});

test("[HS-12] whatever the two lists are, the initiator accepts the responder's right choice and no other", () => {
  fc.assert(
    fc.property(names, names, fc.constantFrom('0x0101', '0x0102', '0x0001', '0xffff', 'x'), (own, peer, claimed) => {
      const chosen = negotiateSuite(suitesOf(peer), suitesOf(own));
      const checked = checkChosenSuite(suitesOf(own), suitesOf(peer), claimed);
      if (!chosen.ok) return refused(checked, 'no_compatible_suite');
      if (claimed === suiteText(chosen.value)) return assert.deepEqual(checked, chosen);
      refused(checked, 'suite_downgrade');
    }),
  );
});

test('[HS-12] a suite list that is not one is refused', () => {
  refused(parseSuiteList([]), 'malformed');
  refused(parseSuiteList(['0x0101', '0x0101']), 'malformed');
  for (const text of ['0101', '0x101', '0x0101 ', '0X0101', '0x01AB', '257'])
    refused(parseSuiteList([text]), 'malformed');
  const many = Array.from({ length: 17 }, (_, i) => `0x${i.toString(16).padStart(4, '0')}`);
  refused(parseSuiteList(many), 'limit_exceeded');
  assert.throws(() => suitesOf([]), RangeError);
});
