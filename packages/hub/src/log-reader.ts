import type { Broker, History, HistoryQuery, Position } from "@holdfast/broker";
import { formatCursor } from "@holdfast/broker";
import type { HubCounters } from "./counters.ts";

/**
 * Reads logs: equal reads are shared, and only so many are under way at a time. When a server dies, all of its clients
 * come at once, and most of them from the same few positions.
 */
export class LogReader {
  readonly #broker: Broker;
  readonly #pageSize: number;
  readonly #counters: HubCounters;
  readonly #shared = new Map<string, Promise<History>>();
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(broker: Broker, pageSize: number, maxReads: number, counters: HubCounters) {
    this.#broker = broker;
    this.#pageSize = pageSize;
    this.#free = maxReads;
    this.#counters = counters;
  }

  /**
   * A page of what comes after the position, as of now or of shortly before: for a caller that notices an answer that
   * is too old, and reads again. Rejects as `Broker.history` does.
   *
   * @param resets the channel's resets so far: a read that was begun before one is not shared after it
   */
  readOn(channel: string, since: Position, resets: number): Promise<History> {
    const key = `${resets} ${formatCursor(since)} ${channel}`;
    const shared = this.#join(key);
    if (shared) return shared;
    const read = this.#take(channel, { since, limit: this.#pageSize }).finally(() =>
      this.#shared.delete(key),
    );
    this.#shared.set(key, read);
    return read;
  }

  /**
   * What `Broker.history` says, as of now: shared only with reads that had not begun when this was called, those of
   * the same turn of the event loop and those that wait for their turn. Rejects as `Broker.history` does.
   */
  read(channel: string, query: HistoryQuery): Promise<History> {
    const { since, before, backwards = false, limit } = query;
    const key = `${channel} ${since && formatCursor(since)} ${before && formatCursor(before)} ${backwards} ${limit}`;
    const shared = this.#join(key);
    if (shared) return shared;
    const read = new Promise<void>((resolve) => setImmediate(resolve)).then(() =>
      this.#take(channel, query, () => this.#shared.delete(key)),
    );
    this.#shared.set(key, read);
    return read;
  }

  #join(key: string): Promise<History> | undefined {
    const shared = this.#shared.get(key);
    if (shared) this.#counters.sharedReads++;
    return shared;
  }

  async #take(channel: string, query: HistoryQuery, onBegin?: () => void): Promise<History> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      onBegin?.();
      this.#counters.reads++;
      return await this.#broker.history(channel, query);
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
