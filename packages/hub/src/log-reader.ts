import type { Broker, History, Position } from "@holdfast/broker";
import { formatCursor } from "@holdfast/broker";
import type { HubCounters } from "./counters.ts";

/**
 * Reads logs for resumes: those that come from one position share a read, and only so many reads are under way at
 * a time. When a server dies, all of its clients come at once, and most of them from the same few positions.
 */
export class LogReader {
  readonly #broker: Broker;
  readonly #pageSize: number;
  readonly #counters: HubCounters;
  readonly #underWay = new Map<string, Promise<History>>();
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(broker: Broker, pageSize: number, maxReads: number, counters: HubCounters) {
    this.#broker = broker;
    this.#pageSize = pageSize;
    this.#free = maxReads;
    this.#counters = counters;
  }

  /**
   * A page of what comes after the position. Rejects as `Broker.history` does.
   *
   * @param resets the channel's resets so far: a read that was begun before one is not shared after it
   */
  read(channel: string, since: Position, resets: number): Promise<History> {
    const key = `${resets} ${formatCursor(since)} ${channel}`;
    const shared = this.#underWay.get(key);
    if (shared) {
      this.#counters.sharedReads++;
      return shared;
    }
    const read = this.#take(channel, since).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, read);
    return read;
  }

  async #take(channel: string, since: Position): Promise<History> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      this.#counters.reads++;
      return await this.#broker.history(channel, { since, limit: this.#pageSize });
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
