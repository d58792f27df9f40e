import { DATA as CHUNK_DATA, ChunkFraming, END } from "./chunk-framing.ts";
import type { RefusalCause } from "./refusal.ts";
import { CHUNKED } from "./request-head.ts";
import { UNTIL_CLOSE } from "./response-head.ts";

/** Called with a piece of the body itself: what is in `bytes` from `at` up to `end`. */
export type PayloadSink = (bytes: Buffer, at: number, end: number) => void;

const DONE = 0;
/** So many bytes. */
const LENGTH = 1;
/** Between the chunks' data. */
const FRAMING = 2;
/** In a chunk's data. */
const CHUNK = 3;
const REST = 4;

/**
 * Finds where a body ends, over whatever pieces it comes in, and checks the framing of chunks before it is given
 * away. Nothing is copied. `begin` makes it ready for the next body.
 */
export class BodyReader {
  /** Bytes of the body itself so far, without its framing. */
  payload = 0;
  /** What is wrong; nothing more can be read. */
  fault: RefusalCause | undefined;
  #state = DONE;
  /** Bytes that are left of the length, or of the chunk. */
  #left = 0;
  #framing: ChunkFraming | undefined;

  /** @param body its bytes, `CHUNKED` or `UNTIL_CLOSE` */
  begin(body: number): void {
    this.payload = 0;
    this.fault = undefined;
    if (body === CHUNKED) {
      this.#framing ??= new ChunkFraming();
      this.#framing.begin();
      this.#state = FRAMING;
    } else if (body === UNTIL_CLOSE) {
      this.#state = REST;
    } else {
      this.#left = body;
      this.#state = body === 0 ? DONE : LENGTH;
    }
  }

  /** All of the body has been read. */
  get done(): boolean {
    return this.#state === DONE;
  }

  /** Whether the body is whole if its connection ends here. */
  get wholeAtEnd(): boolean {
    return this.fault === undefined && (this.#state === DONE || this.#state === REST);
  }

  /**
   * Reads on at `from`. What belongs to the body, framing included, is what lies before the returned place, which is
   * `to` unless the body ends earlier. Where `fault` is set after the call, none of it may be given away.
   *
   * @param sink is handed the body without its framing, for whoever can't be given chunks
   */
  read(bytes: Buffer, from = 0, to = bytes.length, sink?: PayloadSink): number {
    let at = from;
    while (at < to && this.fault === undefined) {
      if (this.#state === DONE) return at;
      if (this.#state === FRAMING) {
        at = this.#readFraming(bytes, at, to);
        continue;
      }
      const end = this.#state === REST ? to : Math.min(to, at + this.#left);
      this.payload += end - at;
      sink?.(bytes, at, end);
      if (this.#state !== REST) {
        this.#left -= end - at;
        if (this.#left === 0) this.#state = this.#state === LENGTH ? DONE : FRAMING;
      }
      at = end;
    }
    return at;
  }

  #readFraming(bytes: Buffer, from: number, to: number): number {
    const framing = this.#framing as ChunkFraming;
    for (let at = from; at < to; ) {
      const found = framing.take(bytes[at++] as number);
      if (found === undefined) continue;
      if (found === CHUNK_DATA) {
        this.#left = framing.size;
        this.#state = CHUNK;
      } else if (found === END) {
        this.#state = DONE;
      } else {
        this.fault = found;
      }
      return at;
    }
    return to;
  }
}
