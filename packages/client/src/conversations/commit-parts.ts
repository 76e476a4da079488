import type { CommitIntent, MlsGroup, PendingCommit } from '@norc/mls';
import {
  type ErrorName,
  errorNameOf,
  type MessageId,
  ok,
  type Result,
  reject,
  type UserAddress,
} from '@norc/protocol/base';
import type { NorcCBody } from '@norc/protocol/norc-c';
import type { Acknowledgment } from '../session/ask.ts';
import type { Cell, CommitIntentRow, Wish } from './cell.ts';
import type { ClaimedPackages } from './packages.ts';

/** Whose devices it takes KeyPackages of. */
export function usersOf(intent: CommitIntentRow): readonly UserAddress[] {
  if (intent.type === 'create') return intent.add;
  return intent.type === 'add' ? intent.users : [];
}

/** What the commit contains; `undefined` when the log has brought it about already. Errors: user_not_found. */
export function commitFor(wish: Wish, claimed: ClaimedPackages, group: MlsGroup): Result<CommitIntent | undefined> {
  const { intent } = wish;
  const members = new Map(group.members.map((member) => [member.identity.deviceId, member]));
  switch (intent.type) {
    case 'update':
      return ok(wish.forEpoch === undefined || wish.forEpoch === group.epoch ? { update: true } : undefined);
    case 'remove': {
      const leaves = intent.devices.flatMap((device) => members.get(device)?.leafIndex ?? []);
      return ok(leaves.length === 0 ? undefined : { remove: leaves });
    }
    case 'create':
    case 'add': {
      const users = new Set(group.members.map(({ identity }) => identity.user));
      if (claimed.unavailable.some((user) => !users.has(user))) return reject('user_not_found', 'user');
      const add = claimed.packages.filter(({ deviceId }) => !members.has(deviceId));
      if (add.length > 0) return ok({ add: add.map(({ keyPackage }) => keyPackage) });
      return ok(intent.type === 'create' ? { update: true } : undefined);
    }
  }
}

export function creation(
  conversation: Cell['id'],
  messageId: MessageId,
  label: NorcCBody<'conversation_create'>['label'],
  { commit, welcome, groupInfo }: PendingCommit,
): NorcCBody<'conversation_create'> {
  const parts = { commit, welcome: welcome ?? new Uint8Array(0), group_info: groupInfo };
  return { conversation, label, message_id: messageId, ...parts };
}

export function submission(
  conversation: Cell['id'],
  messageId: MessageId,
  group: MlsGroup,
  { commit, welcome, groupInfo, added }: PendingCommit,
): NorcCBody<'commit_submit'> {
  const known = new Set(group.members.map(({ identity }) => identity.org));
  const brings = added.some(({ identity }) => !known.has(identity.org));
  return {
    ...{ conversation, message_id: messageId, commit },
    ...(welcome === undefined ? {} : { welcome }),
    ...(brings ? { group_info: groupInfo } : {}),
  };
}

/** The code of a refusal that is the server's word. */
export function refusalIn(answer: Acknowledgment): ErrorName | undefined {
  if (!answer.ok) return answer.error.fate === 'refused' ? answer.error.code : undefined;
  const { state, code } = answer.value;
  return state === 'refused' ? (errorNameOf(code ?? 0) ?? 'internal') : undefined;
}
