type Delivery = () => void;

/** Holds deliveries back while something else is waited for, in order and up to a bound. */
export class Holding {
  readonly #max: number;
  #held: Delivery[] | undefined;
  #hasRefused = false;

  constructor(max: number) {
    this.#max = max;
  }

  /** Something was turned away since this began. */
  get hasRefused(): boolean {
    return this.#hasRefused;
  }

  /** Whether one more may come; where not, none after it may either, until what is waited for is done. */
  admit(): boolean {
    if (this.#held !== undefined && this.#held.length >= this.#max) this.#hasRefused = true;
    return !this.#hasRefused;
  }

  /** Now, or in its turn. */
  run(delivery: Delivery): void {
    if (this.#held) this.#held.push(delivery);
    else delivery();
  }

  /** What is held is dropped, and what was waited for counts no more. */
  clear(): void {
    this.#held = undefined;
    this.#hasRefused = false;
  }

  /**
   * Holds until the task has settled, then delivers.
   *
   * @param onDone told at the end whether something was turned away
   */
  holdWhile(
    task: () => Promise<void> | void,
    onError: (error: unknown) => void,
    onDone: (hasRefused: boolean) => void,
  ): void {
    const held: Delivery[] = [];
    this.#held = held;
    this.#hasRefused = false;
    const finish = () => {
      if (this.#held !== held) return;
      // A delivery may end all this: look each time.
      for (let next = held.shift(); next && this.#held === held; next = held.shift()) next();
      if (this.#held !== held) return;
      const hasRefused = this.#hasRefused;
      this.clear();
      onDone(hasRefused);
    };
    Promise.resolve()
      .then(task)
      .catch((error) => {
        if (this.#held === held) onError(error);
      })
      .then(finish);
  }
}
