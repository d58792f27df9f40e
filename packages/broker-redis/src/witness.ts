import type { Position } from "@holdfast/broker";

/** The last accepted publish of the channels that this process published to last: to be compared with another server. */
export class Witness {
  readonly #most: number;
  readonly #seen = new Map<string, Position>();

  constructor(most: number) {
    this.#most = most;
  }

  saw(channel: string, position: Position): void {
    const before = this.#seen.get(channel);
    // Answers of several calls may come in another order.
    if (before && before.epoch === position.epoch && before.offset > position.offset) return;
    this.#seen.delete(channel);
    this.#seen.set(channel, position);
    if (this.#seen.size <= this.#most) return;
    const [oldest] = this.#seen.keys();
    if (oldest !== undefined) this.#seen.delete(oldest);
  }

  seen(): (readonly [channel: string, position: Position])[] {
    return [...this.#seen];
  }
}
