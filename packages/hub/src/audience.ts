import type { Outlet } from "./outlet.ts";

/**
 * The outlets that a channel's entries go to, each once, however many subscribers it holds there. Most channels have
 * one outlet, so only a second one costs a collection.
 */
export class Audience {
  #first: Outlet | undefined;
  #count = 0;
  #others: Map<Outlet, number> | undefined;

  enter(outlet: Outlet): void {
    if (this.#count === 0 && !this.#others?.has(outlet)) this.#first = outlet;
    if (this.#first === outlet) {
      this.#count++;
      return;
    }
    this.#others ??= new Map();
    this.#others.set(outlet, (this.#others.get(outlet) ?? 0) + 1);
  }

  leave(outlet: Outlet): void {
    if (this.#first === outlet) {
      if (--this.#count === 0) this.#first = undefined;
      return;
    }
    const left = (this.#others?.get(outlet) ?? 0) - 1;
    if (left > 0) this.#others?.set(outlet, left);
    else this.#others?.delete(outlet);
    if (this.#others?.size === 0) this.#others = undefined;
  }

  each(tell: (outlet: Outlet) => void): void {
    if (this.#first) tell(this.#first);
    if (this.#others) for (const outlet of this.#others.keys()) tell(outlet);
  }
}
