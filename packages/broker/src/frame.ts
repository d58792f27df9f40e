import { Decoder, Encoder } from "@msgpack/msgpack";
import { BrokerError } from "./errors.ts";
import { isCount } from "./limits.ts";

/**
 * A frame of the served broker's protocol: four bytes of length, big-endian, then that many bytes of body. The body
 * is a row of single MessagePack values (https://github.com/msgpack/msgpack/blob/master/spec.md): no array, no map.
 * So there is nothing to nest, no key to poison a prototype with, and no count that makes the reader allocate.
 */
export type Frame = Buffer<ArrayBuffer>;
export type Field = string | number | boolean | null | Uint8Array;

const HEAD_BYTES = 4;
const encoder = new Encoder();

export function encodeFrame(fields: readonly Field[]): Frame {
  // One array encodes in one go; its head, of one, three or five bytes, is then left out.
  const encoded = encoder.encodeSharedRef(fields);
  const skipped = fields.length < 16 ? 1 : fields.length < 65_536 ? 3 : 5;
  const frame = Buffer.allocUnsafe(HEAD_BYTES + encoded.length - skipped);
  frame.writeUInt32BE(encoded.length - skipped, 0);
  frame.set(encoded.subarray(skipped), HEAD_BYTES);
  return frame;
}

/** Cuts a stream of bytes into the bodies of its frames; a byte is copied a few times at most, however it arrives. */
export class FrameReader {
  /** The largest body taken. May be raised, once the other side is known. */
  maxBytes: number;
  #buffer: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  /** Whether `#buffer` was made here, so that its free end may be written to. */
  #own = false;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    const size = this.#end - this.#start;
    if (size === 0) {
      [this.#buffer, this.#start, this.#end, this.#own] = [chunk, 0, chunk.length, false];
      return;
    }
    if (!this.#own || this.#end + chunk.length > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * size, size + chunk.length));
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      [this.#buffer, this.#start, this.#end, this.#own] = [grown, 0, size, true];
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next body that is complete.
   *
   * @throws BrokerError `FRAME_INVALID` when its length is past the bound: told from its head, before it is held.
   */
  next(): Uint8Array | undefined {
    const size = this.#end - this.#start;
    if (size < HEAD_BYTES) return undefined;
    const length = this.#buffer.readUInt32BE(this.#start);
    if (length > this.maxBytes)
      throw new BrokerError("FRAME_INVALID", `A frame of ${length} bytes; the limit is ${this.maxBytes}.`);
    if (size < HEAD_BYTES + length) return undefined;
    const from = this.#start + HEAD_BYTES;
    this.#start = from + length;
    return new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset + from, length);
  }
}

/** Reads a body's fields one by one, each held to what is expected there. Anything else is `FRAME_INVALID`. */
export class FieldReader {
  readonly #values: Iterator<unknown>;

  constructor(body: Uint8Array) {
    const decoder = new Decoder({ maxArrayLength: 0, maxMapLength: 0, maxExtLength: 0 });
    this.#values = decoder.decodeMulti(body);
  }

  text(maxCharacters: number): string {
    const value = this.#next();
    if (typeof value !== "string" || value.length > maxCharacters) throw invalid();
    return value;
  }

  optionalText(maxCharacters: number): string | undefined {
    const value = this.#next();
    if (value === null) return undefined;
    if (typeof value !== "string" || value.length > maxCharacters) throw invalid();
    return value;
  }

  count(max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#next();
    if (!isCount(value) || value > max) throw invalid();
    return value;
  }

  optionalCount(): number | undefined {
    const value = this.#next();
    if (value === null) return undefined;
    if (!isCount(value)) throw invalid();
    return value;
  }

  flag(): boolean {
    const value = this.#next();
    if (typeof value !== "boolean") throw invalid();
    return value;
  }

  bytes(): Uint8Array {
    const value = this.#next();
    if (!(value instanceof Uint8Array)) throw invalid();
    return value;
  }

  /** The body must end here. */
  end(): void {
    let done: boolean | undefined;
    try {
      done = this.#values.next().done;
    } catch (cause) {
      throw invalid(cause);
    }
    if (!done) throw invalid();
  }

  #next(): unknown {
    try {
      const { value, done } = this.#values.next();
      if (done) throw invalid();
      return value;
    } catch (cause) {
      throw cause instanceof BrokerError ? cause : invalid(cause);
    }
  }
}

function invalid(cause?: unknown): BrokerError {
  return new BrokerError("FRAME_INVALID", undefined, { cause });
}
