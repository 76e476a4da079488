/** "NORC": tells this database from any other SQLite file. */
export const APPLICATION_ID = 0x4e4f5243;

/** Raised with every change of the tables; a database with a higher one is refused. */
export const SCHEMA_VERSION = 2;

/*
 * Why the log looks as it does (measured, spec/adr/0005-storage.md):
 * - `entry` is filled in order of arrival, so an append dirties its last page and one
 *   small leaf of each index, whatever the number of conversations.
 * - No head is stored: it is the entry with the highest seq, which is never dropped, or
 *   `base_seq` and `base_hash` while there is none.
 * - `lagging` lists at least every follower that lacks entries; it may list more.
 */
const TABLES = `
CREATE TABLE user (
  address TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment (
  code_hash BLOB PRIMARY KEY,
  user TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER,
  used_by BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  user TEXT NOT NULL,
  name TEXT NOT NULL,
  public_key BLOB NOT NULL,
  certificate BLOB NOT NULL,
  issuer_certificate BLOB NOT NULL,
  enrolled_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;
CREATE INDEX device_user ON device (user);

CREATE TABLE key_package (
  number INTEGER PRIMARY KEY,
  device BLOB NOT NULL,
  last_resort INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ref BLOB NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE INDEX key_package_stock ON key_package (device, last_resort);
CREATE UNIQUE INDEX key_package_ref ON key_package (device, ref);

CREATE TABLE conversation (
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  hub TEXT NOT NULL,
  label TEXT NOT NULL,
  floor TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  frozen INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  epoch_seq INTEGER NOT NULL,
  base_seq INTEGER NOT NULL,
  base_hash BLOB NOT NULL
) STRICT;

CREATE TABLE conversation_view (
  conversation INTEGER PRIMARY KEY REFERENCES conversation (number),
  view BLOB NOT NULL
) STRICT;

CREATE TABLE entry (
  number INTEGER PRIMARY KEY,
  conversation INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  stored_at INTEGER NOT NULL,
  message_id BLOB NOT NULL,
  hash BLOB NOT NULL,
  record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX entry_seq ON entry (conversation, seq);
CREATE UNIQUE INDEX entry_message ON entry (conversation, message_id);

-- cursor: 0 and never moved for a device of another organisation. The index has its own
-- column, since an index over cursor would be rewritten with every acknowledgement.
CREATE TABLE member (
  conversation INTEGER NOT NULL REFERENCES conversation (number),
  device BLOB NOT NULL,
  user TEXT NOT NULL,
  leaf_index INTEGER NOT NULL,
  joined_seq INTEGER NOT NULL,
  left_seq INTEGER,
  local INTEGER NOT NULL,
  cursor INTEGER NOT NULL,
  PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_device ON member (device) WHERE local = 1;

CREATE TABLE delivered (
  conversation INTEGER NOT NULL,
  user TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE peer (
  number INTEGER PRIMARY KEY,
  domain TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE follower (
  conversation INTEGER NOT NULL REFERENCES conversation (number),
  peer INTEGER NOT NULL REFERENCES peer (number),
  seq INTEGER NOT NULL,
  PRIMARY KEY (conversation, peer)
) STRICT, WITHOUT ROWID;

CREATE TABLE lagging (
  peer INTEGER NOT NULL,
  conversation INTEGER NOT NULL,
  PRIMARY KEY (peer, conversation)
) STRICT, WITHOUT ROWID;

-- priority: 0 control, 1 interactive, 2 bulk.
CREATE TABLE outbox (
  number INTEGER PRIMARY KEY,
  peer INTEGER NOT NULL REFERENCES peer (number),
  priority INTEGER NOT NULL,
  id BLOB NOT NULL,
  type INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX outbox_order ON outbox (peer, priority);
CREATE UNIQUE INDEX outbox_id ON outbox (peer, id);

CREATE TABLE trust_exchange (
  id TEXT PRIMARY KEY,
  peer TEXT NOT NULL,
  role TEXT NOT NULL,
  state TEXT NOT NULL,
  document BLOB NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

-- An issuer chooses its certificates' ids: only together with the issuer do they name one.
CREATE TABLE trust_certificate (
  issuer TEXT NOT NULL,
  id TEXT NOT NULL,
  subject TEXT NOT NULL,
  not_after INTEGER NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (issuer, id)
) STRICT;

CREATE TABLE trust_revocation (
  issuer TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  subject TEXT NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (issuer, sequence)
) STRICT;

CREATE TABLE trust_heard (
  peer TEXT PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  type TEXT NOT NULL,
  previous_hash BLOB NOT NULL,
  hash BLOB NOT NULL,
  entry BLOB NOT NULL,
  signature BLOB NOT NULL
) STRICT;

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;
`;

const TRUST_RECORDS = `
CREATE TABLE trust_record (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  peer TEXT,
  at INTEGER NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT;

CREATE TABLE trust_decided (
  day INTEGER NOT NULL,
  peer TEXT NOT NULL,
  question TEXT NOT NULL,
  outcome TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (day, peer, question, outcome)
) STRICT, WITHOUT ROWID;

-- Which conversations an organisation shares: asked when trust in it ends.
CREATE INDEX member_organisation ON member (substr(user, instr(user, '@') + 1), conversation)
  WHERE local = 0 AND left_seq IS NULL;
`;

/** What leads from each version to the next: the first from 1 to 2. */
export const MIGRATIONS: readonly string[] = [TRUST_RECORDS];

/** The tables of a new database. */
export const SCHEMA: string = [TABLES, ...MIGRATIONS].join('');
