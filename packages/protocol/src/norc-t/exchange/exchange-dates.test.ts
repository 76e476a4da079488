import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsedDocument, resigned, runTrustExchange, testOrganisation, testSide } from '@norc/testkit';
import { fromBase64Url, toBase64Url } from '../../base/index.ts';
import type { JsonValue } from '../../wire/index.ts';

const DAY = 86_400_000;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const bytesOf = (value: JsonValue | undefined) => fromBase64Url(String(value)) ?? new Uint8Array();

/** A responder that moves the dates of both certificates of its decision. */
function decidedEarlier(byMilliseconds: number) {
  const moved = (certificate: JsonValue | undefined): string => {
    const { not_before, not_after } = parsedDocument(bytesOf(certificate));
    const dates = { not_before: Number(not_before) - byMilliseconds, not_after: Number(not_after) - byMilliseconds };
    return toBase64Url(resigned(bytesOf(certificate), bravo, dates));
  };
  const intercept = (message: string, document: Uint8Array) => {
    if (message !== 'trust_decision') return [document];
    const { issued, counterpart } = parsedDocument(document);
    return [resigned(document, bravo, { issued: moved(issued), counterpart: moved(counterpart) })];
  };
  return runTrustExchange(testSide(alpha), testSide(bravo), { intercept }).initiator;
}

test('[TRUST-45] a responder cannot date certificates before the request: waits that begin with them would be over', () => {
  for (const early of [700_000, DAY, 40 * DAY]) {
    const initiator = decidedEarlier(early);
    assert.equal(initiator.first('refuse')?.code, 'clock_skew', `${early} ms`);
    assert.equal(initiator.last('keep_certificates'), undefined);
  }
  assert.ok(decidedEarlier(300_000).last('keep_certificates') !== undefined, 'two clocks may differ');
});
