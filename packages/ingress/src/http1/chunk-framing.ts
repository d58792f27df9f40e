import { fieldNamed, mimicNamed, OTHER, TRACE } from "./field-name.ts";
import { BYTES, TOKEN, VALUE } from "./grammar.ts";
import type { RefusalCause } from "./refusal.ts";

/** Bytes of chunk extensions in one body. */
export const MAX_EXTENSION_BYTES = 4 * 1024;
/** Bytes of trailers in one body. */
export const MAX_TRAILER_BYTES = 8 * 1024;
/** A chunk's size has no more digits, leading zeros included. */
const MAX_SIZE_DIGITS = 16;

/** A chunk's data comes next, `size` bytes. */
export const DATA = 0;
/** The body is over. */
export const END = 1;

const DATA_CR = 0;
const DATA_LF = 1;
const SIZE = 2;
const SIZE_LF = 3;
const EXTENSION_NAME = 4;
const EXTENSION_VALUE = 5;
const QUOTED = 6;
const ESCAPED = 7;
const QUOTED_END = 8;
const TRAILER_LINE = 9;
const TRAILER_NAME = 10;
const TRAILER_VALUE = 11;
const TRAILER_LF = 12;
const LAST_LF = 13;

const CR = 0x0d;
const LF = 0x0a;
const QUOTE = 0x22;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;

/**
 * What stands between the data of chunks (RFC 9112 §7.1), byte by byte and strictly: sizes of hexadecimal digits
 * alone, CRLF and nothing like it, extensions `;name=value` without blanks, trailers that are fields. A trailer
 * can't be one of the fields that frame, route or belong to the connection, nor say for whom it is sent: some servers
 * take trailers for fields of the head (RFC 9110 §6.5.1).
 */
export class ChunkFraming {
  /** Bytes of the chunk whose data comes next. */
  size = 0;
  #state = SIZE;
  /** Bytes of the size, or of the extension's name or value, so far. */
  #count = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #name = "";

  begin(): void {
    this.size = 0;
    this.#state = SIZE;
    this.#count = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
  }

  /** Takes the next byte that is not data. @returns what that makes, or what is wrong with it */
  take(byte: number): typeof DATA | typeof END | RefusalCause | undefined {
    switch (this.#state) {
      case DATA_CR:
        return byte === CR ? this.#to(DATA_LF) : "chunk-end";
      case DATA_LF:
        if (byte !== LF) return "chunk-end";
        this.size = 0;
        return this.#to(SIZE);
      case SIZE:
        return this.#size(byte);
      case SIZE_LF:
        if (byte !== LF) return "chunk-size";
        if (this.size === 0) return this.#to(TRAILER_LINE);
        this.#to(DATA_CR);
        return DATA;
      case LAST_LF:
        return byte === LF ? END : "chunk-end";
      default:
        return this.#state < TRAILER_LINE ? this.#extension(byte) : this.#trailer(byte);
    }
  }

  #size(byte: number): RefusalCause | undefined {
    const digit = digitOf(byte);
    if (digit !== -1) {
      this.size = this.size * 16 + digit;
      return ++this.#count > MAX_SIZE_DIGITS || this.size > Number.MAX_SAFE_INTEGER
        ? "chunk-size"
        : undefined;
    }
    return this.#count === 0 ? "chunk-size" : this.#lineGoesOn(byte, "chunk-size");
  }

  #extension(byte: number): RefusalCause | undefined {
    if (++this.#extensionBytes > MAX_EXTENSION_BYTES) return "chunk-extension";
    const flags = BYTES[byte] as number;
    switch (this.#state) {
      case QUOTED:
        if (byte === QUOTE) return this.#to(QUOTED_END);
        if (byte === BACKSLASH) return this.#to(ESCAPED);
        return (flags & VALUE) !== 0 ? undefined : "chunk-extension";
      case ESCAPED:
        return (flags & VALUE) !== 0 ? this.#to(QUOTED) : "chunk-extension";
      case QUOTED_END:
        return this.#lineGoesOn(byte, "chunk-extension");
    }
    if ((flags & TOKEN) !== 0) {
      this.#count++;
      return undefined;
    }
    if (byte === QUOTE && this.#state === EXTENSION_VALUE && this.#count === 0) return this.#to(QUOTED);
    if (this.#count === 0) return "chunk-extension";
    if (byte === EQUALS && this.#state === EXTENSION_NAME) return this.#to(EXTENSION_VALUE);
    return this.#lineGoesOn(byte, "chunk-extension");
  }

  /** Another extension, or the end of the line with the size. */
  #lineGoesOn(byte: number, fault: RefusalCause): RefusalCause | undefined {
    if (byte === SEMICOLON) return this.#to(EXTENSION_NAME);
    return byte === CR ? this.#to(SIZE_LF) : fault;
  }

  #trailer(byte: number): RefusalCause | undefined {
    if (++this.#trailerBytes > MAX_TRAILER_BYTES) return "trailers-too-large";
    const flags = BYTES[byte] as number;
    switch (this.#state) {
      case TRAILER_LINE:
        if (byte === CR) return this.#to(LAST_LF);
        this.#name = "";
        this.#state = TRAILER_NAME;
        break;
      case TRAILER_VALUE:
        if (byte === CR) return this.#to(TRAILER_LF);
        return (flags & VALUE) !== 0 ? undefined : "trailer";
      case TRAILER_LF:
        return byte === LF ? this.#to(TRAILER_LINE) : "trailer";
    }
    if ((flags & TOKEN) !== 0) {
      this.#name += String.fromCharCode(byte);
      return undefined;
    }
    return byte === COLON && isTrailer(this.#name) ? this.#to(TRAILER_VALUE) : "trailer";
  }

  #to(state: number): undefined {
    this.#state = state;
    this.#count = 0;
    return undefined;
  }
}

function isTrailer(name: string): boolean {
  if (name === "") return false;
  const field = name.includes("_") ? mimicNamed(name, 0, name.length) : fieldNamed(name, 0, name.length);
  return field === OTHER || field === TRACE;
}

function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
