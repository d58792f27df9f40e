import type { Position } from "@holdfast/broker";
import type { Channel } from "./channel.ts";
import type { HubCounters } from "./counters.ts";
import { HubError } from "./errors.ts";
import type { LogReader } from "./log-reader.ts";
import type { Arrival, Membership, Outlet } from "./outlet.ts";

/** Reads that show nothing new although the node has delivered more; past that the broker contradicts itself. */
const FRUITLESS_READS = 3;

/**
 * One subscriber's way into a channel.
 *
 * It is read forward from its cursor to exactly the node's `last` and joins the live group in that same turn of the
 * event loop, so there is neither a buffer nor a seam. What a page holds past `last` is left to the live feed. The
 * code between a read's answer and `#goLive` therefore awaits nothing, except where the subscriber asks for time;
 * then `last` is looked at again.
 */
export class Member implements Membership {
  readonly joined: Promise<void>;
  readonly #channel: Channel;
  readonly #outlet: Outlet;
  readonly #arrival: Arrival;
  readonly #reader: LogReader;
  readonly #counters: HubCounters;
  readonly #onLeave: () => void;
  #isLive = false;
  #left = false;
  #wake: (() => void) | undefined;

  constructor(
    channel: Channel,
    outlet: Outlet,
    cursor: Position | undefined,
    arrival: Arrival,
    reader: LogReader,
    counters: HubCounters,
    onLeave: () => void,
  ) {
    this.#channel = channel;
    this.#outlet = outlet;
    this.#arrival = arrival;
    this.#reader = reader;
    this.#counters = counters;
    this.#onLeave = onLeave;
    this.joined = this.#arrive(cursor).catch((error) => {
      if (this.#left) return;
      this.leave();
      throw error;
    });
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    if (this.#isLive) this.#channel.leave(this.#outlet);
    this.#wake?.();
    this.#onLeave();
  }

  async #arrive(cursor: Position | undefined): Promise<void> {
    await this.#channel.followed;
    if (this.#left) return;
    if (cursor) return this.#resume(cursor);
    this.#counters.joined++;
    const last = this.#channel.last;
    this.#arrival.begin({ recovered: false, position: last, head: last.offset });
    this.#goLive();
  }

  async #resume(cursor: Position): Promise<void> {
    const channel = this.#channel;
    let position = cursor;
    let begun = false;
    let fruitless = 0;
    const begin = (head: number) => {
      if (begun) return;
      begun = true;
      this.#counters.recovered++;
      this.#arrival.begin({ recovered: true, position, head });
    };

    while (!this.#left) {
      if (isSame(position, channel.last)) {
        begin(channel.last.offset);
        return this.#goLive();
      }
      const resets = channel.resets;
      const page = await this.#reader.readOn(channel.name, position, resets);
      if (this.#left) return;
      if (resets !== channel.resets) continue;
      if (page.type === "unrecoverable") {
        const last = channel.last;
        if (begun) {
          this.#arrival.reset(last, page.reason);
        } else {
          this.#counters.refused++;
          this.#arrival.begin({ recovered: false, position: last, head: last.offset });
        }
        return this.#goLive();
      }
      begin(page.head.offset);

      // A log that was begun anew, of which this node has not been told yet, waits for that reset.
      const isKnown = position.epoch === channel.last.epoch;
      const due = isKnown ? page.entries.filter((entry) => entry.offset <= channel.last.offset) : [];
      const newest = due.at(-1);
      if (newest) {
        fruitless = 0;
        position = { epoch: position.epoch, offset: newest.offset, tag: newest.tag };
        this.#counters.caughtUp += due.length;
        const pressure = this.#arrival.entries(due);
        if (pressure) await pressure;
      } else if (isKnown && position.offset < channel.last.offset) {
        // The page was read before the node's newest entry was appended: read again.
        if (++fruitless > FRUITLESS_READS) throw new HubError("LOG_INCONSISTENT", channel.name);
      } else {
        // The client has seen more on another node than has come to this one yet.
        const isAhead = () => !isKnown || channel.last.offset < position.offset;
        while (!this.#left && resets === channel.resets && isAhead()) {
          await this.#advanced();
        }
      }
    }
  }

  #goLive(): void {
    if (this.#left) return;
    this.#isLive = true;
    this.#channel.enter(this.#outlet);
    this.#arrival.live();
  }

  #advanced(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#channel.onAdvance(resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

function isSame(a: Position, b: Position): boolean {
  return a.offset === b.offset && a.tag === b.tag && a.epoch === b.epoch;
}
