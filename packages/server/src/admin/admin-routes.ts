import { nodeCrypto } from '@norc/crypto/node';
import { encodeAuditLine } from '@norc/protocol/audit';
import {
  type ConversationId,
  type DeviceId,
  ok,
  parseConversationId,
  parseDeviceId,
  parseUserAddress,
  type Result,
  reject,
  toBase64Url,
  toHex,
  type UserAddress,
} from '@norc/protocol/base';
import { fingerprintText, rootKeyFingerprint } from '@norc/protocol/crypto';
import { encodeEnrolmentCode } from '@norc/protocol/norc-c';
import type { OrgNode } from '../org-node.ts';
import { evidenceRoutes } from './evidence-routes.ts';
import { negotiationRoutes } from './negotiation-routes.ts';
import { officerRoutes } from './officer-routes.ts';
import { policyRoutes } from './policy-routes.ts';
import { rootRoutes } from './root-routes.ts';
import { type AdminInput, AdminInputError, type AdminRoute } from './router.ts';
import { trustRoutes } from './trust-routes.ts';

const AUDIT_LINES_MAX = 500;
const HEAD_BYTES = 48;
/** Whoever opens the admin socket has the server's account: the log says so much and no more. */
const ACTOR_ID = 'admin-socket';
const ACTOR = `officer:${ACTOR_ID}`;

export interface AdminContext {
  readonly node: OrgNode;
  readonly version: string;
  /** `host:port` for devices, and whether it is TLS: goes into enrolment codes. */
  readonly deviceAddress: () => { readonly host: string; readonly port: number; readonly tls: boolean };
  readonly federationAddress: () => { readonly host: string; readonly port: number } | undefined;
  readonly stop: () => void;
}

/** What officers and operators of one organisation can ask of its server (docs/operating.md). */
export function adminRoutes(context: AdminContext): readonly AdminRoute[] {
  const { node } = context;
  return [
    get('/status', async () => ok(await status(context))),
    get('/users', async () => ok({ users: await users(node) })),
    post('/users', async (input) => await node.directory.addUser(userOf(input), ACTOR)),
    post('/enrolments', async (input) => await enrol(context, userOf(input))),
    get('/devices', async (input) => ok({ devices: await devices(node, userOf(input)) })),
    post('/devices/revoke', async (input) => await revokeDevice(node, input)),
    ...negotiationRoutes(node),
    ...trustRoutes(node),
    ...officerRoutes(node),
    ...rootRoutes(node),
    ...policyRoutes(node),
    ...evidenceRoutes(node),
    get('/audit', async (input) => ok(await auditLines(node, input))),
    get('/audit/certificates', async () => ok(auditCertificates(node))),
    get('/entry', async (input) => await entry(node, input)),
    post('/stop', async () => {
      context.stop();
      return ok({ stopping: true });
    }),
  ];
}

const get = (path: string, run: AdminRoute['run']): AdminRoute => ({ method: 'GET', path, run });
const post = (path: string, run: AdminRoute['run']): AdminRoute => ({ method: 'POST', path, run });

async function status({ node, version, deviceAddress, federationAddress }: AdminContext): Promise<object> {
  const { host, port, tls } = deviceAddress();
  const links = [];
  for (const { peer, state, version: linkVersion, cause, since, attempts, nextAttemptAt } of node.links.status()) {
    const queued = (await node.store.read.outbox(peer, 1000)).length;
    links.push({ peer, state, version: linkVersion, cause, since, attempts, next_attempt_at: nextAttemptAt, queued });
  }
  return {
    domain: node.identity.domain,
    version,
    root_fingerprint: fingerprintText(node.identity.rootFingerprint),
    device_address: { host, port, tls },
    federation_address: federationAddress() ?? null,
    sessions: node.devices.sessions,
    links,
    users: (await node.store.read.users()).length,
    audit_sequence: (await node.store.read.auditHead())?.sequence ?? 0,
  };
}

async function users(node: OrgNode): Promise<readonly object[]> {
  const rows = [];
  for (const { user, createdAt } of await node.store.read.users()) {
    const active = (await node.directory.devicesOf(user)).filter((device) => device.revokedAt === undefined);
    rows.push({ user, created_at: createdAt, devices: active.length });
  }
  return rows;
}

async function enrol({ node, deviceAddress }: AdminContext, user: UserAddress): Promise<Result<object>> {
  const made = await node.directory.createEnrolment(user, ACTOR);
  if (!made.ok) return made;
  const { host, port, tls } = deviceAddress();
  const server = { host: host === '0.0.0.0' || host === '::' ? node.identity.domain : host, port, tls };
  const code = encodeEnrolmentCode(nodeCrypto, {
    user,
    server,
    secret: made.value.secret,
    rootFingerprint: node.identity.rootFingerprint,
  });
  return ok({ code, expires_at: made.value.expiresAt });
}

async function devices(node: OrgNode, user: UserAddress): Promise<readonly object[]> {
  const rows = await node.directory.devicesOf(user);
  return rows.map(({ deviceId, name, enrolledAt, revokedAt }) => ({
    device_id: deviceId,
    name,
    enrolled_at: enrolledAt,
    revoked_at: revokedAt,
  }));
}

async function revokeDevice(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const deviceId: DeviceId = required(parseDeviceId(input.text('device_id')), 'device_id');
  return await node.directory.revokeDevice(deviceId, ACTOR);
}

async function auditLines(node: OrgNode, input: AdminInput): Promise<object> {
  await node.audit.flush();
  const after = input.optionalCount('after') ?? 0;
  const limit = Math.min(input.optionalCount('limit') ?? AUDIT_LINES_MAX, AUDIT_LINES_MAX);
  const rows = await node.store.read.auditEntries(after, limit);
  return { lines: rows.map(({ entry, signature }) => encodeAuditLine({ entry, signature })) };
}

function auditCertificates({ identity }: OrgNode): object {
  return {
    domain: identity.domain,
    root_key: toBase64Url(identity.rootKey),
    root_fingerprint: toHex(rootKeyFingerprint(nodeCrypto, identity.rootKey)),
    server_certificate: toBase64Url(identity.certificate.document.bytes),
  };
}

/** All that the server itself can see of one message: who may run this can read the database anyway. */
async function entry(node: OrgNode, input: AdminInput): Promise<Result<object>> {
  const conversation: ConversationId = required(parseConversationId(input.text('conversation')), 'conversation');
  const seq = input.optionalCount('seq') ?? 1;
  const [row] = await node.store.read.entries(conversation, seq - 1, 1, 1);
  if (row?.seq !== seq) return reject('forbidden', 'entry');
  const { kind, epoch, label, sender, senderUser, body, storedAt, messageId } = row;
  return ok({
    ...{ conversation, seq, kind, epoch, label, sender },
    message_id: messageId,
    sender_user: senderUser,
    size: body.length,
    body_hex_head: toHex(body.subarray(0, HEAD_BYTES)),
    body_hex_tail: toHex(body.subarray(-HEAD_BYTES)),
    stored_at: storedAt,
  });
}

function userOf(input: AdminInput): UserAddress {
  return required(parseUserAddress(input.text('user').toLowerCase()), 'user');
}

function required<T>(parsed: Result<T>, name: string): T {
  if (!parsed.ok) throw new AdminInputError(`${name} is not one: ${parsed.error.detail}`);
  return parsed.value;
}
