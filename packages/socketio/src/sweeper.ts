import type { Namespace, Socket } from "socket.io";
import { queuedBytes } from "./backlog.ts";

/**
 * Finds clients that don't read. To look at every socket on every delivery would cost as much as the delivery, so
 * all are looked at whenever a quarter of the bound has been handed out: a queue can exceed the bound by that much,
 * and by what came in one turn of the event loop.
 */
export class Sweeper {
  readonly #namespace: Namespace;
  readonly #maxQueuedBytes: number;
  readonly #onSlow: (socket: Socket, queuedBytes: number) => void;
  #sinceLast = 0;
  #scheduled: NodeJS.Immediate | undefined;

  constructor(
    namespace: Namespace,
    maxQueuedBytes: number,
    onSlow: (socket: Socket, queuedBytes: number) => void,
  ) {
    this.#namespace = namespace;
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#onSlow = onSlow;
  }

  /** So many bytes were handed to sockets, each of which may have been given all of them. */
  wrote(bytes: number): void {
    this.#sinceLast += bytes;
    if (this.#sinceLast < this.#maxQueuedBytes / 4) return;
    this.#sinceLast = 0;
    // After this turn: a burst is written to the kernel first, so that only what a client can't take counts.
    this.#scheduled ??= setImmediate(() => this.#sweep());
  }

  close(): void {
    clearImmediate(this.#scheduled);
  }

  #sweep(): void {
    this.#scheduled = undefined;
    for (const socket of [...this.#namespace.sockets.values()]) {
      const bytes = queuedBytes(socket);
      if (bytes > this.#maxQueuedBytes) this.#onSlow(socket, bytes);
    }
  }
}
