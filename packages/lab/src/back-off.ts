/** How long a crashed pod waits before it is started again: the first wait, doubled with each crash, up to a bound. */
export class BackOff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#nextMs = firstMs;
  }

  /** The wait for this crash, in milliseconds. */
  next(): number {
    const waitMs = this.#nextMs;
    this.#nextMs = Math.min(waitMs * 2, this.#maxMs);
    return waitMs;
  }

  /** The pod has proved itself: its next crash waits no longer than the first one did. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
