/**
 * Endpoints whose last probe failed wait in a queue of their own: they may hold their places until their time is over,
 * and an outage of one service must not delay what is found out of another.
 */
export interface ProbeQueues {
  readonly sound: ProbeQueue;
  readonly failing: ProbeQueue;
}

/** Runs no more than so many probes at a time; the others wait their turn. */
export class ProbeQueue {
  readonly #max: number;
  /** In the order they came. */
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Begins something as soon as it may.
   *
   * @param task calls `ended` when it is over, and not before it has returned; what it returns breaks it off
   * @returns takes it out of the queue, or breaks it off
   */
  add(task: (ended: () => void) => () => void): () => void {
    let over = false;
    let breakOff = (): void => {};
    const ended = (): void => {
      if (over) return;
      over = true;
      this.#running--;
      this.#beginNext();
    };
    const begin = (): void => {
      breakOff = task(ended);
    };
    this.#waiting.add(begin);
    this.#beginNext();
    return () => {
      if (this.#waiting.delete(begin)) over = true;
      if (over) return;
      breakOff();
      ended();
    };
  }

  #beginNext(): void {
    for (const begin of this.#waiting) {
      if (this.#running >= this.#max) return;
      this.#waiting.delete(begin);
      this.#running++;
      begin();
    }
  }
}
