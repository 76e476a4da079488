import { readFile } from 'node:fs/promises';
import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, fromBase64Url, type Instant, instant, toBase64Url } from '@norc/protocol/base';
import { ML_DSA_65_PUBLIC_KEY_BYTES, parseDocument } from '@norc/protocol/crypto';
import {
  RECOVERY_SET,
  type RecoveryPin,
  ROOT_ROTATION,
  type RootLineage,
  startLineage,
  verifyRecoverySet,
  verifyRootRotation,
} from '@norc/protocol/norc-t';
import { IdentityError } from './paths.ts';

/** One replacement of the own root key: one line of `rotations.jsonl`. */
export interface OwnRotation {
  /** Canonical JSON of the `root_rotation`. */
  readonly rotation: Uint8Array;
  /** The set whose officers signed it, when they did. */
  readonly recovery?: Uint8Array;
  /** The ML-DSA-65 root key that was replaced with it, where there was one. */
  readonly oldRootPqKey?: Uint8Array;
}

export function rotationLine({ rotation, recovery, oldRootPqKey }: OwnRotation): string {
  const set = recovery === undefined ? {} : { recovery_set: toBase64Url(recovery) };
  const pq = oldRootPqKey === undefined ? {} : { old_root_pq_key: toBase64Url(oldRootPqKey) };
  return `${JSON.stringify({ rotation: toBase64Url(rotation), ...set, ...pq })}\n`;
}

/**
 * Empty when the root key was never replaced. Without the last one when `rootKey` is still the key
 * that it replaces: then the replacement was cut off. Throws IdentityError for a file that is damaged.
 */
export async function readRotations(file: string, rootKey: Uint8Array): Promise<readonly OwnRotation[]> {
  const rotations = await readAll(file);
  const last = rotations.at(-1);
  const parsed = last === undefined ? undefined : parseDocument(ROOT_ROTATION, last.rotation);
  const cutOff = parsed?.ok === true && nodeCrypto.equal(parsed.value.body.old_root_key, rootKey);
  return cutOff ? rotations.slice(0, -1) : rotations;
}

async function readAll(file: string): Promise<readonly OwnRotation[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return '';
    throw new IdentityError(`${file} cannot be read`, { cause });
  });
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseLine(file, line));
}

function parseLine(file: string, line: string): OwnRotation {
  try {
    const fields = JSON.parse(line) as { rotation?: unknown; recovery_set?: unknown; old_root_pq_key?: unknown }; // checked below
    const [rotation, recovery, pq] = [fields.rotation, fields.recovery_set, fields.old_root_pq_key].map(bytesOf);
    const sound = pq === undefined ? fields.old_root_pq_key === undefined : pq.length === ML_DSA_65_PUBLIC_KEY_BYTES;
    if (rotation !== undefined && sound) {
      const set = recovery === undefined ? {} : { recovery };
      return { rotation, ...set, ...(pq === undefined ? {} : { oldRootPqKey: pq }) };
    }
  } catch {
    // As a line without a rotation.
  }
  throw new IdentityError(`${file} is damaged; restore it from your backup`);
}

/** The own lineage, from the first root key to the one in use. Throws IdentityError when the rotations do not lead there. */
export function ownLineage(domain: Domain, rootKey: Uint8Array, rotations: readonly OwnRotation[]): RootLineage {
  const [first] = rotations;
  if (first === undefined) return startLineage(domain, rootKey);
  const parsed = parseDocument(ROOT_ROTATION, first.rotation);
  if (!parsed.ok) throw new IdentityError('rotations.jsonl is damaged; restore it from your backup');
  let lineage = startLineage(domain, parsed.value.body.old_root_key, first.oldRootPqKey);
  for (const { rotation, recovery } of rotations) {
    const extended = verifyRootRotation(nodeCrypto, lineage, rotation, {
      pins: recovery === undefined ? [] : setOf(domain, recovery),
      now: issuedAt(rotation),
    });
    if (!extended.ok) throw new IdentityError(`rotations.jsonl: ${extended.error.detail}`);
    lineage = extended.value;
  }
  if (!nodeCrypto.equal(lineage.steps.at(-1)?.rootKey ?? rootKey, rootKey))
    throw new IdentityError('rotations.jsonl does not lead to the root key in root.pub.json');
  return lineage;
}

function bytesOf(text: unknown): Uint8Array | undefined {
  return typeof text === 'string' ? fromBase64Url(text) : undefined;
}

/** An own set, whichever of the own root keys signed it. The organisation itself waits for none to settle. */
function setOf(domain: Domain, bytes: Uint8Array): readonly RecoveryPin[] {
  const parsed = parseDocument(RECOVERY_SET, bytes);
  if (!parsed.ok) return [];
  const set = verifyRecoverySet(nodeCrypto, bytes, { org: domain, rootKey: parsed.value.body.root_key });
  return set.ok ? [{ set: set.value, since: instant(0) }] : [];
}

function issuedAt(rotation: Uint8Array): Instant {
  const parsed = parseDocument(ROOT_ROTATION, rotation);
  return instant(parsed.ok ? parsed.value.body.issued_at : 0);
}
