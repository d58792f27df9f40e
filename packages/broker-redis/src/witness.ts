import type { Position } from "@holdfast/broker";

export type Seen = readonly [channel: string, position: Position];

/**
 * The last accepted publish of the channels that this process published to last, to be compared with another server; and
 * those that were to be compared with one that was gone before it answered, since others may have come in their place.
 */
export class Witness {
  readonly #most: number;
  readonly #seen = new Map<string, Position>();
  readonly #doubted = new Map<string, Seen>();

  constructor(most: number) {
    this.#most = most;
  }

  saw(channel: string, position: Position): void {
    const before = this.#seen.get(channel);
    // Answers of several calls may come in another order, and repeated keys are answered with what was accepted once.
    if (before && isLater(before, position)) return;
    this.#seen.delete(channel);
    this.#seen.set(channel, position);
    dropOldest(this.#seen, this.#most);
  }

  /** Another server answers: what it has to have, until `compared`. */
  doubt(): readonly Seen[] {
    for (const seen of this.#seen) this.#doubted.set(keyOf(seen), seen);
    while (this.#doubted.size > 2 * this.#most) dropOldest(this.#doubted, 2 * this.#most);
    return [...this.#doubted.values()];
  }

  /** The server was asked, and has drawn its conclusions. */
  compared(seen: readonly Seen[]): void {
    for (const one of seen) this.#doubted.delete(keyOf(one));
  }
}

/** Epochs begin with when they were made. */
function isLater(a: Position, b: Position): boolean {
  return a.epoch === b.epoch ? a.offset > b.offset : a.epoch > b.epoch;
}

function keyOf([channel, { epoch, offset, tag }]: Seen): string {
  return `${channel} ${epoch} ${offset} ${tag}`;
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  if (map.size <= most) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
