import type { ConversationId, DeviceId, Domain, MessageId, UserAddress } from '../base/index.ts';

/**
 * A message body is described once; both encodings (deterministic CBOR for 2.0,
 * canonical JSON for 1.2) are driven by that description (spec/wire section 3).
 * The implementation is in body-codec.ts.
 */
export type Schema<T> = SchemaNode & { readonly __type?: T };
export type Infer<S> = S extends { readonly __type?: infer T } ? Exclude<T, undefined> : never;

export type SchemaNode =
  | { readonly kind: 'bytes'; readonly lengthMin: number; readonly lengthMax: number }
  /** 16 bytes on the wire, lower-case hexadecimal in memory. */
  | { readonly kind: 'id' }
  | { readonly kind: 'text'; readonly bytesMax: number }
  | { readonly kind: 'domain' }
  | { readonly kind: 'user' }
  | { readonly kind: 'uint'; readonly max: number }
  | { readonly kind: 'bool' }
  | { readonly kind: 'choice'; readonly values: readonly string[] }
  | { readonly kind: 'list'; readonly item: SchemaNode; readonly lengthMax: number }
  | { readonly kind: 'struct'; readonly fields: Readonly<Record<string, FieldNode>> };

export interface FieldNode {
  readonly schema: SchemaNode;
  readonly optional: boolean;
}

interface Optional<T> {
  readonly optional: true;
  readonly schema: SchemaNode;
  readonly __type?: T;
}

type FieldSpec = Schema<unknown> | Optional<unknown>;
type OptionalKeys<F> = { [K in keyof F]: F[K] extends Optional<unknown> ? K : never }[keyof F];
type FieldType<S> = S extends { readonly __type?: infer T } ? Exclude<T, undefined> : never;
type StructType<F> = { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: FieldType<F[K]> } & {
  readonly [K in OptionalKeys<F>]?: FieldType<F[K]>;
};

export const fixedBytes = (length: number): Schema<Uint8Array> => ({
  kind: 'bytes',
  lengthMin: length,
  lengthMax: length,
});
export const bytes = (lengthMax: number): Schema<Uint8Array> => ({ kind: 'bytes', lengthMin: 0, lengthMax });
export const conversationId = (): Schema<ConversationId> => ({ kind: 'id' });
export const messageId = (): Schema<MessageId> => ({ kind: 'id' });
export const deviceId = (): Schema<DeviceId> => ({ kind: 'id' });
export const domain = (): Schema<Domain> => ({ kind: 'domain' });
export const userAddress = (): Schema<UserAddress> => ({ kind: 'user' });
/** UTF-8 length in bytes. */
export const text = (bytesMax: number): Schema<string> => ({ kind: 'text', bytesMax });
/** An integer from 0 to `max`, at most 2^53 - 1. */
export const uint = (max: number = Number.MAX_SAFE_INTEGER): Schema<number> => ({ kind: 'uint', max });
export const bool = (): Schema<boolean> => ({ kind: 'bool' });
export const choice = <const V extends readonly string[]>(values: V): Schema<V[number]> => ({ kind: 'choice', values });
export const list = <T>(item: Schema<T>, lengthMax: number): Schema<readonly T[]> => ({
  kind: 'list',
  item,
  lengthMax,
});
export const optional = <T>(schema: Schema<T>): Optional<T> => ({ optional: true, schema });

/** A map with text keys. Unknown keys of a received map are ignored; absent required ones are refused. */
export function struct<F extends Readonly<Record<string, FieldSpec>>>(fields: F): Schema<StructType<F>> {
  const nodes: Record<string, FieldNode> = {};
  for (const [name, spec] of Object.entries(fields)) {
    nodes[name] = 'optional' in spec ? { schema: spec.schema, optional: true } : { schema: spec, optional: false };
  }
  return { kind: 'struct', fields: nodes };
}
