import type { DatabaseSync, StatementSync } from "node:sqlite";
import { PAGE_BYTES } from "./limits.ts";
import type { Entry, Retention } from "./port.ts";

/** A channel's row, held while the channel is in use. Only the store writes to it. */
export interface Channel {
  readonly id: number;
  readonly name: string;
  readonly epoch: string;
  head: number;
  /** The tag of the entry at `head`, kept for when that entry no longer is. */
  tag: string;
  /** Its seq, likewise; 0 where there was none yet. */
  seq: number;
  /** The oldest offset that retention lets anybody see; head + 1 when there is none. Never falls. */
  first: number;
  /** The oldest offset that still has a row; the rows below `first` are deleted in batches. */
  stored: number;
  retention: Retention | undefined;
  /** When it was last published to, or else made. */
  used: number;
  /** When the sweep looks at it next. */
  due: number;
}

/** What the store asks of the tables that log-schema makes. */
export type LogStatements = ReturnType<typeof prepareLog>;

type Row = NonNullable<ReturnType<StatementSync["get"]>>;

export function channelOf(row: Row): Channel {
  const [maxEntries, maxAgeMs] = [row.max_entries, row.max_age_ms];
  const own = typeof maxEntries === "number" && typeof maxAgeMs === "number";
  return {
    id: Number(row.id),
    name: String(row.name),
    epoch: String(row.epoch),
    head: Number(row.head),
    tag: String(row.tag),
    seq: Number(row.seq),
    first: Number(row.first),
    stored: Number(row.first),
    retention: own ? { maxEntries, maxAgeMs } : undefined,
    used: Number(row.used),
    due: Number(row.due),
  };
}

/** Entries up to the one that takes their bytes past a page's. */
export function takePage(rows: Iterable<Row>): Entry[] {
  const entries: Entry[] = [];
  let bytes = 0;
  for (const row of rows) {
    const entry = entryOf(row);
    entries.push(entry);
    bytes += entry.data.length;
    if (bytes >= PAGE_BYTES) break;
  }
  return entries;
}

function entryOf(row: Row): Entry {
  return {
    offset: Number(row.offset),
    seq: Number(row.seq),
    tag: String(row.tag),
    time: Number(row.time),
    data: row.data instanceof Uint8Array ? row.data : new Uint8Array(),
  };
}

export function prepareLog(database: DatabaseSync) {
  const sql = (text: string) => database.prepare(text);
  return {
    counters: sql(
      "SELECT seq, (SELECT count(*) FROM channels) AS channels, (SELECT count(*) FROM idempotency) AS keys FROM meta",
    ),
    setSeq: sql("UPDATE meta SET seq = ?"),
    findChannel: sql("SELECT * FROM channels WHERE name = ?"),
    addChannel: sql(
      "INSERT INTO channels (name, epoch, head, tag, first, used, due) VALUES (?, ?, 0, '', 1, ?, ?)",
    ),
    setChannel: sql(
      "UPDATE channels SET head = ?, tag = ?, seq = ?, first = ?, max_entries = ?, max_age_ms = ?, used = ?, due = ? WHERE id = ?",
    ),
    dropChannel: sql("DELETE FROM channels WHERE id = ?"),
    dueChannels: sql("SELECT name FROM channels WHERE due <= ? ORDER BY due LIMIT ?"),
    addEntry: sql("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)"),
    oldestEntry: sql("SELECT offset FROM entries WHERE channel_id = ? ORDER BY offset LIMIT 1"),
    firstSince: sql(
      "SELECT offset FROM entries WHERE channel_id = ? AND offset >= ? AND time > ? ORDER BY offset LIMIT 1",
    ),
    entriesAfter: sql("SELECT * FROM entries WHERE channel_id = ? AND offset > ? ORDER BY offset LIMIT ?"),
    entriesBefore: sql(
      "SELECT * FROM entries WHERE channel_id = ? AND offset < ? AND offset >= ? ORDER BY offset DESC LIMIT ?",
    ),
    entryTag: sql("SELECT tag FROM entries WHERE channel_id = ? AND offset = ?"),
    entryTime: sql("SELECT time FROM entries WHERE channel_id = ? AND offset = ?"),
    dropEntries: sql("DELETE FROM entries WHERE channel_id = ? AND offset < ?"),
    findKey: sql("SELECT offset, tag, seq, expires FROM idempotency WHERE channel_id = ? AND key = ?"),
    setKey: sql("INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)"),
    dropKeys: sql(
      "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency WHERE expires <= ? ORDER BY expires LIMIT ?)",
    ),
    dropChannelKeys: sql("DELETE FROM idempotency WHERE channel_id = ?"),
  };
}
