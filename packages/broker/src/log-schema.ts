import { DatabaseSync } from "node:sqlite";
import { BrokerError } from "./errors.ts";

/** "HFLG" in ASCII: tells a broker's file from any other SQLite file. */
const APPLICATION_ID = 0x48464c47;
const VERSION = 3;
const PAGE_BYTES = 4096;

/** How long another process may take to let go of the file: a pod that is replaced needs a moment. */
const BUSY_MS = 1000;

// An entry's seq comes from meta and not from AUTOINCREMENT, which would write a second table for each entry.
// `due` is when the sweep has to look at a channel next. Ids of channels are never used again, since an idempotency
// row may outlive its channel for a moment.
const LOGS = `
  CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL) STRICT;
  INSERT INTO meta VALUES (1, 0);
  CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    head INTEGER NOT NULL,
    tag TEXT NOT NULL,
    first INTEGER NOT NULL,
    max_entries INTEGER,
    max_age_ms INTEGER,
    used INTEGER NOT NULL,
    due INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX channels_due ON channels (due);
  CREATE TABLE entries (
    seq INTEGER PRIMARY KEY,
    channel_id INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    tag TEXT NOT NULL,
    time INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (channel_id, offset)
  ) STRICT;
  CREATE TABLE idempotency (
    channel_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    offset INTEGER NOT NULL,
    tag TEXT NOT NULL,
    seq INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    UNIQUE (channel_id, key)
  ) STRICT;
  CREATE INDEX idempotency_expires ON idempotency (expires);
`;

// Since version 2. `moved`: the lease had more than one owner, so its removal has to be remembered (lease_tombs).
// `ends_at` is set once an owner was released; before, its deadline is in memory only, so that renewing writes nothing.
const LEASES = `
  ALTER TABLE meta ADD COLUMN lease_version INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE lease_owners (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    ttl_ms INTEGER NOT NULL,
    ends_at INTEGER
  ) STRICT;
  CREATE TABLE leases (
    id INTEGER PRIMARY KEY,
    group_name TEXT NOT NULL,
    key TEXT NOT NULL,
    owner_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    linger_ms INTEGER NOT NULL,
    moved INTEGER NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (group_name, key)
  ) STRICT;
  CREATE INDEX leases_owner ON leases (owner_id, linger_ms);
  CREATE TABLE lease_tombs (
    group_name TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (group_name, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX lease_tombs_expires ON lease_tombs (expires);
`;

// Since version 3: the seq of a channel's newest entry. Where that entry is gone, no entry had a greater one than meta's.
const HEAD_SEQS = `
  ALTER TABLE channels ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
  UPDATE channels SET seq = coalesce(
    (SELECT entries.seq FROM entries WHERE channel_id = channels.id AND offset = channels.head),
    (SELECT meta.seq FROM meta)
  ) WHERE head > 0;
`;

const STAMP = `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${VERSION};`;

/**
 * Opens a broker's database, made anew where there is none: in memory, or in a file that this process alone holds
 * until it ends, whichever way it ends. A file of an earlier version is brought to this one, with all that it holds.
 *
 * @param maxBytes how large it may grow, its write-ahead log not counted.
 * @throws BrokerError `STORE_IN_USE`, `STORE_UNUSABLE`
 */
export function openLogDatabase(path: string | undefined, maxBytes: number): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path ?? ":memory:", { timeout: BUSY_MS });
    // The exclusive lock comes before WAL, which then needs no shared memory file. FULL syncs the WAL at every
    // commit: an accepted entry outlives a power cut. (https://sqlite.org/wal.html#noshm, pragma.html#pragma_synchronous)
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    database.exec("PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF;");
    migrate(database, path);
    database.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxBytes / PAGE_BYTES))};`);
    return database;
  } catch (cause) {
    if (database?.isOpen) database.close();
    if (cause instanceof BrokerError) throw cause;
    throw openingError(cause, path);
  }
}

function migrate(database: DatabaseSync, path: string | undefined): void {
  database.exec("BEGIN IMMEDIATE");
  const application = pragma(database, "application_id");
  const version = pragma(database, "user_version");
  const tables = database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()?.count;
  if (application === 0 && version === 0 && tables === 0) database.exec(LOGS + LEASES + HEAD_SEQS + STAMP);
  else if (application !== APPLICATION_ID)
    throw new BrokerError("STORE_UNUSABLE", `${path} is another program's database: name another file.`);
  else if (version === 1) database.exec(LEASES + HEAD_SEQS + STAMP);
  else if (version === 2) database.exec(HEAD_SEQS + STAMP);
  else if (version !== VERSION)
    throw new BrokerError(
      "STORE_UNUSABLE",
      `${path} has version ${version} of the schema and this Holdfast knows ${VERSION}: use the Holdfast that made it, or another file.`,
    );
  database.exec("COMMIT");
}

function pragma(database: DatabaseSync, name: string): unknown {
  return database.prepare(`PRAGMA ${name}`).get()?.[name];
}

/** SQLITE_FULL: the disk, or the file, is. */
export function isFull(cause: unknown): boolean {
  return resultCode(cause) === 13;
}

/** What a failed read or write means to the caller: no room, or something else that may pass. */
export function storeError(what: string, cause: unknown): BrokerError {
  return new BrokerError(isFull(cause) ? "BROKER_FULL" : "BROKER_UNAVAILABLE", what, { cause });
}

/** SQLite's primary result code (https://sqlite.org/rescode.html). */
function resultCode(cause: unknown): number | undefined {
  const code = cause instanceof Error && "errcode" in cause ? cause.errcode : undefined;
  return typeof code === "number" ? code & 0xff : undefined;
}

function openingError(cause: unknown, path: string | undefined): BrokerError {
  // SQLITE_BUSY
  if (resultCode(cause) === 5)
    return new BrokerError("STORE_IN_USE", `${path}: end that process, or name another file.`, { cause });
  const why = cause instanceof Error ? cause.message : String(cause);
  return new BrokerError(
    "STORE_UNUSABLE",
    `${path ?? "memory"}: ${why}. Its folder must exist and be writable.`,
    {
      cause,
    },
  );
}
