import type { StoredRecord } from "./record.ts";

/**
 * A channel's records, of which each names the one before it. A server that has just become a stream's leader can take a record behind
 * one that had a successor already, which it didn't know of yet (nats-server before 2.11): then the log has two of one
 * place. That one counts which the log went on from; the newest always does. The other was passed over, as if it had been lost: who
 * has seen it finds that its tag is not in the log.
 */
export class Chain {
  readonly #last: number;
  readonly #take: (record: StoredRecord) => boolean;
  #held: StoredRecord | undefined;

  /**
   * @param last the place of a record that counts, the last that is added
   * @param take is given those that count, in order. @returns whether it wants more
   */
  constructor(last: number, take: (record: StoredRecord) => boolean) {
    this.#last = last;
    this.#take = take;
  }

  /** Adds the next record of the log. @returns whether more are wanted */
  add(record: StoredRecord): boolean {
    const held = this.#held;
    this.#held = record;
    if (held && record.previous === held.seq && !this.#take(held)) return false;
    if (record.seq < this.#last) return true;
    if (record.seq === this.#last) this.#take(record);
    return false;
  }
}
