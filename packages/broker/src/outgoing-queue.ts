import type { Socket } from "node:net";
import type { Frame } from "./frame.ts";

/** What one write to the socket joins at most, so that most of a queue stays where it can still be dropped. */
const WRITE_BYTES = 256 * 1024;

/** How long the other side has to take a last frame before its connection is cut. */
const FINISH_MS = 1000;

interface QueueEvents {
  /** The socket took everything. */
  readonly drained: () => void;
  /** More waits than may. Nothing more is queued after this but the last frame. */
  readonly overflowed: () => void;
}

/** Frames on their way out: those of one turn of the event loop are written together, and no more than so many bytes wait. */
export class OutgoingQueue {
  readonly #socket: Socket;
  readonly #maxBytes: number;
  readonly #events: QueueEvents;
  #frames: Frame[] = [];
  #waiting = 0;
  #scheduled = false;
  #finished = false;

  constructor(socket: Socket, maxBytes: number, events: QueueEvents) {
    this.#socket = socket;
    this.#maxBytes = maxBytes;
    this.#events = events;
    socket.on("drain", () => this.#flush());
  }

  /** Bytes that the kernel has not taken yet. */
  get bytes(): number {
    return this.#waiting + this.#socket.writableLength;
  }

  add(frame: Frame): void {
    if (this.#finished) return;
    this.#frames.push(frame);
    this.#waiting += frame.length;
    if (this.bytes > this.#maxBytes) this.#events.overflowed();
    else this.#schedule();
  }

  /** Drops what waits if it is too much, sends a last frame and ends the connection; soon, or else by force. */
  finish(last: Frame): void {
    if (this.#finished) return;
    this.#finished = true;
    const rest = this.bytes > this.#maxBytes ? [] : this.#frames;
    this.#frames = [];
    this.#waiting = 0;
    if (this.#socket.destroyed) return;
    this.#socket.end(Buffer.concat([...rest, last]));
    const socket = this.#socket;
    setTimeout(() => socket.destroy(), FINISH_MS).unref();
  }

  #schedule(): void {
    if (this.#scheduled || this.#socket.writableNeedDrain) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#finished || this.#socket.destroyed) return;
    while (this.#frames.length > 0 && !this.#socket.writableNeedDrain) this.#write();
    if (this.#frames.length === 0) this.#events.drained();
  }

  #write(): void {
    let [count, bytes] = [0, 0];
    for (const frame of this.#frames) {
      if (count > 0 && bytes + frame.length > WRITE_BYTES) break;
      count++;
      bytes += frame.length;
    }
    const frames = count === this.#frames.length ? this.#frames : this.#frames.slice(0, count);
    this.#frames = count === this.#frames.length ? [] : this.#frames.slice(count);
    this.#waiting -= bytes;
    const [only] = frames;
    this.#socket.write(frames.length === 1 && only ? only : Buffer.concat(frames, bytes));
  }
}
