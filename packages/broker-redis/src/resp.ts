/** An answer of a Redis server (RESP2). Bulk strings stay bytes, and are part of what was read: copy what is to be kept. */
export type Reply = string | number | null | Buffer | RedisError | readonly Reply[];

/** An error that the server answered; `message` begins with its code, such as `MOVED`. */
export class RedisError extends Error {
  override readonly name = "RedisError";
}

const LONGEST_LINE = 64 * 1024;
const LARGEST_BULK = 128 * 1024 * 1024;
const LARGEST_ARRAY = 1_000_000;
const DEEPEST = 8;

/** A value that has not come as a whole yet. */
const PARTIAL = Symbol("partial");

/** Reads replies from the bytes of a connection, in whatever pieces they come. */
export class ReplyReader {
  #pieces: Buffer[] = [];
  #size = 0;
  /** So many bytes are needed at least to get further. */
  #needed = 1;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /**
   * @param take is called with each reply that is whole now.
   * @throws Error when the bytes are none of this protocol.
   */
  push(piece: Buffer, take: (reply: Reply) => void): void {
    this.#pieces.push(piece);
    this.#size += piece.length;
    if (this.#size < this.#needed) return;
    const bytes = this.#pieces.length === 1 ? piece : Buffer.concat(this.#pieces, this.#size);
    this.#bytes = bytes;
    let done = 0;
    this.#at = 0;
    this.#needed = 0;
    while (done < bytes.length) {
      const reply = this.#read(0);
      if (reply === PARTIAL) break;
      done = this.#at;
      take(reply);
    }
    const rest = bytes.subarray(done);
    this.#pieces = rest.length > 0 ? [rest] : [];
    this.#size = rest.length;
    this.#needed = Math.max(this.#needed - done, rest.length + 1);
  }

  #read(depth: number): Reply | typeof PARTIAL {
    const type = this.#bytes[this.#at];
    const line = this.#line();
    if (line === PARTIAL) return PARTIAL;
    switch (type) {
      case 0x2b: // +
        return line;
      case 0x2d: // -
        return new RedisError(line);
      case 0x3a: // :
        return count(line, Number.MAX_SAFE_INTEGER);
      case 0x24: // $
        return this.#bulk(count(line, LARGEST_BULK));
      case 0x2a: // *
        if (depth >= DEEPEST) throw new Error("The server's answer is nested too deeply.");
        return this.#array(count(line, LARGEST_ARRAY), depth);
      default:
        throw new Error("The server's answer is none of the Redis protocol.");
    }
  }

  #line(): string | typeof PARTIAL {
    const end = this.#bytes.indexOf(13, this.#at);
    if (end < 0 || end + 1 >= this.#bytes.length) {
      if (this.#bytes.length - this.#at > LONGEST_LINE) throw new Error("A line of the server is too long.");
      return PARTIAL;
    }
    const line = this.#bytes.toString("utf8", this.#at + 1, end);
    this.#at = end + 2;
    return line;
  }

  #bulk(length: number): Buffer | null | typeof PARTIAL {
    if (length < 0) return null;
    const [from, end] = [this.#at, this.#at + length];
    if (end + 2 > this.#bytes.length) {
      this.#needed = end + 2;
      return PARTIAL;
    }
    this.#at = end + 2;
    return this.#bytes.subarray(from, end);
  }

  #array(length: number, depth: number): readonly Reply[] | null | typeof PARTIAL {
    if (length < 0) return null;
    const items: Reply[] = [];
    for (let n = 0; n < length; n++) {
      if (this.#at >= this.#bytes.length) return PARTIAL;
      const item = this.#read(depth + 1);
      if (item === PARTIAL) return PARTIAL;
      items.push(item);
    }
    return items;
  }
}

function count(line: string, greatest: number): number {
  const value = Number(line);
  if (line === "" || !Number.isSafeInteger(value) || value > greatest)
    throw new Error("A length in the server's answer is none.");
  return value;
}

export type Argument = string | number | Uint8Array;

/** One command, as a Redis server reads it. */
export function encodeCommand(args: readonly Argument[]): Buffer {
  const writer = new ArgumentWriter(256);
  for (const arg of args) writer.add(arg);
  return Buffer.concat([Buffer.from(`*${args.length}\r\n`, "latin1"), writer.take()]);
}

/** Arguments of a command, encoded one after the other into one buffer that grows. */
export class ArgumentWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** Copies the argument. */
  add(arg: Argument): void {
    if (arg instanceof Uint8Array) this.#addBytes(arg);
    else this.#addText(`${arg}`);
  }

  /** Arguments that are encoded already. */
  addEncoded(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** What was written; the writer must not be used any more. */
  take(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #addBytes(bytes: Uint8Array): void {
    const head = `$${bytes.length}\r\n`;
    this.#reserve(head.length + bytes.length + 2);
    this.#length += this.#buffer.write(head, this.#length, "latin1");
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    this.#end();
  }

  #addText(text: string): void {
    const bytes = Buffer.byteLength(text);
    const head = `$${bytes}\r\n`;
    this.#reserve(head.length + bytes + 2);
    this.#length += this.#buffer.write(head, this.#length, "latin1");
    this.#length +=
      bytes === text.length
        ? this.#buffer.write(text, this.#length, "latin1")
        : this.#buffer.write(text, this.#length, "utf8");
    this.#end();
  }

  #end(): void {
    this.#buffer[this.#length++] = 13;
    this.#buffer[this.#length++] = 10;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}
