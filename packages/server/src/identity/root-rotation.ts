import { readFile, rm } from 'node:fs/promises';
import {
  createMlDsa65File,
  createSignerFile,
  nodeCrypto,
  openMlDsa65File,
  openSignerFile,
  type SeedSigner,
} from '@norc/crypto/node';
import { type Domain, type Instant, instant, LIMITS, sameBytes } from '@norc/protocol/base';
import {
  keyId,
  parseDocument,
  SERVER_CERTIFICATE,
  type SignedDocument,
  type Signer,
  signDocumentByAll,
  verifyDocument,
} from '@norc/protocol/crypto';
import {
  draftRecoverySet,
  draftRootRotation,
  RECOVERY_SET,
  type RecoverySet,
  type RecoverySetBody,
  ROOT_ROTATION,
  type RotationBody,
  type RotationReason,
  verifyRecoverySet,
  verifyRootRotation,
} from '@norc/protocol/norc-t';
import { canonicalJson, type JsonObject } from '@norc/protocol/wire';
import { replaceFile } from './files.ts';
import {
  closeOrganisation,
  type OrganisationIdentity,
  openOrganisation,
  openRootKey,
  type World,
} from './organisation.ts';
import { IdentityError, organisationPaths } from './paths.ts';
import { present, tidy } from './root-key-files.ts';
import { rootPublicText } from './root-public.ts';
import { rotationLine } from './rotation-record.ts';

export { oldRootKeyFiles } from './root-key-files.ts';

/**
 * Replacing the root keys of the own organisation (spec/root-rotation section 4): with the old keys, or with
 * enough recovery officers where those are lost. Each step can be cut off and done again:
 * until `root.pub.json` names the new keys, the old ones are in use.
 */

/** Names the officers who may replace the root key together. Needs the root key. Throws IdentityError or RangeError. */
export async function nameRecoveryOfficers(
  folder: string,
  domain: Domain,
  { clock }: World,
  named: { readonly threshold: number; readonly officers: readonly Uint8Array[] },
): Promise<SignedDocument<RecoverySetBody>> {
  const paths = organisationPaths(folder);
  const identity = await openOrganisation(folder, domain, clock.now());
  closeOrganisation(identity);
  const before = await readFile(paths.recoverySet).then(
    (bytes) => parseDocument(RECOVERY_SET, Uint8Array.from(bytes)),
    () => undefined,
  );
  const draft = draftRecoverySet(nodeCrypto, {
    org: domain,
    root_key: identity.rootKey,
    sequence: (before?.ok === true ? before.value.body.sequence : 0) + 1,
    threshold: named.threshold,
    officers: [...named.officers],
    issued_at: clock.now(),
  });
  const root = await openRootKey(folder, identity.rootKey);
  const signed = await signDocumentByAll(nodeCrypto, draft, [root]);
  root.close();
  await replaceFile(paths.recoverySet, signed.bytes);
  return signed;
}

/** Replaces the root keys with the help of the old ones, at once. Throws IdentityError. */
export async function rotateRootKey(
  folder: string,
  domain: Domain,
  world: World,
  { reason, effectiveAt }: { readonly reason: Exclude<RotationReason, 'lost'>; readonly effectiveAt?: Instant },
): Promise<SignedDocument<RotationBody>> {
  const paths = organisationPaths(folder);
  const identity = await openForRotation(folder, domain, world);
  const root = await openRootKey(folder, identity.rootKey);
  const rootPq = identity.pq === undefined ? undefined : await openMlDsa65File(paths.rootPqKey);
  const next = await nextKeys(folder, identity, world);
  const now = world.clock.now();
  const draft = draftRootRotation(nodeCrypto, identity.lineage, {
    new_root_key: next.root.publicKey,
    ...(next.rootPq === undefined ? {} : { new_root_pq_key: next.rootPq.publicKey }),
    reason,
    issued_at: now,
    effective_at: effectiveAt ?? now,
  });
  const signers = [next.root, next.rootPq, root, rootPq].filter((one) => one !== undefined);
  const signed = await signDocumentByAll(nodeCrypto, draft, signers);
  await install(folder, identity, signed, next);
  for (const signer of signers) signer.close();
  return signed;
}

/**
 * Makes the new keys and the rotation that recovery officers are to sign, and leaves it in
 * `root-rotation.json`. Asked for the same again, it gives the same document. Throws IdentityError for something
 * else while one is pending: officers may have signed it already.
 */
export async function prepareRecovery(
  folder: string,
  domain: Domain,
  world: World,
  { reason, effectiveAt }: { readonly reason: Exclude<RotationReason, 'scheduled'>; readonly effectiveAt?: Instant },
): Promise<Uint8Array> {
  const paths = organisationPaths(folder);
  const identity = await openForRotation(folder, domain, world);
  const pending = await readFile(paths.pendingRotation).then(
    (bytes) => Uint8Array.from(bytes),
    () => undefined,
  );
  const recovery = recoveryOf(identity);
  const next = await nextKeys(folder, identity, world);
  if (pending !== undefined) {
    closeKeys(next);
    const fault = pendingFault(pending, identity, next, { reason, recovery, effectiveAt });
    if (fault === undefined) return pending;
    throw new IdentityError(`${paths.pendingRotation} is ${fault}; remove it when no officer is to sign it any more`);
  }
  const now = world.clock.now();
  const draft = draftRootRotation(nodeCrypto, identity.lineage, {
    new_root_key: next.root.publicKey,
    ...(next.rootPq === undefined ? {} : { new_root_pq_key: next.rootPq.publicKey }),
    reason,
    recovery_set: recovery.hash,
    issued_at: now,
    effective_at: effectiveAt ?? now,
  });
  const signers = [next.root, next.rootPq].filter((one) => one !== undefined);
  const signed = await signDocumentByAll(nodeCrypto, draft, signers);
  closeKeys(next);
  await replaceFile(paths.pendingRotation, signed.bytes);
  return signed.bytes;
}

/** Why a rotation that waits for officers is not the one that is asked for. */
function pendingFault(
  pending: Uint8Array,
  { lineage, rootKey }: OrganisationIdentity,
  { root, rootPq }: NextKeys,
  asked: {
    readonly reason: RotationReason;
    readonly recovery: RecoverySet;
    readonly effectiveAt: Instant | undefined;
  },
): string | undefined {
  const parsed = parseDocument(ROOT_ROTATION, pending);
  if (!parsed.ok) return 'damaged';
  const { body } = parsed.value;
  const { effectiveAt = body.effective_at } = asked;
  if (body.reason !== asked.reason) return `of another reason (${body.reason})`;
  if (body.effective_at !== effectiveAt) return 'of another date';
  const last = lineage.steps.at(-1);
  if (body.org !== lineage.org || !sameBytes(body.old_root_key, rootKey)) return 'of another root key';
  if (body.sequence !== (last?.sequence ?? 0) + 1 || (last !== undefined && !sameBytes(body.previous, last.hash)))
    return 'of an earlier root key';
  if (body.recovery_set === undefined || !sameBytes(body.recovery_set, asked.recovery.hash))
    return 'of other recovery officers';
  const samePq =
    rootPq === undefined
      ? body.new_root_pq_key === undefined
      : body.new_root_pq_key !== undefined && sameBytes(body.new_root_pq_key, rootPq.publicKey);
  return sameBytes(body.new_root_key, root.publicKey) && samePq ? undefined : 'of other new keys';
}

/** What a recovery officer does with the document, anywhere, with their own key. Throws IdentityError for another document. */
export async function signRotation(rotation: Uint8Array, officer: Signer): Promise<SignedDocument<RotationBody>> {
  const parsed = parseDocument(ROOT_ROTATION, rotation);
  if (!parsed.ok) throw new IdentityError('this is not a root rotation');
  return await signDocumentByAll(nodeCrypto, parsed.value, [officer]);
}

/**
 * What a recovery officer looks at before signing: a rotation of the organisation and the root key that their own copy
 * of the recovery set names, under exactly that set, which names the officer. Throws IdentityError for any other.
 */
export function examineRotation(
  rotation: Uint8Array,
  recoverySet: Uint8Array,
  officer: Uint8Array,
): SignedDocument<RotationBody> {
  const parsed = parseDocument(ROOT_ROTATION, rotation);
  if (!parsed.ok) throw new IdentityError('this is not a root rotation');
  const named = parseDocument(RECOVERY_SET, recoverySet);
  const pinned = named.ok ? { org: named.value.body.org, rootKey: named.value.body.root_key } : undefined;
  const set = pinned === undefined ? undefined : verifyRecoverySet(nodeCrypto, recoverySet, pinned);
  if (set?.ok !== true) throw new IdentityError('this is not a recovery set');
  const { org, rootKey, hash, officers } = set.value;
  const { body } = parsed.value;
  if (body.org !== org) throw new IdentityError(`the rotation is of ${body.org}, and you recover ${org}`);
  if (!sameBytes(body.old_root_key, rootKey))
    throw new IdentityError('the rotation replaces another root key than the one that named you');
  if (body.recovery_set === undefined || !sameBytes(body.recovery_set, hash))
    throw new IdentityError('the rotation names another recovery set than yours');
  if (!officers.some((key) => sameBytes(key, officer)))
    throw new IdentityError('your key is not one of this recovery set');
  const newKey = verifyDocument(nodeCrypto, parsed.value, body.new_root_key);
  if (!newKey.ok) throw new IdentityError('nobody has shown to hold the new key: it has not signed the rotation');
  return parsed.value;
}

/** Puts the officers' copies together and installs the new keys. Throws IdentityError when they are not enough. */
export async function finishRecovery(
  folder: string,
  domain: Domain,
  world: World,
  copies: readonly Uint8Array[],
): Promise<SignedDocument<RotationBody>> {
  const paths = organisationPaths(folder);
  const identity = await openForRotation(folder, domain, world);
  const pending = await readFile(paths.pendingRotation).catch((cause: unknown) => {
    throw new IdentityError(`${paths.pendingRotation} is missing; prepare the rotation first`, { cause });
  });
  const merged = mergeSignatures(Uint8Array.from(pending), copies, recoveryOf(identity));
  const pins = [{ set: recoveryOf(identity), since: instant(0) }];
  const checked = verifyRootRotation(nodeCrypto, identity.lineage, merged.bytes, { pins, now: world.clock.now() });
  if (!checked.ok) throw new IdentityError(`the new root key was not installed: ${checked.error.detail}`);
  const next = await namedKeys(folder, merged.body);
  await install(folder, identity, merged, next, identity.recovery);
  closeKeys(next);
  await rm(paths.pendingRotation);
  return merged;
}

/** The keys that a rotation names, and no others: a key that nobody has would lock the organisation out. */
async function namedKeys(folder: string, body: RotationBody): Promise<NextKeys> {
  const { nextRootKey, nextRootPqKey } = organisationPaths(folder);
  const { new_root_key: rootKey, new_root_pq_key: rootPqKey } = body;
  const root = await openSignerFile(nextRootKey);
  const rootPq = rootPqKey === undefined ? undefined : await openMlDsa65File(nextRootPqKey);
  const same =
    sameBytes(root.publicKey, rootKey) && (rootPqKey === undefined || sameBytes(rootPq?.publicKey ?? NONE, rootPqKey));
  if (same) return { root, rootPq };
  closeKeys({ root, rootPq });
  throw new IdentityError(`${nextRootKey} or ${nextRootPqKey} is not the key that the rotation names`);
}

const NONE = new Uint8Array(0);

function closeKeys({ root, rootPq }: NextKeys): void {
  root.close();
  rootPq?.close();
}

/** Only signatures of officers of the set are taken over, and as many as a document holds: partners may have an older set. */
function mergeSignatures(
  pending: Uint8Array,
  copies: readonly Uint8Array[],
  recovery: RecoverySet,
): SignedDocument<RotationBody> {
  const own = parseDocument(ROOT_ROTATION, pending);
  if (!own.ok) throw new IdentityError('the pending rotation is damaged');
  const kept = [...(own.value.json['signatures'] as readonly JsonObject[])]; // a document has its list of signatures
  const officers = new Set(recovery.officers.map((key) => keyId(nodeCrypto, key)));
  for (const copy of copies) {
    const parsed = parseDocument(ROOT_ROTATION, copy);
    if (!parsed.ok || !nodeCrypto.equal(parsed.value.signingInput, own.value.signingInput))
      throw new IdentityError('a signed copy is of another rotation');
    for (const signature of parsed.value.json['signatures'] as readonly JsonObject[]) {
      // as above
      const id = String(signature['key_id']);
      if (!officers.has(id) || kept.some((one) => one['key_id'] === id)) continue;
      if (kept.length < LIMITS.documentSignaturesMax) kept.push(signature);
    }
  }
  const merged = parseDocument(ROOT_ROTATION, canonicalJson({ ...own.value.json, signatures: kept }));
  if (!merged.ok) throw new IdentityError(`the signed copies do not fit together: ${merged.error.detail}`);
  return merged.value;
}

function recoveryOf({ domain, rootKey, recovery }: OrganisationIdentity): RecoverySet {
  const set = recovery === undefined ? undefined : verifyRecoverySet(nodeCrypto, recovery, { org: domain, rootKey });
  if (set?.ok !== true) throw new IdentityError(`${domain} has named no recovery officers under this root key`);
  return set.value;
}

async function openForRotation(folder: string, domain: Domain, { clock }: World): Promise<OrganisationIdentity> {
  const identity = await openOrganisation(folder, domain, clock.now());
  closeOrganisation(identity);
  await tidy(folder, {
    rootKey: identity.rootKey,
    rootPqKey: identity.pq?.rootKey,
    sequence: identity.lineage.steps.at(-1)?.sequence ?? 0,
  });
  return identity;
}

interface NextKeys {
  readonly root: SeedSigner<'ed25519'>;
  readonly rootPq: SeedSigner<'ml-dsa-65'> | undefined;
}

/** Those of an attempt that was cut off are used again. */
async function nextKeys(folder: string, { pq }: OrganisationIdentity, { random }: World): Promise<NextKeys> {
  const { nextRootKey, nextRootPqKey } = organisationPaths(folder);
  const root = (await present(() => openSignerFile(nextRootKey))) ?? (await createSignerFile(nextRootKey, random));
  if (pq === undefined) return { root, rootPq: undefined };
  const rootPq =
    (await present(() => openMlDsa65File(nextRootPqKey))) ?? (await createMlDsa65File(nextRootPqKey, random));
  return { root, rootPq };
}

/**
 * The server certificates get the new keys' signatures beside those of the keys in use, which count for
 * whoever has not heard of the rotation; then the public file moves; then the secrets. Cut off anywhere and done
 * again, it ends the same.
 */
async function install(
  folder: string,
  identity: OrganisationIdentity,
  rotation: SignedDocument<RotationBody>,
  { root, rootPq }: NextKeys,
  recovery?: Uint8Array,
): Promise<void> {
  const paths = organisationPaths(folder);
  const oldRootPqKey = identity.pq?.rootKey;
  const inUse = [identity.rootKey, ...(oldRootPqKey === undefined ? [] : [oldRootPqKey])];
  await certifyAgain(paths.serverCertificate, inUse, [root]);
  if (rootPq !== undefined) await certifyAgain(paths.serverPqCertificate, inUse, [root, rootPq]);
  const made = {
    rotation: rotation.bytes,
    ...(recovery === undefined ? {} : { recovery }),
    ...(oldRootPqKey === undefined ? {} : { oldRootPqKey }),
  };
  await replaceFile(paths.rotations, [...identity.rotations, made].map(rotationLine).join(''));
  const keys = { rootKey: root.publicKey, ...(rootPq === undefined ? {} : { rootPqKey: rootPq.publicKey }) };
  await replaceFile(paths.rootPublic, rootPublicText(identity.domain, keys));
  await tidy(folder, {
    rootKey: root.publicKey,
    rootPqKey: rootPq?.publicKey,
    sequence: rotation.body.sequence,
  });
}

/** Of the signatures that are there, those of the keys in use stay: a certificate carries two pairs at most. */
async function certifyAgain(file: string, inUse: readonly Uint8Array[], signers: readonly Signer[]): Promise<void> {
  const parsed = parseDocument(SERVER_CERTIFICATE, Uint8Array.from(await readFile(file)));
  if (!parsed.ok) throw new IdentityError(`${file} is damaged; restore it from your backup`);
  const signatures = parsed.value.json['signatures'] as readonly JsonObject[]; // a document has its list of signatures
  const ids = new Set(inUse.map((key) => keyId(nodeCrypto, key)));
  const kept = signatures.filter((one) => ids.has(String(one['key_id'])));
  const trimmed = parseDocument(SERVER_CERTIFICATE, canonicalJson({ ...parsed.value.json, signatures: kept }));
  if (!trimmed.ok) throw new IdentityError(`${file} is damaged; restore it from your backup`);
  await replaceFile(file, (await signDocumentByAll(nodeCrypto, trimmed.value, signers)).bytes);
}
