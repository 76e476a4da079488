import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type EvidenceMaterial, MATERIAL } from '@norc/protocol/norc-t';
import { errorCode } from '../../transport/errors.ts';
import { type OwnContext, readOwnStatement } from './own-statement.ts';

/**
 * Evidence that we hold about ourselves, in `<data>/<domain>/evidence/` (spec/evidence section 5), read anew at each
 * exchange. What is damaged or out of date is left out and named; it keeps nobody from trusting us by the rest.
 */

/** What one message of the exchange has room for. */
export const MATERIAL_ITEMS_MAX = 16;
export const MATERIAL_ITEM_BYTES_MAX = 32_768;
/** Of all items together: with its base64url form and the rest of the message, below `documentBytesMax`. */
export const MATERIAL_BYTES_MAX = 36_864;

/** Where each kind is kept, in the order in which room is given. */
export const EVIDENCE_FILES = {
  [MATERIAL.x509Chain]: 'x509-chain.json',
  [MATERIAL.attestation]: 'attestation.json',
  [MATERIAL.compliance]: 'compliance',
  [MATERIAL.recommendation]: 'recommendations',
  [MATERIAL.document]: 'documents',
} as const;

export interface OwnEvidence {
  /** As in `EVIDENCE_FILES`, with the file's name where it is a folder. */
  readonly file: string;
  readonly kind: EvidenceMaterial['kind'];
  readonly title: string;
  readonly expiresAt?: number;
  /** Why it is not sent. */
  readonly fault?: string;
  /** What is sent; absent with a fault. */
  readonly material?: EvidenceMaterial;
}

/** Reads the folder. A missing one is empty; a file that cannot be used is listed with its fault. */
export function loadOwnMaterial(folder: string, context: OwnContext): readonly OwnEvidence[] {
  const found = Object.entries(EVIDENCE_FILES).flatMap(([kind, place]) => {
    try {
      return filesAt(folder, place).map((file) => readable(file, kind, () => readOne(folder, file, kind, context)));
    } catch (error) {
      return [faulty(place, kind, unreadable(error))];
    }
  });
  return withinRoom(found, context);
}

function readable(file: string, kind: string, read: () => OwnEvidence): OwnEvidence {
  try {
    return read();
  } catch (error) {
    return faulty(file, kind, unreadable(error));
  }
}

/** A fault of the file system; everything else is a bug, and is not swallowed. */
function unreadable(error: unknown): string {
  const code = errorCode(error);
  if (code === undefined) throw error;
  return `it cannot be read (${code})`;
}

/** What goes into a message. */
export function materialOf(evidence: readonly OwnEvidence[]): readonly EvidenceMaterial[] {
  return evidence.flatMap(({ material }) => (material === undefined ? [] : [material]));
}

function filesAt(folder: string, place: string): readonly string[] {
  if (place.endsWith('.json')) return isFile(join(folder, place)) ? [place] : [];
  try {
    const names = readdirSync(join(folder, place), { withFileTypes: true });
    return names
      .filter((one) => one.isFile() && !one.name.startsWith('.'))
      .map(({ name }) => `${place}/${name}`)
      .sort();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

function readOne(folder: string, file: string, kind: string, context: OwnContext): OwnEvidence {
  const path = join(folder, file);
  if (kind === MATERIAL.document) return readDocument(path, file, context);
  if (statSync(path).size > MATERIAL_ITEM_BYTES_MAX) return faulty(file, kind, 'the file is too large');
  const data = Uint8Array.from(readFileSync(path));
  const read = readOwnStatement(data, context);
  if (!read.ok) return faulty(file, kind, read.error.detail);
  if (read.value.kind !== kind) return faulty(file, kind, `this is material of kind ${read.value.kind}`);
  const { title, expiresAt } = read.value;
  return { file, kind, title, expiresAt, material: { kind, data } };
}

const DOCUMENT_BYTES_MAX = 64 * 1024 * 1024;

/** A document travels whole where it fits, else by its hash. */
function readDocument(path: string, file: string, { crypto }: OwnContext): OwnEvidence {
  const { size } = statSync(path);
  if (size > DOCUMENT_BYTES_MAX) return faulty(file, MATERIAL.document, 'the file is too large');
  const data = Uint8Array.from(readFileSync(path));
  if (size <= MATERIAL_ITEM_BYTES_MAX) {
    return { file, kind: MATERIAL.document, title: 'document', material: { kind: MATERIAL.document, data } };
  }
  return byHash(file, crypto.blake3(data));
}

function byHash(file: string, hash: Uint8Array): OwnEvidence {
  const kind = MATERIAL.documentHash;
  return { file, kind, title: 'document, by its hash', material: { kind, data: hash } };
}

const faulty = (file: string, kind: string, fault: string): OwnEvidence => ({ file, kind, title: 'unusable', fault });

/** One message has so much room: documents make way first, as their hashes; what comes last is left out. */
function withinRoom(found: readonly OwnEvidence[], { crypto }: OwnContext): readonly OwnEvidence[] {
  let items = 0;
  let bytes = 0;
  return found.map((one) => {
    if (one.material === undefined) return one;
    const left = MATERIAL_BYTES_MAX - bytes;
    const isDocument = one.kind === MATERIAL.document;
    const fitting =
      isDocument && one.material.data.length > left ? byHash(one.file, crypto.blake3(one.material.data)) : one;
    const length = fitting.material?.data.length ?? 0;
    if (items >= MATERIAL_ITEMS_MAX || length > left) {
      const { material: _, ...rest } = one;
      return { ...rest, fault: 'there is no room for it beside the others' };
    }
    items += 1;
    bytes += length;
    return fitting;
  });
}
