import assert from 'node:assert/strict';
import { type MessageId, parseMessageId, type Random, type Result } from '@norc/protocol/base';
import type { ChannelKeys } from '@norc/protocol/crypto';
import { type HybridSuite, parseSuiteList } from '@norc/protocol/handshake';
import { isJsonObject, type JsonObject, parseJson } from '@norc/protocol/wire';
import { VectorCase } from '../harness.ts';

/** What the runners of the handshake's vectors share. */

export function must<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.error.code}: ${result.error.detail}`);
  return result.value;
}

export const texts = (vector: VectorCase, field: string): readonly string[] =>
  vector.list(field).map((item) => {
    assert.ok(typeof item === 'string');
    return item;
  });

/** Draws what a vector says, told apart by length: what is drawn twice is the same both times. */
export function scripted(...draws: readonly Uint8Array[]): Random {
  return {
    bytes(length) {
      const drawn = draws.find((draw) => draw.length === length);
      assert.ok(drawn !== undefined, `nothing of ${length} bytes is drawn here`);
      return Uint8Array.from(drawn);
    },
  };
}

export const uint24 = (value: number) => Uint8Array.of(value >> 16, (value >> 8) & 255, value & 255);

export function suiteNamed(text: string): HybridSuite {
  const [suite] = must(parseSuiteList([text]));
  assert.ok(suite !== undefined);
  return suite;
}

export function assertKeys(keys: ChannelKeys, expected: VectorCase): void {
  assert.deepEqual(keys, keysOf(expected));
}

export function keysOf(vector: VectorCase): ChannelKeys {
  return {
    c2s: { key: vector.hex('c2s_key'), iv: vector.hex('c2s_iv') },
    s2c: { key: vector.hex('s2c_key'), iv: vector.hex('s2c_iv') },
  };
}

export function messageId(vector: VectorCase): MessageId {
  return must(parseMessageId(vector.text('message_id')));
}

export function jsonOf(text: string): JsonObject {
  return objectOf(must(parseJson(text, { bytesMax: 65536 })));
}

export function objectOf(value: JsonObject[string] | undefined): JsonObject {
  assert.ok(value !== undefined && isJsonObject(value));
  return value;
}

export function listOf(json: JsonObject, field: string): readonly string[] {
  return texts(new VectorCase(json, 'hello'), field);
}
