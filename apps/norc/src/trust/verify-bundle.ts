import { nodeCrypto } from '@norc/crypto/node';
import {
  type Domain,
  fromBase64Url,
  instant,
  ok,
  parseDomain,
  type Result,
  reject,
  sameBytes,
} from '@norc/protocol/base';
import {
  documentType,
  type PinnedOrg,
  parseDocument,
  rootKeyFingerprint,
  SERVER_CERTIFICATE,
  verifyDocument,
} from '@norc/protocol/crypto';
import { REVOCATION_RECEIPT, verifyReceipt } from '@norc/protocol/norc-f';
import {
  checkRevocationAck,
  compareStatus,
  emptyRevocations,
  extendRevocations,
  keysOf,
  missingOf,
  OFFICER_APPROVAL,
  openDocument,
  type RevocationChain,
  ROOT_ROTATION,
  signedApprovalSchema,
  TRUST_CERTIFICATE,
  TRUST_REVOCATION,
  TRUST_REVOCATION_ACK,
  TRUST_STATUS,
  verifyOfficer,
  verifyTrustCertificate,
} from '@norc/protocol/norc-t';
import { decodeBody, parseJson } from '@norc/protocol/wire';

/** One file of an export: its path in the folder, with slashes. */
export interface BundleFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface BundleReport {
  readonly roots: readonly PinnedOrg[];
  readonly checked: Readonly<Record<string, number>>;
  /** The first file that does not hold, and why. */
  readonly bad?: { readonly path: string; readonly why: string };
}

const crypto = nodeCrypto;
const MANIFEST = 'bundle.json';
const MANIFEST_BYTES_MAX = 65_536;
/** In the order in which they rest on each other. */
const FOLDERS = ['servers', 'certificates', 'chains', 'acks', 'receipts', 'approvals', 'forks'] as const;
type Folder = (typeof FOLDERS)[number];

/** Checks an export without a server: every signature, up to the root keys that it names. Whoever reads the report compares those. */
export function verifyBundle(files: readonly BundleFile[]): BundleReport {
  const manifest = files.find(({ path }) => path === MANIFEST);
  const roots = manifest === undefined ? reject('malformed', 'it is missing') : rootsOf(manifest.bytes);
  if (!roots.ok) return { roots: [], checked: {}, bad: { path: MANIFEST, why: roots.error.detail } };
  const check = new BundleCheck(roots.value);
  const checked: Record<string, number> = {};
  const rest = files.filter(({ path }) => path !== MANIFEST);
  const strange = rest.find(({ path }) => folderOf(path) === undefined);
  if (strange !== undefined)
    return { roots: roots.value, checked, bad: { path: strange.path, why: 'it is no part of an export' } };
  for (const folder of FOLDERS) {
    const own = rest.filter(({ path }) => folderOf(path) === folder).sort((a, b) => (a.path < b.path ? -1 : 1));
    for (const { path, bytes } of own) {
      const held = check.file(folder, bytes);
      if (!held.ok)
        return { roots: roots.value, checked, bad: { path, why: `${held.error.code}: ${held.error.detail}` } };
      checked[folder] = (checked[folder] ?? 0) + 1;
    }
  }
  return { roots: roots.value, checked };
}

function folderOf(path: string): Folder | undefined {
  return FOLDERS.find((folder) => path.startsWith(`${folder}/`) && path.endsWith('.json'));
}

function rootsOf(bytes: Uint8Array): Result<readonly PinnedOrg[]> {
  const parsed = parseJson(bytes, { bytesMax: MANIFEST_BYTES_MAX });
  if (!parsed.ok) return parsed;
  const { value } = parsed;
  const list = typeof value === 'object' && value !== null && 'roots' in value ? value['roots'] : undefined;
  if (!Array.isArray(list)) return reject('malformed', 'roots');
  const roots: PinnedOrg[] = [];
  for (const one of list) {
    const root = rootOf(one);
    if (root === undefined) return reject('malformed', 'roots');
    roots.push(root);
  }
  return ok(roots);
}

function rootOf(value: unknown): PinnedOrg | undefined {
  if (typeof value !== 'object' || value === null || !('domain' in value) || !('root_key' in value)) return undefined;
  const { domain, root_key: key } = value;
  if (typeof domain !== 'string' || typeof key !== 'string') return undefined;
  const [org, rootKey] = [parseDomain(domain), fromBase64Url(key)];
  return org.ok && rootKey?.length === 32 ? { org: org.value, rootKey } : undefined;
}

class BundleCheck {
  readonly #roots: readonly PinnedOrg[];
  readonly #servers = new Map<Domain, Uint8Array[]>();
  readonly #chains = new Map<Domain, RevocationChain>();

  constructor(roots: readonly PinnedOrg[]) {
    this.#roots = roots;
  }

  file(folder: Folder, bytes: Uint8Array): Result<unknown> {
    switch (folder) {
      case 'servers':
        return this.#server(bytes);
      case 'certificates':
        return this.#certificate(bytes);
      case 'chains':
        return this.#statement(bytes);
      case 'acks':
        return this.#ack(bytes);
      case 'receipts':
        return this.#receipt(bytes);
      case 'approvals':
        return this.#approval(bytes);
      case 'forks':
        return this.#fork(bytes);
    }
  }

  /** With any root key that the export names for the organisation: it may have replaced one. */
  #withRoots(org: Domain, check: (root: PinnedOrg) => Result<unknown>): Result<unknown> {
    const own = this.#roots.filter((root) => root.org === org);
    let outcome: Result<unknown> = reject('certificate_invalid', `no root key of ${org} is named`);
    for (const root of own) {
      outcome = check(root);
      if (outcome.ok) return outcome;
    }
    return outcome;
  }

  #keys(org: Domain, usage: 'trust' | 'server', at: number) {
    const certificates = this.#servers.get(org) ?? [];
    const own = this.#roots.filter((root) => root.org === org);
    return own.flatMap(({ rootKey }) =>
      keysOf(crypto, { domain: org, root_key: rootKey, server_certificates: [] }, usage, instant(at), certificates),
    );
  }

  #server(bytes: Uint8Array): Result<unknown> {
    const parsed = parseDocument(SERVER_CERTIFICATE, bytes);
    if (!parsed.ok) return parsed;
    const { org } = parsed.value.body;
    const signed = this.#withRoots(org, ({ rootKey }) => verifyDocument(crypto, parsed.value, rootKey));
    if (signed.ok) this.#servers.set(org, [...(this.#servers.get(org) ?? []), bytes]);
    return signed;
  }

  #certificate(bytes: Uint8Array): Result<unknown> {
    const parsed = parseDocument(TRUST_CERTIFICATE, bytes);
    if (!parsed.ok) return parsed;
    const { issuer, subject, not_before } = parsed.value.body;
    const now = instant(not_before);
    const serverCertificates = [
      ...(this.#servers.get(issuer.domain) ?? []),
      ...(this.#servers.get(subject.domain) ?? []),
    ];
    return this.#withRoots(issuer.domain, (issuerRoot) =>
      this.#withRoots(subject.domain, (subjectRoot) =>
        verifyTrustCertificate(crypto, parsed.value, {
          issuer: issuerRoot,
          subject: subjectRoot,
          now,
          serverCertificates,
        }),
      ),
    );
  }

  #statement(bytes: Uint8Array): Result<unknown> {
    const parsed = parseDocument(TRUST_REVOCATION, bytes);
    if (!parsed.ok) return parsed;
    const { issuer, issued_at } = parsed.value.body;
    const chain = this.#chains.get(issuer) ?? emptyRevocations(issuer);
    const extended = extendRevocations(crypto, chain, bytes, this.#keys(issuer, 'trust', issued_at));
    if (!extended.ok) return extended;
    if (extended.value === chain) return reject('malformed', 'the same statement twice');
    this.#chains.set(issuer, extended.value);
    return extended;
  }

  #ack(bytes: Uint8Array): Result<unknown> {
    const parsed = parseDocument(TRUST_REVOCATION_ACK, bytes);
    if (!parsed.ok) return parsed;
    const { body } = parsed.value;
    const keys = this.#keys(body.acknowledged_by, 'trust', body.enforced_at);
    const opened = openDocument(crypto, TRUST_REVOCATION_ACK, bytes, keys);
    return opened.ok
      ? checkRevocationAck(this.#chains.get(body.issuer) ?? emptyRevocations(body.issuer), body)
      : opened;
  }

  #receipt(bytes: Uint8Array): Result<unknown> {
    const parsed = parseDocument(REVOCATION_RECEIPT, bytes);
    if (!parsed.ok) return parsed;
    const { signed_by, removed_at, frozen_at } = parsed.value.body;
    return verifyReceipt(crypto, bytes, this.#keys(signed_by, 'server', removed_at ?? frozen_at));
  }

  #approval(bytes: Uint8Array): Result<unknown> {
    const decoded = decodeBody(signedApprovalSchema, bytes, 'json');
    if (!decoded.ok) return decoded;
    const parsed = parseDocument(OFFICER_APPROVAL, decoded.value.approval);
    if (!parsed.ok) return parsed;
    const { org, officer_id, approved_at } = parsed.value.body;
    return this.#withRoots(org, (pinned) => {
      const officer = verifyOfficer(crypto, decoded.value.certificate, { pinned, at: instant(approved_at) });
      if (!officer.ok) return officer;
      if (officer.value.officerId !== officer_id) return reject('forbidden', 'officer of the approval');
      return verifyDocument(crypto, parsed.value, officer.value.publicKey);
    });
  }

  /** Evidence against an issuer: what it signed besides the history that the export holds, or a root key that it replaced twice. */
  #fork(bytes: Uint8Array): Result<unknown> {
    const json = parseJson(bytes, { bytesMax: MANIFEST_BYTES_MAX });
    if (!json.ok) return json;
    const { value } = json;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return reject('malformed', 'fork');
    const fields = value as Record<string, unknown>; // an object, checked just now
    const [held, other] = [documentIn(fields['held']), documentIn(fields['other'])];
    if (held === undefined || other === undefined) return reject('malformed', 'fork');
    const type = documentType(other);
    if (!type.ok) return type;
    if (type.value === TRUST_REVOCATION.type) return this.#secondStatement(other);
    if (type.value === TRUST_STATUS.type) return this.#otherHead(other);
    return secondRotation(held, other);
  }

  #secondStatement(document: Uint8Array): Result<unknown> {
    const parsed = parseDocument(TRUST_REVOCATION, document);
    if (!parsed.ok) return parsed;
    const { issuer, issued_at } = parsed.value.body;
    const keys = this.#keys(issuer, 'trust', issued_at);
    const extended = extendRevocations(crypto, this.#chains.get(issuer) ?? emptyRevocations(issuer), document, keys);
    if (extended.ok) return NO_FORK;
    return extended.error.code === 'revocation_fork' ? ok(undefined) : extended;
  }

  /** A status names the head of the sender's chain, and of the one that it has from the other side. */
  #otherHead(document: Uint8Array): Result<unknown> {
    const parsed = parseDocument(TRUST_STATUS, document);
    if (!parsed.ok) return parsed;
    const { issuer, to, sent_at } = parsed.value.body;
    const opened = openDocument(crypto, TRUST_STATUS, document, this.#keys(issuer, 'trust', sent_at));
    if (!opened.ok) return opened;
    const { body } = opened.value.document;
    const own = compareStatus(this.#chains.get(issuer) ?? emptyRevocations(issuer), body);
    const copy = missingOf(this.#chains.get(to) ?? emptyRevocations(to), body);
    return own === 'fork' || !copy.ok ? ok(undefined) : NO_FORK;
  }
}

const NO_FORK = reject('malformed', 'the two go together: there are not two histories');

function documentIn(text: unknown): Uint8Array | undefined {
  return typeof text === 'string' ? fromBase64Url(text) : undefined;
}

/** Their signatures are those of root keys and recovery officers: whoever took them checked them. */
function secondRotation(held: Uint8Array, other: Uint8Array): Result<unknown> {
  const [first, second] = [parseDocument(ROOT_ROTATION, held), parseDocument(ROOT_ROTATION, other)];
  if (!first.ok) return first;
  if (!second.ok) return second;
  return first.value.body.org === second.value.body.org && !sameBytes(held, other) ? ok(undefined) : NO_FORK;
}

export function fingerprintOf({ rootKey }: PinnedOrg): Uint8Array {
  return rootKeyFingerprint(crypto, rootKey);
}
