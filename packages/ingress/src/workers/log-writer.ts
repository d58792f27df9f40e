import { write } from "node:fs";
import { eventJson, formatEvent } from "../access-log.ts";
import type { IngressEvent } from "../events.ts";

export type LogFormat = "json" | "text" | "none";

/** What one write holds at most: the system doesn't mix such with another process' (PIPE_BUF on Linux, pipe(7)). */
const CHUNK_BYTES = 4096;
/** Bytes of lines that wait; past them lines are dropped and counted. */
const MAX_WAITING_BYTES = 1024 * 1024;
const TRY_AGAIN_MS = 20;

/**
 * Writes events as lines, without ever making a request wait for whoever reads them: while the reader is slow lines
 * gather, and past a bound they are dropped.
 */
export class LogWriter {
  readonly #fd: number;
  readonly #format: (event: IngressEvent) => string;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #writing = false;
  #idle: (() => void)[] = [];
  /** Lines that were dropped. */
  dropped = 0;

  /** @param fd default: standard output */
  constructor(format: Exclude<LogFormat, "none">, fd = 1) {
    this.#fd = fd;
    this.#format = format === "json" ? (event) => eventJson(event) : formatEvent;
  }

  write(event: IngressEvent): void {
    const line = `${this.#format(event)}\n`;
    const bytes = Buffer.byteLength(line);
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      this.dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += bytes;
    if (!this.#writing) {
      this.#writing = true;
      // What the rest of this turn adds goes out with it.
      setImmediate(() => this.#next());
    }
  }

  /** Resolves once everything is written, or can't be. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#writing) this.#idle.push(resolve);
      else resolve();
    });
  }

  #next(): void {
    if (this.#waiting.length === 0) {
      this.#writing = false;
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    let size = 0;
    let count = 0;
    for (const line of this.#waiting) {
      size += Buffer.byteLength(line);
      if (count > 0 && size > CHUNK_BYTES) break;
      count += 1;
    }
    const chunk = Buffer.from(this.#waiting.splice(0, count).join(""));
    this.#waitingBytes -= chunk.length;
    this.#send(chunk);
  }

  #send(chunk: Buffer): void {
    write(this.#fd, chunk, (error, written) => {
      if (error?.code === "EAGAIN") {
        setTimeout(() => this.#send(chunk), TRY_AGAIN_MS);
      } else if (error) {
        // Nobody reads any more; serving goes on.
        this.dropped += 1;
        this.#next();
      } else if (written < chunk.length) {
        this.#send(chunk.subarray(written));
      } else {
        this.#next();
      }
    });
  }
}
