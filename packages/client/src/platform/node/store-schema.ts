/**
 * What can be seen in the file without the key: random ids, log places, which row
 * changes which, sizes and counts. Every other value is in a sealed column, and every
 * name that must be looked up stands as a keyed tag.
 */
export const SCHEMA_VERSION = 1;

/** "NORC", so that another program's file is told apart. */
export const APPLICATION_ID = 0x4e4f5243;

export const SCHEMA = `
  CREATE TABLE vault (id INTEGER PRIMARY KEY CHECK (id = 1), document TEXT NOT NULL) STRICT;
  CREATE TABLE device (id INTEGER PRIMARY KEY CHECK (id = 1), row BLOB NOT NULL) STRICT;
  CREATE TABLE server_version (server BLOB PRIMARY KEY, row BLOB NOT NULL) STRICT;
  CREATE TABLE key_package (
    position INTEGER PRIMARY KEY,
    ref TEXT NOT NULL UNIQUE,
    last_resort INTEGER NOT NULL,
    stock BLOB NOT NULL,
    secret BLOB NOT NULL
  ) STRICT;
  CREATE TABLE mls_group (
    conversation TEXT PRIMARY KEY,
    row BLOB NOT NULL,
    state BLOB NOT NULL,
    pending BLOB
  ) STRICT;
  CREATE TABLE conversation (
    number INTEGER PRIMARY KEY,
    conversation TEXT NOT NULL UNIQUE,
    details BLOB NOT NULL,
    position BLOB NOT NULL
  ) STRICT;
  CREATE TABLE mark (
    number INTEGER PRIMARY KEY,
    conversation TEXT NOT NULL,
    mark TEXT NOT NULL,
    user BLOB NOT NULL,
    row BLOB NOT NULL,
    UNIQUE (conversation, mark, user)
  ) STRICT;
  CREATE TABLE message (
    conversation TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sender BLOB NOT NULL,
    seq INTEGER,
    target TEXT,
    row BLOB NOT NULL,
    PRIMARY KEY (conversation, message_id, sender)
  ) STRICT;
  CREATE UNIQUE INDEX message_seq ON message (conversation, seq) WHERE seq IS NOT NULL;
  CREATE INDEX message_unordered ON message (conversation) WHERE seq IS NULL;
  CREATE INDEX message_target ON message (conversation, target) WHERE target IS NOT NULL;
  CREATE TABLE outgoing (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    row BLOB NOT NULL
  ) STRICT;
  CREATE TABLE meta (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT;
`;
