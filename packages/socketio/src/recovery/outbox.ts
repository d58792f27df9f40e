import type { Socket } from "socket.io";
import { nextDrain, queuedBytes } from "../backlog.ts";

interface Waiting {
  readonly bytes: number;
  readonly count: number;
  readonly write: () => void;
}

/** What one session may keep while its socket is not connected yet, or its record not stored. */
export const MAX_KEPT = { entries: 20_000, bytes: 32 * 1024 * 1024 } as const;

/** What is written at a time of what waited, below the least that may wait for a client. */
export const RELEASE_BYTES = 8 * 1024;

/** The packets that wait for one socket, in their order, while its record is not stored as its rooms are. */
export class Outbox {
  /** Told when packets begin to wait, and when none do any more. */
  onChange: (isHolding: boolean) => void = () => {};
  #waiting: Waiting[] | undefined;
  #since = 0;
  #bytes = 0;
  #count = 0;
  /** Some of it was handed out, and the client is given time to read it. */
  #isPaused = false;

  /** Packets have to wait, or come after those that do. */
  get isHolding(): boolean {
    return this.#waiting !== undefined;
  }

  /** Something waits. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined && this.#waiting.length > 0;
  }

  /** How long packets have had to wait, in milliseconds; without an end where they need not. */
  get heldForMs(): number {
    return this.#waiting ? performance.now() - this.#since : Number.POSITIVE_INFINITY;
  }

  /** More waits than is kept. */
  get isFull(): boolean {
    return this.#count > MAX_KEPT.entries || this.#bytes > MAX_KEPT.bytes;
  }

  hold(): void {
    if (this.#waiting) return;
    this.#waiting = [];
    this.#since = performance.now();
    this.#bytes = 0;
    this.#count = 0;
    this.onChange(true);
  }

  /** @param count how many packets that writes */
  put(bytes: number, write: () => void, count = 1): void {
    if (!this.#waiting) return;
    this.#waiting.push({ bytes, count, write });
    this.#bytes += bytes;
    this.#count += count;
  }

  /**
   * Hands out what waits, as fast as the client reads it.
   *
   * @param mayGoOn asked after each pause
   */
  release(socket: Socket, mayGoOn: () => boolean): void {
    const waiting = this.#waiting;
    if (!waiting || this.#isPaused) return;
    let [done, written] = [0, 0];
    for (const { bytes, count, write } of waiting) {
      if (written > RELEASE_BYTES) break;
      write();
      done++;
      written += bytes;
      this.#count -= count;
    }
    waiting.splice(0, done);
    this.#bytes -= written;
    if (waiting.length === 0) {
      this.drop();
      return;
    }
    this.#isPaused = true;
    void drained(socket).then(() => {
      this.#isPaused = false;
      if (mayGoOn()) this.release(socket, mayGoOn);
    });
  }

  /** Hands out all that waits, at once. */
  flush(): void {
    for (const { write } of this.#waiting?.splice(0) ?? []) write();
    this.drop();
  }

  /** Nothing waits any more, and what did is forgotten. */
  drop(): void {
    if (!this.#waiting) return;
    this.#waiting = undefined;
    this.onChange(false);
  }
}

async function drained(socket: Socket): Promise<void> {
  // What one turn of the event loop wrote is on its way at its end.
  await new Promise<void>((resolve) => setImmediate(resolve));
  while (socket.connected && queuedBytes(socket) > RELEASE_BYTES) await nextDrain(socket);
}
