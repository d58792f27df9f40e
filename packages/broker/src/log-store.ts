import type { DatabaseSync } from "node:sqlite";
import { BrokerError } from "./errors.ts";
import { LeaseStore } from "./lease-store.ts";
import { PAGE_ENTRIES } from "./limits.ts";
import { type Channel, channelOf, type LogStatements, prepareLog, takePage } from "./log-rows.ts";
import { isFull, openLogDatabase } from "./log-schema.ts";
import type {
  Entry,
  History,
  HistoryQuery,
  Position,
  PublishOptions,
  Retention,
  Unrecoverable,
} from "./port.ts";
import { randomText } from "./random-text.ts";

export interface LogLimits {
  readonly retention: Retention;
  readonly maxChannels: number;
  readonly maxIdempotencyKeys: number;
  readonly idempotencyMs: number;
  readonly forgetChannelAfterMs: number;
  readonly maxLeases: number;
  readonly maxFileBytes: number;
}

export type Appended =
  | { readonly type: "appended"; readonly entry: Entry }
  | { readonly type: "duplicate"; readonly position: Position; readonly seq: number };

const EPOCH_CHARACTERS = 12;
const TAG_CHARACTERS = 6;
const CACHED_CHANNELS = 10_000;

/** Rows past retention that are left until deleting them is worth a statement. */
const TRIM_SLACK = 64;
const TRIM_ROWS = 1000;
const SWEEP_CHANNELS = 200;
const SWEEP_KEYS = 2000;
const SWEEP_AGAIN_MS = 1000;

export function newEpoch(): string {
  return randomText(EPOCH_CHARACTERS);
}

/** The logs in SQLite: rows and statements, all of them synchronous. What changes something is called in `transaction`. */
export class LogStore {
  /** The leases, beside the logs: written in the same transactions. */
  readonly leases: LeaseStore;
  readonly #database: DatabaseSync;
  readonly #limits: LogLimits;
  readonly #statements: LogStatements;
  readonly #channels = new Map<string, Channel>();
  readonly #changed = new Set<Channel>();
  #seq = 0;
  #savedSeq = 0;
  #channelCount = 0;
  #keyCount = 0;

  /** @throws BrokerError `STORE_IN_USE`, `STORE_UNUSABLE` */
  constructor(path: string | undefined, limits: LogLimits, now: number) {
    this.#database = openLogDatabase(path, limits.maxFileBytes);
    this.#limits = limits;
    this.#statements = prepareLog(this.#database);
    this.leases = new LeaseStore(this.#database, limits.maxLeases, now);
    this.#readCounters();
  }

  /** Does the work and commits it; or undoes all of it, and throws what it threw. */
  transaction(work: () => void): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      work();
      for (const channel of this.#changed) this.#write(channel);
      if (this.#seq !== this.#savedSeq) this.#statements.setSeq.run(this.#seq);
      this.leases.save();
      this.#database.exec("COMMIT");
      this.#savedSeq = this.#seq;
      this.#changed.clear();
    } catch (error) {
      this.#undo();
      if (isFull(error)) this.#makeRoom();
      throw error;
    }
  }

  /** The channel, if it was ever used. */
  find(name: string): Channel | undefined {
    const held = this.#channels.get(name);
    // All there are may be held.
    if (held || this.#channels.size === this.#channelCount) return held;
    const row = this.#statements.findChannel.get(name);
    return row && this.#hold(channelOf(row));
  }

  /** Channels that have a row. */
  get channelCount(): number {
    return this.#channelCount;
  }

  /**
   * The channel, made where it isn't yet, so that its epoch is known before its first entry.
   *
   * @param epoch of a new one, where it was told already
   * @throws BrokerError `CHANNEL_LIMIT`
   */
  open(name: string, now: number, epoch = newEpoch()): Channel {
    const found = this.find(name);
    if (found) return found;
    if (this.#channelCount >= this.#limits.maxChannels) throw new BrokerError("CHANNEL_LIMIT");
    const due = now + this.#limits.forgetChannelAfterMs;
    const { lastInsertRowid } = this.#statements.addChannel.run(name, epoch, now, due);
    this.#channelCount++;
    return this.#hold({
      id: Number(lastInsertRowid),
      name,
      epoch,
      head: 0,
      tag: "",
      seq: 0,
      first: 1,
      stored: 1,
      retention: undefined,
      used: now,
      due,
    });
  }

  /** @throws BrokerError `BROKER_UNAVAILABLE` when more idempotency keys are kept than there is room for. */
  append(channel: Channel, data: Uint8Array, options: PublishOptions, now: number): Appended {
    const { idempotencyKey: key, retention } = options;
    const earlier = key === undefined ? undefined : this.#statements.findKey.get(channel.id, key);
    if (earlier && Number(earlier.expires) > now)
      return {
        type: "duplicate",
        position: { epoch: channel.epoch, offset: Number(earlier.offset), tag: String(earlier.tag) },
        seq: Number(earlier.seq),
      };
    if (key !== undefined && this.#keyCount >= this.#limits.maxIdempotencyKeys)
      throw new BrokerError("BROKER_UNAVAILABLE", "Too many idempotency keys are kept.");
    if (retention) this.#retain(channel, retention, now);
    const entry: Entry = {
      offset: channel.head + 1,
      seq: ++this.#seq,
      tag: randomText(TAG_CHARACTERS),
      time: now,
      data,
    };
    this.#statements.addEntry.run(entry.seq, channel.id, entry.offset, entry.tag, now, data);
    if (key !== undefined) this.#keep(channel, key, entry, now, earlier !== undefined);
    this.#advanceHead(channel, entry, now);
    return { type: "appended", entry };
  }

  /** A page of what comes after a position, or before one, and the head, as of now. */
  page(channel: Channel, query: HistoryQuery, now: number): History {
    channel.first = this.#firstVisible(channel, now);
    const end = { head: positionOf(channel), seq: channel.seq };
    const { since, before } = query;
    const reason = since ? this.#unrecoverable(channel, since) : before && this.#unknown(channel, before);
    if (reason) return { type: "unrecoverable", reason, ...end };
    const limit = Math.min(query.limit ?? PAGE_ENTRIES, PAGE_ENTRIES);
    if (limit === 0) return { type: "page", entries: [], ...end };
    const { entriesAfter, entriesBefore } = this.#statements;
    const rows = query.backwards
      ? entriesBefore.iterate(channel.id, before?.offset ?? channel.head + 1, channel.first, limit)
      : entriesAfter.iterate(channel.id, since ? since.offset : channel.first - 1, limit);
    return { type: "page", entries: takePage(rows), ...end };
  }

  /** Drops a batch of what is past its time. @returns whether more is waiting. */
  sweep(now: number, inUse: (name: string) => boolean): boolean {
    const { changes } = this.#statements.dropKeys.run(now, SWEEP_KEYS);
    this.#keyCount -= Number(changes);
    const due = this.#statements.dueChannels.all(now, SWEEP_CHANNELS);
    for (const { name } of due) this.#sweepChannel(String(name), now, inUse);
    return changes === SWEEP_KEYS || due.length === SWEEP_CHANNELS;
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #unrecoverable(channel: Channel, since: Position): Unrecoverable | undefined {
    if (since.epoch !== channel.epoch) return "epoch";
    if (since.offset > channel.head) return "ahead";
    if (since.offset === channel.head) return since.tag === channel.tag ? undefined : "tag";
    if (since.offset === 0 && since.tag !== "") return "tag";
    if (since.offset === 0) return channel.first === 1 ? undefined : "trimmed";
    // A position whose own entry is gone can't be verified, even if the next entry is still there.
    if (since.offset < channel.first) return "trimmed";
    const row = this.#statements.entryTag.get(channel.id, since.offset);
    return row?.tag === since.tag ? undefined : "tag";
  }

  /** Why a position is none of this log, as far as that can still be seen. */
  #unknown(channel: Channel, at: Position): Unrecoverable | undefined {
    const reason = this.#unrecoverable(channel, at);
    return reason === "trimmed" ? undefined : reason;
  }

  #advanceHead(channel: Channel, entry: Entry, now: number): void {
    const { maxEntries, maxAgeMs } = channel.retention ?? this.#limits.retention;
    if (channel.first > channel.head) channel.due = Math.min(channel.due, now + maxAgeMs);
    channel.head = entry.offset;
    channel.tag = entry.tag;
    channel.seq = entry.seq;
    channel.used = now;
    channel.first = Math.max(channel.first, channel.head - maxEntries + 1);
    if (channel.first - channel.stored > TRIM_SLACK) this.#trim(channel);
    this.#changed.add(channel);
  }

  /** What the old retention has dropped stays dropped under the new one. */
  #retain(channel: Channel, retention: Retention, now: number): void {
    const { maxEntries, maxAgeMs } = channel.retention ?? this.#limits.retention;
    if (retention.maxEntries === maxEntries && retention.maxAgeMs === maxAgeMs) return;
    channel.first = this.#firstVisible(channel, now);
    channel.retention = { maxEntries: retention.maxEntries, maxAgeMs: retention.maxAgeMs };
    channel.due = now;
    this.#changed.add(channel);
  }

  #firstVisible(channel: Channel, now: number): number {
    const { maxEntries, maxAgeMs } = channel.retention ?? this.#limits.retention;
    const byCount = Math.max(channel.first, channel.head - maxEntries + 1);
    if (byCount > channel.head) return byCount;
    const row = this.#statements.firstSince.get(channel.id, byCount, now - maxAgeMs);
    return row ? Number(row.offset) : channel.head + 1;
  }

  #keep(channel: Channel, key: string, entry: Entry, now: number, replaces: boolean): void {
    const expires = now + this.#limits.idempotencyMs;
    this.#statements.setKey.run(channel.id, key, entry.offset, entry.tag, entry.seq, expires);
    if (!replaces) this.#keyCount++;
  }

  #sweepChannel(name: string, now: number, inUse: (name: string) => boolean): void {
    const channel = this.find(name);
    if (!channel) return;
    const { maxAgeMs } = channel.retention ?? this.#limits.retention;
    channel.first = this.#firstVisible(channel, now);
    this.#trim(channel);
    const empty = channel.first > channel.head && channel.stored > channel.head;
    const forgetAt = channel.used + this.#limits.forgetChannelAfterMs;
    if (empty && forgetAt <= now && !inUse(name)) {
      this.#forget(channel);
      return;
    }
    if (channel.stored < channel.first) channel.due = now;
    else if (empty) channel.due = Math.max(forgetAt, now + SWEEP_AGAIN_MS);
    else channel.due = Math.max(this.#timeOf(channel, channel.first, now) + maxAgeMs, now + SWEEP_AGAIN_MS);
    this.#changed.add(channel);
  }

  #trim(channel: Channel): void {
    const below = Math.min(channel.first, channel.stored + TRIM_ROWS);
    if (below > channel.stored) this.#statements.dropEntries.run(channel.id, below);
    channel.stored = Math.max(channel.stored, below);
  }

  #timeOf(channel: Channel, offset: number, now: number): number {
    const row = this.#statements.entryTime.get(channel.id, offset);
    return row ? Number(row.time) : now;
  }

  /** A channel that is used again after this has another epoch, so that old positions in it are refused. */
  #forget(channel: Channel): void {
    this.#keyCount -= Number(this.#statements.dropChannelKeys.run(channel.id).changes);
    this.#statements.dropChannel.run(channel.id);
    this.#channelCount--;
    this.#channels.delete(channel.name);
    this.#changed.delete(channel);
  }

  #write(channel: Channel): void {
    const { head, tag, seq, first, retention, used, due, id } = channel;
    const [maxEntries, maxAgeMs] = [retention?.maxEntries ?? null, retention?.maxAgeMs ?? null];
    this.#statements.setChannel.run(head, tag, seq, first, maxEntries, maxAgeMs, used, due, id);
  }

  #undo(): void {
    this.#changed.clear();
    this.#channels.clear();
    if (!this.#database.isOpen) return;
    if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    this.leases.undo();
    this.#readCounters();
  }

  /** What the write-ahead log holds is moved to where it belongs, and its own room is given back. */
  #makeRoom(): void {
    try {
      this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // There is not even room for that: the next write finds out whether there is some by then.
    }
  }

  #readCounters(): void {
    const row = this.#statements.counters.get();
    this.#seq = Number(row?.seq);
    this.#savedSeq = this.#seq;
    this.#channelCount = Number(row?.channels);
    this.#keyCount = Number(row?.keys);
  }

  #hold(channel: Channel): Channel {
    const stored = this.#statements.oldestEntry.get(channel.id);
    channel.stored = stored ? Number(stored.offset) : channel.head + 1;
    if (this.#changed.size === 0) this.#trimCache();
    this.#channels.set(channel.name, channel);
    return channel;
  }

  #trimCache(): void {
    if (this.#channels.size < CACHED_CHANNELS) return;
    for (const name of this.#channels.keys()) {
      this.#channels.delete(name);
      if (this.#channels.size <= CACHED_CHANNELS / 2) return;
    }
  }
}

/** Where a channel's log ends. */
export function positionOf({ epoch, head, tag }: Channel): Position {
  return { epoch, offset: head, tag };
}
