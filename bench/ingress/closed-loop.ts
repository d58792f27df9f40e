import { percentile } from "../statistics.ts";
import type { Exchanged } from "./calls.ts";
import type { Client } from "./client.ts";

/**
 * Lets each client have one exchange under way at any time, until it is time to stop, then awaits the last ones.
 * Every exchange that was begun is counted, so that CPU time can be divided among them.
 */
export function exchangeUntil(
  clients: readonly Client[],
  isOver: (count: number, now: number) => boolean,
): Promise<Exchanged> {
  return new Promise((resolve) => {
    const latencies = new Latencies();
    const started = performance.now();
    let open = clients.length;
    let begun = 0;
    let over = false;
    for (const client of clients) {
      let sentAt = 0;
      const next = (now: number) => {
        over ||= isOver(begun, now);
        if (over) {
          if (--open === 0) resolve(latencies.summarise((now - started) / 1000));
          return;
        }
        begun++;
        sentAt = now;
        client.exchange(onAnswer);
      };
      const onAnswer = () => {
        const now = performance.now();
        latencies.add(now - sentAt);
        next(now);
      };
      next(performance.now());
    }
  });
}

/** As many as come, without a promise of how many that will be. */
class Latencies {
  #values = new Float64Array(1 << 16);
  #count = 0;

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const grown = new Float64Array(2 * this.#count);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#count++] = value;
  }

  summarise(seconds: number): Exchanged {
    const values = this.#values.subarray(0, this.#count);
    return { count: this.#count, seconds, p50: percentile(values, 0.5), p99: percentile(values, 0.99) };
  }
}
