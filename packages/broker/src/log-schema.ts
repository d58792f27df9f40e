import { DatabaseSync } from "node:sqlite";
import { BrokerError } from "./errors.ts";

/** "HFLG" in ASCII: tells a broker's file from any other SQLite file. */
const APPLICATION_ID = 0x48464c47;
const VERSION = 1;

/** How long another process may take to let go of the file: a pod that is replaced needs a moment. */
const BUSY_MS = 1000;

// An entry's seq comes from meta and not from AUTOINCREMENT, which would write a second table for each entry.
// `due` is when the sweep has to look at a channel next. Ids of channels are never used again, since an idempotency
// row may outlive its channel for a moment.
const SCHEMA = `
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
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${VERSION};
`;

/**
 * Opens a broker's database, made anew where there is none: in memory, or in a file that this process alone holds
 * until it ends, whichever way it ends.
 *
 * @throws BrokerError `STORE_IN_USE`, `STORE_UNUSABLE`
 */
export function openLogDatabase(path: string | undefined): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path ?? ":memory:", { timeout: BUSY_MS });
    // The exclusive lock comes before WAL, which then needs no shared memory file. FULL syncs the WAL at every
    // commit: an accepted entry outlives a power cut. (https://sqlite.org/wal.html#noshm, pragma.html#pragma_synchronous)
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    database.exec("PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF;");
    migrate(database, path);
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
  if (application === 0 && version === 0 && tables === 0) database.exec(SCHEMA);
  else if (application !== APPLICATION_ID)
    throw new BrokerError("STORE_UNUSABLE", `${path} is another program's database: name another file.`);
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

function openingError(cause: unknown, path: string | undefined): BrokerError {
  // SQLite's result code 5 is SQLITE_BUSY (https://sqlite.org/rescode.html#busy).
  const code = cause instanceof Error && "errcode" in cause ? cause.errcode : undefined;
  if (code === 5)
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
