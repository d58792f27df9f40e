import type { StateEntry } from "./state-entry.ts";

/** The keys and values of a state, and about how many bytes they are as JSON text. */
export class StatePairs {
  readonly #values = new Map<string, unknown>();
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  constructor(pairs: Iterable<readonly [string, unknown]> = []) {
    for (const [key, value] of pairs) this.#set(key, value);
  }

  get values(): ReadonlyMap<string, unknown> {
    return this.#values;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes an entry of the log over. @returns whether it changed something */
  apply(entry: StateEntry | undefined): boolean {
    if (entry?.type === "set") {
      this.#set(entry.key, entry.value);
      return true;
    }
    return entry?.type === "delete" && this.#delete(entry.key);
  }

  #set(key: string, value: unknown): void {
    const size = Buffer.byteLength(JSON.stringify([key, value])) + 1;
    this.#bytes += size - (this.#sizes.get(key) ?? 0);
    this.#sizes.set(key, size);
    this.#values.set(key, value);
  }

  #delete(key: string): boolean {
    this.#bytes -= this.#sizes.get(key) ?? 0;
    this.#sizes.delete(key);
    return this.#values.delete(key);
  }
}
