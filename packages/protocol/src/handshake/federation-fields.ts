import { type Domain, type Result, toBase64 } from '../base/index.ts';
import { type JsonField, type JsonObject, readJson } from '../wire/index.ts';

/*
 * What a link's hello says besides the common fields (spec/handshake section 4.3): who
 * is calling whom, and the two trust certificates that bind them. Both hellos carry
 * them, so both sides have signed which trust they act on.
 */

const HASH_BYTES = 32;
const CERTIFICATE_ID_BYTES = 16;

/** Names one trust certificate and its exact content. */
export interface TrustReference {
  /** 16 bytes. */
  readonly certificateId: Uint8Array;
  /** `documentHash` of the certificate, 32 bytes. */
  readonly hash: Uint8Array;
}

export interface FederationFields {
  /** The sender's organisation. */
  readonly origin: Domain;
  /** The organisation that it means to talk to. */
  readonly destination: Domain;
  /** Absent before there is trust: then the control stream carries NORC-T messages only. */
  readonly trust?: {
    /** Issued by the sender of this hello. */
    readonly issued: TrustReference;
    /** Issued to it. */
    readonly held: TrustReference;
  };
}

/**
 * For `extra` of the dialing server's config. `certificate` is the signed document that
 * certifies its server key, by which the responder will check `federation_auth`.
 */
export function federationHelloExtra(fields: FederationFields, certificate: JsonObject): JsonObject {
  return { ...federationAnswerExtra(fields), server_certificate: certificate };
}

/** For `extra` of the answering server's config; its certificate is in every answer. */
export function federationAnswerExtra(fields: FederationFields): JsonObject {
  const { origin, destination, trust } = fields;
  if (trust === undefined) return { origin, destination };
  return { origin, destination, trust: { issued: referenceJson(trust.issued), held: referenceJson(trust.held) } };
}

/** From a hello or its answer: still claims. Errors: missing_field, wrong_type, limit_exceeded. */
export function readFederationFields(
  hello: JsonObject,
): Result<FederationFields & { readonly certificate: JsonObject }> {
  return readJson(hello, 'federation hello', (field) => {
    const fields = field.object();
    const certificate = fields.field('server_certificate');
    certificate.object();
    const parties = {
      origin: fields.field('origin').domain(),
      destination: fields.field('destination').domain(),
      certificate: certificate.value as JsonObject, // object() above
    };
    const trust = fields.optional('trust')?.object();
    if (trust === undefined) return parties;
    const [issued, held] = [readReference(trust.field('issued')), readReference(trust.field('held'))];
    return { ...parties, trust: { issued, held } };
  });
}

function referenceJson({ certificateId, hash }: TrustReference): JsonObject {
  return { certificate_id: toBase64(certificateId), hash: toBase64(hash) };
}

function readReference(field: JsonField): TrustReference {
  const fields = field.object();
  return {
    certificateId: fields.field('certificate_id').base64(CERTIFICATE_ID_BYTES),
    hash: fields.field('hash').base64(HASH_BYTES),
  };
}
