/** How often is looked for what is overdue: how late a bound on time can be noticed, in ms. */
const TICK_MS = 100;

/** Never: a deadline that isn't reached. */
export const NEVER = Number.POSITIVE_INFINITY;

/** Something that must not last for ever. */
export interface Timed {
  /** On the clock of `performance.now()`; `NEVER` for none. */
  deadline: number;
  /** Called at the first tick after the deadline, and at each one after that until it is moved or removed. */
  overdue(): void;
}

/**
 * One timer for all connections. A timer of its own for each request would cost more than reading its head; a number
 * in a field costs nothing, and a hundred thousand of them are looked through in a millisecond.
 */
export class Clock {
  /** The time of the last tick, ms: late by as much as a tick, which is enough to tell a quiet connection from a busy one. */
  now = performance.now();
  readonly #timed = new Set<Timed>();
  #timer: NodeJS.Timeout | undefined;

  add(timed: Timed): void {
    this.#timed.add(timed);
    if (this.#timer) return;
    this.now = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  remove(timed: Timed): void {
    this.#timed.delete(timed);
  }

  get size(): number {
    return this.#timed.size;
  }

  #tick(): void {
    const now = performance.now();
    this.now = now;
    for (const timed of this.#timed) if (now >= timed.deadline) timed.overdue();
    if (this.#timed.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
