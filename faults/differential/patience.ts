import { setTimeout as pause } from "node:timers/promises";

/** What a question to all servers may take, in ms: the comparison is about what is answered, not how soon. */
export const FETCH_MS = 20_000;

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
