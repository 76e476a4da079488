import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createSealedSigner, nodeClock, nodeCrypto, nodeRandom, openSignerFile } from '@norc/crypto/node';
import { type Domain, toBase64Url, utf8 } from '@norc/protocol/base';
import { signDocument } from '@norc/protocol/crypto';
import { draftOfficerCertificate, type OfficerRole, officerIdOf, verifyApproval } from '@norc/protocol/norc-t';
import { initOrganisation, organisationPaths } from '@norc/server';
import { CommandError, EXIT } from '../command.ts';
import { pinnedOrganisation, signApproval } from './sign-approval.ts';

const ORG = 'alpha.example' as Domain; // well formed
const PEER = 'bravo.example' as Domain; // well formed
const WORDS = 'correct horse battery';
const SUBJECT = nodeCrypto.blake3(utf8('it'));
let folder = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'norc-approval-'));
  await initOrganisation(folder, ORG, { clock: nodeClock, random: nodeRandom });
  await writeFile(join(folder, 'words'), `${WORDS}\n`, { mode: 0o600 });
  await writeFile(join(folder, 'wrong'), 'another battery\n', { mode: 0o600 });
});
after(() => rm(folder, { recursive: true }));

interface Made {
  readonly source: { readonly keyFile: string; readonly passphraseFile: string };
  readonly officer: object;
}

async function officer(name: string, roles: readonly OfficerRole[], rootKey: string): Promise<Made> {
  const keyFile = join(folder, `${name}.key`);
  const signer = await createSealedSigner(keyFile, WORDS, { random: nodeRandom });
  const { publicKey } = signer;
  const now = nodeClock.now();
  const dates = { notBefore: now - 1000, notAfter: now + 86_400_000 };
  const root = await openSignerFile(rootKey);
  const drafted = draftOfficerCertificate(nodeCrypto, { org: ORG, publicKey, roles, ...dates });
  const certificate = toBase64Url((await signDocument(nodeCrypto, drafted, root)).bytes);
  const view = { officer_id: officerIdOf(nodeCrypto, publicKey), certificate };
  return { source: { keyFile, passphraseFile: join(folder, 'words') }, officer: view };
}

/** A server that hands out these officers. */
const server = (...officers: readonly object[]) => ({
  get: async <T>() => ({ officers }) as T, // the shape of the admin interface
});

const GRANT = { action: 'trust_grant', subject: SUBJECT, peer: PEER } as const;
const failing = (exitCode: number) => (error: unknown) => error instanceof CommandError && error.exitCode === exitCode;

test('an officer signs on their own machine, and others can verify it', async () => {
  const { source, officer: view } = await officer('anna', ['trust'], organisationPaths(folder).rootKey);
  const { signed, fields } = await signApproval(source, { folder, client: server(view), ...GRANT });
  const pinned = await pinnedOrganisation(folder);
  assert.ok(verifyApproval(nodeCrypto, signed, { ...GRANT, pinned, now: nodeClock.now() }).ok);
  assert.equal(fields.approval, toBase64Url(signed.approval));
  const wrong = { ...source, passphraseFile: join(folder, 'wrong') };
  await assert.rejects(signApproval(wrong, { folder, client: server(view), ...GRANT }), failing(EXIT.noPermission));
});

test('a server that gives no certificate, a forged one, or one without the role gets no signature', async () => {
  const { rootKey, serverKey } = organisationPaths(folder);
  const bert = await officer('bert', ['trust'], rootKey);
  const forged = await officer('mallory', ['trust'], serverKey);
  const recovery = await officer('rita', ['recovery'], rootKey);
  const sign = (made: Made, ...officers: readonly object[]) =>
    signApproval(made.source, { folder, client: server(...officers), ...GRANT });
  await assert.rejects(sign(bert), failing(EXIT.noPermission));
  await assert.rejects(sign(bert, recovery.officer), failing(EXIT.noPermission));
  const swapped = { ...bert.officer, certificate: (recovery.officer as { certificate: string }).certificate }; // made above
  await assert.rejects(sign(bert, swapped), failing(EXIT.noPermission));
  await assert.rejects(sign(forged, forged.officer), failing(EXIT.noPermission));
  await assert.rejects(sign(recovery, recovery.officer), failing(EXIT.noPermission));
  const rotate = { folder, client: server(recovery.officer), action: 'root_rotate', subject: SUBJECT } as const;
  assert.ok((await signApproval(recovery.source, rotate)).signed);
});

test('a passphrase is never taken from a terminal that is none', async () => {
  const { source, officer: view } = await officer('cleo', ['trust'], organisationPaths(folder).rootKey);
  const asking = { input: process.stdin, output: { write: () => undefined } };
  const unasked = { keyFile: source.keyFile, asking };
  await assert.rejects(signApproval(unasked, { folder, client: server(view), ...GRANT }), failing(EXIT.usage));
});
