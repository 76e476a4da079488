import type { DatabaseSync } from 'node:sqlite';
import type { StoreReader } from '../port.ts';
import { DirectoryQueries } from './directory-queries.ts';
import { LogQueries } from './log-queries.ts';
import { TrustQueries } from './trust-queries.ts';

/** Log entries travel packed (entry-record.ts); everything else as it is. */
type Carried<Name extends keyof StoreReader> = Name extends 'entries' | 'entryByMessageId'
  ? Uint8Array<ArrayBuffer>
  : Awaited<ReturnType<StoreReader[Name]>>;

/** The store's queries without promises, for the thread that runs them. A claim is a write and goes elsewhere. */
export type Queries = {
  readonly [Name in QueryName]: (...args: Parameters<StoreReader[Name]>) => Carried<Name>;
};

export type QueryName = Exclude<keyof StoreReader, 'claimKeyPackages'>;

export interface QueryCall {
  readonly name: QueryName;
  readonly args: readonly unknown[];
}

export function openQueries(database: DatabaseSync): Queries {
  const directory = new DirectoryQueries(database);
  const log = new LogQueries(database);
  const trust = new TrustQueries(database);
  return {
    user: (user) => directory.user(user),
    users: () => directory.users(),
    device: (id) => directory.device(id),
    devicesOf: (user) => directory.devicesOf(user),
    enrolment: (codeHash) => directory.enrolment(codeHash),
    keyPackageCount: (id, now) => directory.keyPackageCount(id, now),
    conversation: (id) => log.conversation(id),
    conversationIds: () => log.conversationIds(),
    conversationsWith: (domain) => log.conversationsWith(domain),
    members: (id) => log.members(id),
    memberships: (id) => log.memberships(id),
    followers: (id) => log.followers(id),
    behind: (peer) => log.behind(peer),
    delivered: (id) => log.delivered(id),
    entries: (id, after, limit, bytesMax) => log.entries(id, after, limit, bytesMax),
    entryByMessageId: (id, messageId) => log.entryByMessageId(id, messageId),
    outbox: (peer, limit) => log.outbox(peer, limit),
    outboxPeers: () => log.outboxPeers(),
    outboxItem: (peer, id) => log.outboxItem(peer, id),
    trustExchanges: () => trust.exchanges(),
    trustExchange: (id) => trust.exchange(id),
    trustCertificates: () => trust.certificates(),
    trustRevocations: () => trust.revocations(),
    trustHeard: (peer) => trust.heard(peer),
    trustRecords: (kind, peer) => trust.records(kind, peer),
    trustRecord: (kind, key) => trust.record(kind, key),
    trustDecided: (day) => trust.decided(day),
    auditHead: () => trust.auditHead(),
    auditEntries: (after, limit) => trust.auditEntries(after, limit),
    meta: (key) => trust.meta(key),
  };
}

/** Runs a call that came from another thread. */
export function runQuery(queries: Queries, call: QueryCall): unknown {
  const query = queries[call.name] as (...args: readonly unknown[]) => unknown; // read-client.ts pairs names and arguments
  return query(...call.args);
}
