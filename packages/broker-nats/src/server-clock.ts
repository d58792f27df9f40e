import type { Ready } from "./connection.ts";
import { encodeLease } from "./lease-messages.ts";
import type { Subjects } from "./subjects.ts";

/** A comparison over a round trip that was this much slower than the best one is not believed. */
const SLOWER = 4;
const COMPARISONS = 3;

/** What time it is at the NATS servers, so that the clocks of nodes don't matter. */
export class ServerClock {
  readonly #subjects: Subjects;
  #ahead = 0;
  #error = Number.POSITIVE_INFINITY;

  constructor(subjects: Subjects) {
    this.#subjects = subjects;
  }

  /** Milliseconds since 1970 by the servers' clock, whole ones. */
  now(): number {
    return Math.floor(performance.timeOrigin + performance.now() + this.#ahead);
  }

  /** Compares this process's clock with the server's, anew. */
  async start({ stream, manager }: Ready): Promise<void> {
    this.#error = Number.POSITIVE_INFINITY;
    for (let n = 0; n < COMPARISONS; n++) {
      const left = performance.now();
      const mark = encodeLease({ type: "mark", id: "clock" });
      const { seq } = await stream.publish(this.#subjects.clock, mark);
      const came = performance.now();
      const message = await manager.streams.getMessage(this.#subjects.leaseStream, { seq });
      // Another node's mark may be in its place already.
      if (message) this.compare(left, came, message.time.getTime());
    }
  }

  /**
   * The server stored a message at `time`, which was between two moments here.
   *
   * @param left by `performance.now()`, as `came`
   */
  compare(left: number, came: number, time: number): void {
    const error = (came - left) / 2;
    if (error > this.#error * SLOWER + 1) return;
    // A better comparison may follow later; drift makes an old one worse than it was.
    this.#error = error;
    this.#ahead = time - (performance.timeOrigin + left + error);
  }
}
