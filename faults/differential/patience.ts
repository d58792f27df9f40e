import { setTimeout as pause } from "node:timers/promises";

/** How long what is still missing in a run is waited for. */
export class Patience {
  readonly #ms: number;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Until the condition holds, or for as long as anything is waited for: the comparison then says what is missing. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + this.#ms;
    while (!condition() && performance.now() < deadline) await pause(2);
  }
}
