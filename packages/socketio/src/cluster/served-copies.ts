import type { Socket } from "socket.io";

/** Messages that are remembered; the copies of one come close together. */
const MAX_MESSAGES = 4_096;
/** Sockets that are remembered, over all messages. */
const MAX_SOCKETS = 1_000_000;

/**
 * Which sockets of this node were given a message that was emitted to several rooms: there is a copy of it in each
 * room's log, and a socket in two of the rooms gets the one that comes first.
 */
export class ServedCopies {
  readonly #served = new Map<string, Set<string>>();
  #sockets = 0;

  /** Those that have not had this message yet; from now on they have. */
  withoutServed(message: string, sockets: readonly Socket[]): Socket[] {
    const served = this.#served.get(message) ?? new Set();
    const left = sockets.filter(({ id }) => !served.has(id));
    if (left.length === 0) return left;
    this.#served.set(message, served);
    this.#sockets += left.length;
    for (const { id } of left) served.add(id);
    for (const [oldest, { size }] of this.#served) {
      if (oldest === message || (this.#served.size <= MAX_MESSAGES && this.#sockets <= MAX_SOCKETS)) break;
      this.#served.delete(oldest);
      this.#sockets -= size;
    }
    return left;
  }

  /** What a socket was given by this id counts no more: another one goes on with it, whose client may lack some. */
  forget(id: string): void {
    for (const served of this.#served.values()) if (served.delete(id)) this.#sockets--;
  }
}
