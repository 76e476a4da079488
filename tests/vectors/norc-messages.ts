import assert from 'node:assert/strict';
import { MESSAGE_TYPES, type MessageTypeName, type Result, toHex, utf8 } from '@norc/protocol/base';
import { decodeMessage, encodeBody, type MessageDefinition, type MessageRegistry } from '@norc/protocol/wire';
import type { VectorCase } from './harness.ts';

/** Runners for `messages.json` of NORC-C and NORC-F, and what each type's vectors must cover. */
export function messageRunners(registry: MessageRegistry<MessageDefinition>) {
  return {
    valid(vector: VectorCase): void {
      const definition = definitionOf(registry, vector);
      assert.equal(vector.number('code'), definition.code);
      const cbor = decodeMessage(registry, definition.code, vector.hex('cbor'), 'cbor');
      const json = decodeMessage(registry, definition.code, utf8(vector.text('json')), 'json');
      assert.ok(cbor.ok && json.ok);
      assert.deepEqual(cbor.value, json.value);
      assert.equal(toHex(encodeBody(definition.schema, json.value.body, 'cbor')), vector.text('cbor'));
      assert.equal(Buffer.from(encodeBody(definition.schema, cbor.value.body, 'json')).toString(), vector.text('json'));
    },
    invalid(vector: VectorCase): Result<unknown> {
      const { code } = definitionOf(registry, vector);
      return vector.text('encoding') === 'cbor'
        ? decodeMessage(registry, code, vector.hex('body'), 'cbor')
        : decodeMessage(registry, code, utf8(vector.text('body')), 'json');
    },
  };
}

function definitionOf(registry: MessageRegistry<MessageDefinition>, vector: VectorCase): MessageDefinition {
  const type = vector.text('type');
  assert.ok(isMessageType(type));
  const definition = registry.byType.get(type);
  assert.ok(definition !== undefined, `${type} has no schema`);
  return definition;
}

function isMessageType(type: string): type is MessageTypeName {
  return Object.hasOwn(MESSAGE_TYPES, type);
}
