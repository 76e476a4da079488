import { nodeCrypto } from '@norc/crypto/node';
import { fromBase64Url, ok, parseDomain, type Result } from '@norc/protocol/base';
import { fingerprintText, rootKeyFingerprint } from '@norc/protocol/crypto';
import type { OrgNode } from '../org-node.ts';
import { type AdminInput, AdminInputError, type AdminRoute } from './router.ts';

const ACTOR = 'officer:admin-socket';

/** Root keys of partners, from a file. The document itself proves what it says: the socket gives no power over it. */
export function rootRoutes(node: OrgNode): readonly AdminRoute[] {
  return [{ method: 'POST', path: '/trust/rotation', run: async (input) => await takeRotation(node, input) }];
}

async function takeRotation(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const peer = parseDomain(input.text('domain'));
  if (!peer.ok) throw new AdminInputError('domain');
  const document = fromBase64Url(input.text('document'));
  if (document === undefined) throw new AdminInputError('document');
  const taken = await node.trust.takeRotation(peer.value, document, ACTOR);
  if (!taken.ok) return taken;
  const { steps, first } = taken.value;
  const rootKey = steps.at(-1)?.rootKey ?? first.rootKey;
  return ok({ sequence: steps.length, root_fingerprint: fingerprintText(rootKeyFingerprint(nodeCrypto, rootKey)) });
}
