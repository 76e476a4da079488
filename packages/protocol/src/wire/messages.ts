import { MESSAGE_TYPES, type MessageTypeName, ok, type Result, reject } from '../base/index.ts';
import { type BodyEncoding, decodeBody, encodeBody, withEncodedBody } from './body-codec.ts';
import type { Infer, Schema } from './schema.ts';

/** One message type of the registry, and what its body holds. */
export interface MessageDefinition<N extends MessageTypeName = MessageTypeName, T = unknown> {
  readonly type: N;
  readonly code: number;
  readonly schema: Schema<T>;
}

/** `{ type: 'message_send', body: … } | …`: the messages of a table, told apart by `type`. */
export type MessageOf<D> =
  D extends MessageDefinition<infer N, infer T> ? { readonly type: N; readonly body: T } : never;

declare const decoded: unique symbol;
/** A message that only `decodeMessage` can make: it came from a peer, within its bounds. */
export type ReceivedMessage<M> = M & { readonly [decoded]: true };

export interface MessageRegistry<D extends MessageDefinition = MessageDefinition> {
  readonly byType: ReadonlyMap<MessageTypeName, D>;
  readonly byCode: ReadonlyMap<number, D>;
}

export function defineMessage<const N extends MessageTypeName, S extends Schema<unknown>>(
  type: N,
  schema: S,
): MessageDefinition<N, Infer<S>> {
  return { type, code: MESSAGE_TYPES[type], schema: schema as Schema<Infer<S>> }; // S is the schema of what it infers
}

/** One definition for each entry of a table of schemas. */
export type DefinitionsOf<S> = {
  [N in keyof S & MessageTypeName]: MessageDefinition<N, Infer<S[N]>>;
}[keyof S & MessageTypeName];

/** Defines every message of a table of schemas by their type names. */
export function defineMessages<const S extends Partial<Readonly<Record<MessageTypeName, Schema<unknown>>>>>(
  schemas: S,
): readonly DefinitionsOf<S>[] {
  const entries = Object.entries(schemas) as [MessageTypeName, Schema<unknown>][]; // the keys of S are type names
  return entries.map(([type, schema]) => defineMessage(type, schema)) as DefinitionsOf<S>[]; // entry by entry of S
}

/** A layer's message table. Throws RangeError when a type is defined twice. */
export function messageRegistry<const D extends readonly MessageDefinition[]>(
  definitions: D,
): MessageRegistry<D[number]> {
  const byType = new Map<MessageTypeName, D[number]>();
  const byCode = new Map<number, D[number]>();
  for (const definition of definitions) {
    if (byType.has(definition.type)) throw new RangeError(`message type ${definition.type} is defined twice`);
    byType.set(definition.type, definition);
    byCode.set(definition.code, definition);
  }
  return { byType, byCode };
}

/** The body of a message that we send; its frame's type is `MESSAGE_TYPES[message.type]`. Throws RangeError as `encodeBody`. */
export function encodeMessage<D extends MessageDefinition>(
  registry: MessageRegistry<D>,
  message: MessageOf<D>,
  encoding: BodyEncoding,
): Uint8Array {
  const { definition, body } = defined(registry, message);
  return encodeBody(definition.schema, body, encoding);
}

/** The encoded body for as long as `use` runs (`withEncodedBody`): for a message that is sealed at once. */
export function withEncodedMessage<D extends MessageDefinition, R>(
  registry: MessageRegistry<D>,
  message: MessageOf<D>,
  encoding: BodyEncoding,
  use: (encoded: Uint8Array) => R,
): R {
  const { definition, body } = defined(registry, message);
  return withEncodedBody(definition.schema, body, encoding, use);
}

function defined<D extends MessageDefinition>(registry: MessageRegistry<D>, message: MessageOf<D>) {
  const { type, body } = message as { type: MessageTypeName; body: unknown }; // what every member of the union is
  const definition = registry.byType.get(type);
  if (definition === undefined) throw new RangeError(`message type ${type} is not in this table`);
  return { definition, body };
}

/** Errors: `unsupported_type` for a type that is not in the table, else as `decodeBody`. */
export function decodeMessage<D extends MessageDefinition>(
  registry: MessageRegistry<D>,
  code: number,
  bytes: Uint8Array,
  encoding: BodyEncoding,
): Result<ReceivedMessage<MessageOf<D>>> {
  const definition = registry.byCode.get(code);
  if (definition === undefined) return reject('unsupported_type', 'message type');
  const body = decodeBody(definition.schema, bytes, encoding);
  if (!body.ok) return reject(body.error.code, `${definition.type}: ${body.error.detail}`);
  return ok({ type: definition.type, body: body.value } as ReceivedMessage<MessageOf<D>>); // decoded by D's own schema
}
