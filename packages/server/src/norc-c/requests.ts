import {
  type Clock,
  type Domain,
  domainOf,
  ERRORS,
  type ErrorName,
  ok,
  type Result,
  reject,
  type UserAddress,
} from '@norc/protocol/base';
import type { NorcCBody, NorcCMessage } from '@norc/protocol/norc-c';

import type { ReceivedMessage } from '@norc/protocol/wire';
import type {
  AuthenticatedDevice,
  ClaimedPackage,
  Delivery,
  Directory,
  Links,
  OrderedPlace,
  SubmitOutcome,
  Trust,
} from '../services.ts';

/** What a device may ask once its session is authenticated (spec/norc-c section 4). */
export interface RequestServices {
  readonly domain: Domain;
  readonly clock: Clock;
  readonly directory: Directory;
  readonly delivery: Delivery;
  readonly trust: Trust;
  readonly links: Links;
}

/** The reply to send, or `undefined` where the protocol has none. */
export type Reply = NorcCMessage | undefined;

const ENTRIES_BYTES_MAX = 512 * 1024;

/** Answers one request of an authenticated device. */
export async function answerRequest(
  services: RequestServices,
  device: AuthenticatedDevice,
  request: ReceivedMessage<NorcCMessage>,
): Promise<Result<Reply>> {
  switch (request.type) {
    case 'conversation_create':
      return await createConversation(services, device, request.body);
    case 'commit_submit':
      return await submitCommit(services, device, request.body);
    case 'cursor_ack':
      services.delivery.cursors(device, request.body.cursors);
      return ok(undefined);
    case 'log_request':
      return await readLog(services, device, request.body);
    case 'key_request':
      return await claimKeys(services, device, request.body.users);
    case 'key_publish':
      return await publishKeys(services, device, request.body);
    case 'org_request':
      return ok({ type: 'org_response', body: await services.trust.describeToDevice(request.body.domain) });
    case 'device_list_request':
      return ok(await deviceList(services.directory, device.user));
    case 'device_revoke':
      return await revokeOwnDevice(services, device, request.body.device_id);
    case 'time_sync':
      return ok({ type: 'time_sync', body: { server_time: services.clock.now() } });
    case 'ping':
      return ok({ type: 'pong', body: {} });
    default:
      return reject('unsupported_type', request.type);
  }
}

async function createConversation(
  services: RequestServices,
  device: AuthenticatedDevice,
  body: NorcCBody<'conversation_create'>,
): Promise<Result<Reply>> {
  const { conversation, label, message_id, commit, welcome, group_info } = body;
  const outcome = await services.delivery.create(device, {
    conversation,
    label,
    commit,
    welcome,
    messageId: message_id,
    groupInfo: group_info,
  });
  return outcome.ok ? ok(ack(conversation, message_id, outcome.value)) : outcome;
}

async function submitCommit(
  services: RequestServices,
  device: AuthenticatedDevice,
  body: NorcCBody<'commit_submit'>,
): Promise<Result<Reply>> {
  const { conversation, message_id, commit, welcome, group_info } = body;
  const outcome = await services.delivery.submit(device, {
    ...{ conversation, messageId: message_id, kind: 'commit', body: commit },
    ...(welcome === undefined ? {} : { welcome }),
    ...(group_info === undefined ? {} : { groupInfo: group_info }),
  });
  return outcome.ok ? ok(ack(conversation, message_id, outcome.value)) : outcome;
}

type MessageAck = NorcCBody<'message_ack'>;

/** A commit's entry is pushed to everybody, its sender too: only the log says that it won. */
function ack(
  conversation: MessageAck['conversation'],
  messageId: MessageAck['message_id'],
  outcome: SubmitOutcome,
): NorcCMessage {
  const body = messageAck(
    conversation,
    messageId,
    outcome.state === 'sent' ? { state: 'sent', seq: outcome.seq } : outcome,
  );
  return { type: 'message_ack', body };
}

export function messageAck(
  conversation: MessageAck['conversation'],
  messageId: MessageAck['message_id'],
  outcome: SubmitOutcome,
): MessageAck {
  const base = { conversation, message_id: messageId, state: outcome.state };
  return outcome.state === 'sent' ? { ...base, ...placeFields(outcome) } : base;
}

/** With the proof, the acknowledgment stands for the entry [C-8]. */
export function placeFields({ seq, proof }: OrderedPlace) {
  return proof === undefined ? { seq } : { seq, hash: proof.hash, stored_at: proof.storedAt };
}

export function refusedAck(
  conversation: NorcCBody<'message_ack'>['conversation'],
  messageId: NorcCBody<'message_ack'>['message_id'],
  code: ErrorName,
): NorcCMessage {
  return {
    type: 'message_ack',
    body: { conversation, message_id: messageId, state: 'refused', code: ERRORS[code].code },
  };
}

async function readLog(
  services: RequestServices,
  device: AuthenticatedDevice,
  { conversation, after }: NorcCBody<'log_request'>,
): Promise<Result<Reply>> {
  const read = await services.delivery.entriesFor(device, conversation, after, 64, ENTRIES_BYTES_MAX);
  if (!read.ok) return read;
  const { hub, label, headSeq, entries } = read.value;
  return ok({ type: 'log_entries', body: { conversation, hub, label, head_seq: headSeq, entries } });
}

/** Own users from the directory, others from their organisation's server; who is not there and who is not to be known are one answer. */
async function claimKeys(
  services: RequestServices,
  device: AuthenticatedDevice,
  users: readonly UserAddress[],
): Promise<Result<Reply>> {
  const perDomain = new Map<Domain, UserAddress[]>();
  for (const user of new Set(users)) perDomain.set(domainOf(user), [...(perDomain.get(domainOf(user)) ?? []), user]);
  const claims = [...perDomain].map(([domain, list]) => claimAt(services, device, domain, list));
  const packages: NorcCBody<'key_response'>['packages'][number][] = [];
  for (const claimed of await Promise.all(claims)) {
    if (!claimed.ok) return claimed;
    packages.push(...claimed.value);
  }
  const found = new Set(packages.map((one) => one.user));
  return ok({
    type: 'key_response',
    body: { packages, unavailable: [...new Set(users)].filter((user) => !found.has(user)) },
  });
}

type WirePackage = NorcCBody<'key_response'>['packages'][number];

async function claimAt(
  services: RequestServices,
  device: AuthenticatedDevice,
  domain: Domain,
  users: readonly UserAddress[],
): Promise<Result<readonly WirePackage[]>> {
  if (domain === services.domain) {
    const claimed = await services.directory.claimKeyPackages(users, device.user);
    return ok(claimed.filter((one) => one.deviceId !== device.deviceId).map(wirePackage));
  }
  // Checked here too: a server that is not trusted is not even told who asks for whom.
  const path = services.trust.decide({
    local: services.domain,
    remote: domain,
    direction: 'outgoing',
    permission: 'user_discovery',
  });
  if (path.kind !== 'allow') return reject(path.code, path.reason);
  const answer = await services.links.request(domain, 'interactive', {
    type: 'key_claim',
    body: { requester: device.user, users },
  });
  if (!answer.ok) return answer;
  if (answer.value.type !== 'key_claim_result') return reject('unexpected_message', answer.value.type);
  return ok(answer.value.body.packages.filter((one) => users.includes(one.user)));
}

export function wirePackage({ user, deviceId, keyPackage }: ClaimedPackage): WirePackage {
  return { user, device_id: deviceId, key_package: keyPackage };
}

async function publishKeys(
  { directory }: RequestServices,
  device: AuthenticatedDevice,
  body: NorcCBody<'key_publish'>,
): Promise<Result<Reply>> {
  const outcome = await directory.publishKeyPackages(device, body.packages, body.last_resort);
  return outcome.ok ? ok({ type: 'key_stock', body: { count: outcome.value.stock } }) : outcome;
}

export async function deviceList(directory: Directory, user: UserAddress): Promise<NorcCMessage> {
  const devices = await directory.devicesOf(user);
  return {
    type: 'device_list',
    body: {
      devices: devices.map(({ deviceId, name, enrolledAt, revokedAt }) => ({
        device_id: deviceId,
        name,
        enrolled_at: enrolledAt,
        revoked: revokedAt !== undefined,
      })),
    },
  };
}

/** A user takes away a device of its own. Anybody else's is "forbidden", like one that does not exist. */
async function revokeOwnDevice(
  { directory }: RequestServices,
  device: AuthenticatedDevice,
  target: NorcCBody<'device_revoke'>['device_id'],
): Promise<Result<Reply>> {
  const owned = await directory.device(target);
  if (owned?.user !== device.user) return reject('forbidden', 'device');
  const outcome = await directory.revokeDevice(target, `user:${device.user}`);
  return outcome.ok ? ok(await deviceList(directory, device.user)) : outcome;
}
