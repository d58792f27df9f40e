import type { Socket } from "socket.io";
import { nextDrain, queuedBytes } from "../backlog.ts";

interface Waiting {
  readonly bytes: number;
  readonly write: () => void;
}

/** What one session may keep while its socket is not connected yet, or its record not stored. */
export const MAX_KEPT = { entries: 20_000, bytes: 32 * 1024 * 1024 } as const;

/** What is written at a time of what waited, below the least that may wait for a client. */
const RELEASE_BYTES = 8 * 1024;

/** The packets that wait for one socket, in their order, while its record is not stored as its rooms are. */
export class Outbox {
  /** Told when packets begin to wait, and when none do any more. */
  onChange: (isHolding: boolean) => void = () => {};
  #waiting: Waiting[] | undefined;
  #bytes = 0;
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

  /** More waits than is kept. */
  get isFull(): boolean {
    return (this.#waiting?.length ?? 0) > MAX_KEPT.entries || this.#bytes > MAX_KEPT.bytes;
  }

  hold(): void {
    if (this.#waiting) return;
    this.#waiting = [];
    this.#bytes = 0;
    this.onChange(true);
  }

  put(bytes: number, write: () => void): void {
    this.#waiting?.push({ bytes, write });
    this.#bytes += bytes;
  }

  /**
   * Hands out what waits, as fast as the client reads it.
   *
   * @param mayGoOn asked after each pause
   */
  release(socket: Socket, mayGoOn: () => boolean): void {
    const waiting = this.#waiting;
    if (!waiting || this.#isPaused) return;
    let [count, written] = [0, 0];
    for (const { bytes, write } of waiting) {
      if (written > RELEASE_BYTES) break;
      write();
      count++;
      written += bytes;
    }
    waiting.splice(0, count);
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
