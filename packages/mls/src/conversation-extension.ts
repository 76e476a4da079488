import { decodeUtf8, LEVELS, parseDomain, type Result, reject, utf8 } from '@norc/protocol/base';
import type { ConversationSettings, HubSender } from './engine.ts';
import { type Extension, encodeCredential, extensionTypeToNumber } from './library.ts';
import { EXTENSION_CONVERSATION, EXTERNAL_SENDERS_MAX, type GroupLevel } from './profile.ts';
import { readAll, TlsFault, TlsReader, TlsWriter } from './tls.ts';

const VERSION = 1;
const EXTERNAL_SENDERS = 5;

export interface GroupExtensions {
  readonly settings: ConversationSettings;
  readonly hubSenders: readonly HubSender[];
}

/**
 * GroupContext extensions of a conversation (spec/mls-profile section 3): the hub and
 * the trust floor, which every member so learns from the group itself and not from its
 * server, and the keys by which the hub may propose removals.
 */
export function encodeGroupExtensions({ settings, hubSenders }: GroupExtensions): Extension[] {
  const conversation = new TlsWriter()
    .uint8(VERSION)
    .vector(utf8(settings.hub))
    .uint8(LEVELS[settings.level].rank)
    .finish();
  const extensions: Extension[] = [{ extensionType: EXTENSION_CONVERSATION, extensionData: conversation }];
  if (hubSenders.length === 0) return extensions;
  const senders = new TlsWriter();
  for (const { publicKey, certificates } of hubSenders) {
    senders.vector(publicKey).fixed(encodeCredential({ credentialType: 'x509', certificates: [...certificates] }));
  }
  // RFC 9420 section 12.1.8.1 wants one vector of senders; the library writes a bare sender.
  const extensionData = new TlsWriter().vector(senders.finish()).finish();
  return [...extensions, { extensionType: 'external_senders', extensionData }];
}

/** Exactly what `encodeGroupExtensions` writes; anything else is `malformed`. */
export function decodeGroupExtensions(extensions: readonly Extension[]): Result<GroupExtensions> {
  const byType = new Map(extensions.map((e) => [extensionTypeToNumber(e.extensionType), e.extensionData]));
  if (byType.size !== extensions.length) return reject('malformed', 'GroupContext: an extension twice');
  const conversation = byType.get(EXTENSION_CONVERSATION);
  const senders = byType.get(EXTERNAL_SENDERS);
  const known = (conversation === undefined ? 0 : 1) + (senders === undefined ? 0 : 1);
  if (conversation === undefined || known !== extensions.length) {
    return reject('malformed', 'GroupContext: extensions are not those of a conversation');
  }
  const settings = readAll(conversation, 'conversation extension', readSettings);
  if (!settings.ok) return settings;
  const hubSenders = senders === undefined ? undefined : readAll(senders, 'external senders', readSenders);
  if (hubSenders !== undefined && !hubSenders.ok) return hubSenders;
  return { ok: true, value: { settings: settings.value, hubSenders: hubSenders?.value ?? [] } };
}

function readSettings(reader: TlsReader): ConversationSettings {
  if (reader.uint8() !== VERSION) throw new TlsFault('malformed', 'version');
  const hub = parseDomain(decodeUtf8(reader.vector()) ?? '');
  if (!hub.ok) throw new TlsFault('malformed', 'hub');
  const level = levelOfRank(reader.uint8());
  if (level === undefined) throw new TlsFault('malformed', 'level');
  return { hub: hub.value, level };
}

function levelOfRank(rank: number): GroupLevel | undefined {
  const level = Object.values(LEVELS).find((candidate) => candidate.rank === rank)?.name;
  return level === 'untrusted' ? undefined : level;
}

function readSenders(outer: TlsReader): HubSender[] {
  const reader = new TlsReader(outer.vector());
  const senders: HubSender[] = [];
  while (!reader.done) {
    if (senders.length === EXTERNAL_SENDERS_MAX) throw new TlsFault('limit_exceeded', 'senders');
    senders.push({ publicKey: reader.vector(), certificates: readX509(reader) });
  }
  return senders;
}

const CREDENTIAL_X509 = 2;

function readX509(reader: TlsReader): Uint8Array[] {
  if (reader.uint16() !== CREDENTIAL_X509) throw new TlsFault('malformed', 'credential type');
  const list = new TlsReader(reader.vector());
  const certificates: Uint8Array[] = [];
  while (!list.done) certificates.push(list.vector());
  return certificates;
}
