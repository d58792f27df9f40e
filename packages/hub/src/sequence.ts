import type { Abilities, Entry } from "@holdfast/broker";

/** In which order this node hands out the entries of all its channels. */
export class Sequence {
  /** The greatest `seq` that was handed to an outlet, the entry in hand included. */
  seq = 0;
  readonly #isOne: boolean;

  constructor(abilities: Abilities) {
    this.#isOne = abilities.oneSequence === true;
  }

  get inOrder(): boolean {
    return this.#isOne;
  }

  /** Called right before an entry is handed out. */
  advance(entry: Entry): void {
    if (entry.seq > this.seq) this.seq = entry.seq;
  }
}
