import {
  BrokerError,
  type Entry,
  type History,
  type HistoryQuery,
  type Position,
  type Retention,
  type Unrecoverable,
} from "@holdfast/broker";
import { PAGE_BYTES, PAGE_ENTRIES } from "@holdfast/broker/engine";
import { Chain } from "./chain.ts";
import type { Log } from "./log.ts";
import { entriesOf, headOf, isSameTag, type StoredRecord, seqAt, seqOfTag, tagAt } from "./record.ts";
import type { ServerClock } from "./server-clock.ts";
import { type Visible, visibleOf } from "./visible.ts";

/** Records that are read one by one before it is worth a consumer. */
const STEPS = 3;
/** Backwards, a stretch with more bytes than this is read record by record from its end. */
const STRETCH_BYTES = 2 * PAGE_BYTES;
/** Reads that met a log which was trimmed meanwhile. */
const ATTEMPTS = 5;

/** The log was trimmed while it was read: what is so now is another question. */
class Trimmed extends Error {}

/** One reading of a channel's log, as of its newest record when it began. */
export class HistoryReader {
  readonly #log: Log;
  readonly #clock: ServerClock;
  readonly #retention: Retention;

  constructor(log: Log, clock: ServerClock, retention: Retention) {
    this.#log = log;
    this.#clock = clock;
    this.#retention = retention;
  }

  async read(channel: string, query: HistoryQuery, deadline: number): Promise<History> {
    for (let attempt = 1; ; attempt++) {
      const tail = await this.#log.open(channel, deadline);
      try {
        const visible = visibleOf(tail, this.#retention, this.#clock.now());
        return await this.#page(new Reading(this.#log, channel, tail, visible, deadline), query);
      } catch (error) {
        if (!(error instanceof Trimmed)) throw error;
        if (attempt === ATTEMPTS) throw new BrokerError("BROKER_UNAVAILABLE", "The log is trimmed too fast.");
      }
    }
  }

  async #page(reading: Reading, { since, before, backwards, limit }: HistoryQuery): Promise<History> {
    const { end } = reading;
    const most = Math.min(limit ?? PAGE_ENTRIES, PAGE_ENTRIES);
    const reason = backwards
      ? before && (await reading.unknown(before))
      : since && (await reading.unrecoverable(since));
    if (reason) return { type: "unrecoverable", reason, ...end };
    if (most === 0) return { type: "page", entries: [], ...end };
    if (backwards) return { type: "page", entries: await reading.backwards(before, most), ...end };
    const found = await reading.forwards(since, most);
    if (typeof found === "string") return { type: "unrecoverable", reason: found, ...end };
    return { type: "page", entries: found, ...end };
  }
}

class Reading {
  readonly head: Position;
  /** What every answer says of the log's end. */
  readonly end: { readonly head: Position; readonly seq: number };
  readonly #log: Log;
  readonly #channel: string;
  readonly #tail: StoredRecord;
  readonly #visible: Visible;
  readonly #deadline: number;
  /** The record that a position was verified with. */
  #anchor: StoredRecord | undefined;

  constructor(log: Log, channel: string, tail: StoredRecord, visible: Visible, deadline: number) {
    this.#log = log;
    this.#channel = channel;
    this.#tail = tail;
    this.#deadline = deadline;
    this.#visible = visible;
    this.head = headOf(tail);
    // A channel's newest record is kept as long as the channel itself; only its first one may hold no entry.
    const { length } = tail.entries;
    this.end = { head: this.head, seq: length === 0 ? 0 : seqAt(tail.seq, length - 1) };
  }

  /** Why reading forwards can't begin at a position. */
  async unrecoverable(since: Position): Promise<Unrecoverable | undefined> {
    const { epoch, offset, tag } = this.head;
    if (since.epoch !== epoch) return "epoch";
    if (since.offset > offset) return "ahead";
    if (since.offset === offset) return isSameTag(since.tag, tag) ? undefined : "tag";
    if (since.offset === 0) {
      if (since.tag !== "") return "tag";
      return this.#visible.first === 1 ? undefined : "trimmed";
    }
    if (since.offset < this.#visible.first) return "trimmed";
    const record = await this.#recordOf(since);
    if (record && record.time < this.#visible.since) return "trimmed";
    this.#anchor = record;
    if (record) return undefined;
    const oldest = await this.#log.next(this.#channel, 1, this.#deadline);
    return oldest && oldest.epoch === epoch && oldest.offset <= since.offset ? "tag" : "trimmed";
  }

  /** Why a position is none of this log, as far as that can still be seen. */
  async unknown(before: Position): Promise<Unrecoverable | undefined> {
    const reason = await this.unrecoverable(before);
    return reason === "trimmed" ? undefined : reason;
  }

  /** @returns why not, when entries right after the position are no longer shown, or it is none of this log's. */
  async forwards(since: Position | undefined, most: number): Promise<Entry[] | Unrecoverable> {
    const page = new Page(this.#visible, since?.offset ?? 0, this.head.offset, most);
    const next = since ? since.offset + 1 : this.#visible.first;
    if (next > this.head.offset) return [];
    const anchor = this.#anchor;
    if (next >= this.#tail.offset) {
      if (since && since.offset > 0 && next === this.#tail.offset && !isSameTag(since.tag, this.#tail.before))
        return "tag";
      page.add(this.#tail);
    } else {
      const counts = await this.#readOn(page, anchor ?? (await this.#seek(next)));
      if (anchor && !counts) return "tag";
    }
    if (!since) return page.entries;
    return page.entries[0]?.offset === next ? page.entries : "trimmed";
  }

  async backwards(before: Position | undefined, most: number): Promise<Entry[]> {
    const { first, since } = this.#visible;
    const end = before ? before.offset : this.head.offset + 1;
    const entries: Entry[] = [];
    if (end <= first) return entries;
    let bytes = 0;
    let record: StoredRecord | undefined =
      end > this.#tail.offset ? this.#tail : (this.#anchor ?? (await this.#seek(end - 1)));
    /** @returns whether the page has room for more. */
    const add = (one: StoredRecord): boolean => {
      for (const entry of entriesOf(one).reverse()) {
        if (entry.offset >= end) continue;
        if (entry.offset < first || entry.time < since || entries.length >= most || bytes >= PAGE_BYTES)
          return false;
        entries.push(entry);
        bytes += entry.data.length;
      }
      return one.offset > first;
    };
    while (record && add(record)) {
      const from: number = record.milestones[0]?.seq ?? record.previous;
      const stretch: number = record.bytes - (record.milestones[0]?.bytes ?? 0);
      if (record.previous === 0) break;
      if (from >= record.previous || stretch > STRETCH_BYTES) {
        record = await this.#earlier(record.previous);
        continue;
      }
      const records = await this.#stretch(from, record.previous);
      const oldest = records.shift();
      if (!records.reverse().every(add)) break;
      record = oldest;
    }
    return entries;
  }

  async #earlier(seq: number): Promise<StoredRecord | undefined> {
    // What is gone is past retention: the page ends there.
    return this.#log.at(this.#channel, seq, this.#deadline);
  }

  async #stretch(from: number, to: number): Promise<StoredRecord[]> {
    const records: StoredRecord[] = [];
    await this.#log.range(this.#channel, from, to, this.#deadline, (record) => {
      records.push(record);
      return true;
    });
    return records;
  }

  /** The record that a position was taken in; undefined when it is not there, or another one. */
  async #recordOf({ epoch, offset, tag }: Position): Promise<StoredRecord | undefined> {
    const seq = seqOfTag(tag);
    if (seq === undefined) return undefined;
    const isIt = (record: StoredRecord) => {
      const index = offset - record.offset;
      if (record.epoch !== epoch || index < 0 || index >= record.entries.length) return false;
      return isSameTag(tagAt(record, index), tag);
    };
    if (isIt(this.#tail)) return this.#tail;
    const there = seq < this.#tail.seq ? await this.#log.at(this.#channel, seq, this.#deadline) : undefined;
    if (there && isIt(there)) return there;
    // The server that named the place may have counted differently.
    let found: StoredRecord | undefined;
    const from = await this.#seek(offset);
    if (from.offset > offset) return undefined;
    await this.#log.range(this.#channel, from.seq, this.#tail.seq, this.#deadline, (record) => {
      if (isIt(record)) found = record;
      return record.offset + record.entries.length <= offset;
    });
    return found;
  }

  /** A record at or before an offset, not far from it: found by way of milestones, from the newest record back. */
  async #seek(offset: number): Promise<StoredRecord> {
    let record = this.#tail;
    while (record.offset > offset) {
      const wanted: StoredRecord = record;
      const steps = wanted.milestones.filter((milestone) => milestone.offset >= offset);
      const [nearest] = wanted.milestones;
      // The furthest one that is not past it; else the nearest that is.
      const seq = steps.at(-1)?.seq ?? nearest?.seq ?? wanted.previous;
      const found = seq > 0 ? await this.#log.at(this.#channel, seq, this.#deadline) : undefined;
      if (found && found.epoch === this.head.epoch && found.seq < wanted.seq) {
        record = found;
        if (found.time < this.#visible.since) return found;
        continue;
      }
      // It is deleted: what is left begins after it.
      const oldest = await this.#log.next(this.#channel, 1, this.#deadline);
      if (!oldest || oldest.epoch !== this.head.epoch) throw new Trimmed();
      return oldest;
    }
    return record;
  }

  /** @returns whether the record that it began with counts */
  async #readOn(page: Page, from: StoredRecord): Promise<boolean> {
    let counts = false;
    let record = from;
    const last = this.#tail.seq;
    const chain = new Chain(last, (one) => {
      counts ||= one === from;
      return page.add(one);
    });
    let wantsMore = chain.add(record);
    for (let step = 0; wantsMore && step < STEPS; step++) {
      const next = await this.#log.next(this.#channel, record.seq + 1, this.#deadline);
      if (!next) throw new Trimmed();
      record = next;
      wantsMore = chain.add(record);
    }
    const add = (next: StoredRecord) => chain.add(next);
    if (wantsMore) await this.#log.range(this.#channel, record.seq + 1, last, this.#deadline, add);
    return counts;
  }
}

/** Entries from a position on, up to a page's bounds. */
class Page {
  readonly entries: Entry[] = [];
  readonly #visible: Visible;
  readonly #after: number;
  readonly #last: number;
  readonly #most: number;
  #bytes = 0;

  constructor(visible: Visible, after: number, last: number, most: number) {
    this.#visible = visible;
    this.#after = after;
    this.#last = last;
    this.#most = most;
  }

  /** @returns whether there is room for more. */
  add(record: StoredRecord): boolean {
    for (const entry of entriesOf(record)) {
      if (entry.offset <= this.#after || entry.offset < this.#visible.first) continue;
      if (entry.time < this.#visible.since) continue;
      const previous = this.entries.at(-1);
      if (previous && entry.offset !== previous.offset + 1) throw new Trimmed();
      if (entry.offset > this.#last) return false;
      this.entries.push(entry);
      this.#bytes += entry.data.length;
      if (this.entries.length >= this.#most || this.#bytes >= PAGE_BYTES) return false;
    }
    return record.offset + record.entries.length <= this.#last;
  }
}
