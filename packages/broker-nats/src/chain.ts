import type { StoredRecord } from "./record.ts";

/**
 * A channel's records in the order of the stream. A server that has just become a stream's leader can take a record behind one that had
 * a successor already, which it didn't know of yet (nats-server before 2.11): then the log has two of the same offsets. The later one
 * counts, since that is what the log went on from. The other was passed over, as if it had been lost: who has seen it finds that its
 * tag is not in the log.
 */
export class Chain {
  readonly #last: number;
  readonly #take: (record: StoredRecord) => boolean;
  #held: StoredRecord | undefined;

  /**
   * @param last the place of the last record that is added, which counts
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
    if (held && !isPassedOver(held, record) && !this.#take(held)) return false;
    if (record.seq < this.#last) return true;
    if (record.seq === this.#last) this.#take(record);
    return false;
  }
}

/** Whether a record doesn't count, by the next one of its log. */
export function isPassedOver({ offset, entries }: StoredRecord, next: StoredRecord): boolean {
  return next.offset < offset + entries.length;
}
