import type { UnderWay } from "./emit-queue.ts";

/** What this node emitted to a room before a socket joined it, and that is on its way. */
export interface Arrival {
  /** The number of the last of it among this node's emits; 0 where all of it is accepted. */
  readonly number: number;
  /** Where the last of it is in the log; undefined until the broker has said so. */
  offset: number | undefined;
}

/**
 * Sockets that have joined a room while something that this node emitted to it before is on its way. As on one server in
 * memory they are not given that, though they are in the room when it comes.
 */
export class Arrivals {
  /** By channel, and by the socket's id. */
  readonly #arrivals = new Map<string, Map<string, Arrival>>();

  /** @returns ends it, unless the socket has joined once more since */
  begin(channel: string, id: string, arrival: Arrival): () => void {
    const ids = this.#arrivals.get(channel) ?? new Map<string, Arrival>();
    this.#arrivals.set(channel, ids.set(id, arrival));
    return () => {
      if (ids.get(id) === arrival) ids.delete(id);
      if (ids.size === 0 && this.#arrivals.get(channel) === ids) this.#arrivals.delete(channel);
    };
  }

  /** Whether a socket joined after this emit, or after the one at this place of the log. */
  isAfter(channel: string, id: string, emitted: UnderWay | undefined, due: number | undefined): boolean {
    const arrival = this.#arrivals.size === 0 ? undefined : this.#arrivals.get(channel)?.get(id);
    if (!arrival) return false;
    if (emitted) return emitted.number <= arrival.number;
    return due !== undefined && arrival.offset !== undefined && due <= arrival.offset;
  }

  /** Who has just joined a channel's room; undefined: nobody. */
  at(channel: string): ReadonlyMap<string, Arrival> | undefined {
    const arrivals = this.#arrivals.size === 0 ? undefined : this.#arrivals.get(channel);
    return arrivals && new Map(arrivals);
  }
}

/** Whether an entry is for a socket that has just joined; undefined: that is not known yet. */
export function isFor(arrival: Arrival | undefined, entryOffset: number): boolean | undefined {
  if (!arrival) return true;
  return arrival.offset === undefined ? undefined : entryOffset > arrival.offset;
}
