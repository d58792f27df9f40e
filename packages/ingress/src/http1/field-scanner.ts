import { fieldNamed, mimicNamed } from "./field-name.ts";
import { BYTES, consistsOf, TOKEN, trimmed, UNDERSCORE, VALUE } from "./grammar.ts";

/** A head has no more fields than this. */
export const MAX_FIELDS = 100;

/** Answers of `read` besides a field. */
export const END = -1;
export const MALFORMED = -2;
export const TOO_MANY = -3;

const NOTHING = new Uint8Array(0);

/**
 * Goes through the fields of a head, strictly (RFC 9112 §5): each line is a token, a colon directly behind it, and a
 * value of visible bytes, blanks and obs-text; CRLF ends it. A bare CR or LF, NUL, folding and a blank before the
 * colon are malformed. Reused from head to head, so one must be read before the next begins.
 */
export class FieldScanner {
  /** Where the field's line begins in the text. */
  at = 0;
  /** Where the line behind it begins. */
  next = 0;
  #text = "";
  #bytes: Uint8Array = NOTHING;
  /** Where the text begins in the bytes. */
  #from = 0;
  #colon = 0;
  #end = 0;
  #count = 0;

  /**
   * @param text what is in `bytes` from `from` on, decoded as latin1: a look at a byte costs less than at a character
   * @param at where in the text the first field begins, behind the start line's CRLF
   */
  begin(text: string, bytes: Uint8Array, from: number, at: number): void {
    this.#text = text;
    this.#bytes = bytes;
    this.#from = from;
    this.next = at;
    this.#count = 0;
  }

  /** Which field comes next (`field-name.ts`), or `END`, `MALFORMED`, `TOO_MANY`. */
  read(): number {
    const text = this.#text;
    const bytes = this.#bytes;
    const from = this.#from;
    const at = this.next;
    if (at >= text.length) return END;
    let end = text.indexOf("\r\n", at);
    if (end === -1) end = text.length;
    // The head's last CRLF was taken off, so behind this one there must be a field.
    else if (end + 2 === text.length) return MALFORMED;

    let seen = 0;
    let flags = 0;
    let colon = from + at;
    for (const stop = from + end; colon < stop; colon++) {
      flags = BYTES[bytes[colon] as number] as number;
      if ((flags & TOKEN) === 0) break;
      seen |= flags;
    }
    colon -= from;
    if (colon === at || colon === end || text.charCodeAt(colon) !== 0x3a) return MALFORMED;

    // Below zero once a byte was no visible ASCII or blank. Without a branch for each byte this takes a third of the time.
    let odd = 0;
    for (let index = from + colon + 1, stop = from + end; index < stop; index++) {
      const byte = bytes[index] as number;
      odd |= (byte - 0x20) | (0x7e - byte);
    }
    if (odd < 0 && !consistsOf(VALUE, text, colon + 1, end)) return MALFORMED;

    this.at = at;
    this.next = end === text.length ? end : end + 2;
    this.#colon = colon;
    this.#end = end;
    if (++this.#count > MAX_FIELDS) return TOO_MANY;
    return (seen & UNDERSCORE) === 0 ? fieldNamed(text, at, colon) : mimicNamed(text, at, colon);
  }

  /** The value of the field that was read, without the blanks around it. */
  value(): string {
    return trimmed(this.#text, this.#colon + 1, this.#end);
  }

  /**
   * The value of a field that frames the body; "\t" for one with tabs around it. They are blanks as good as others (RFC
   * 9110 §5.6.3), but there are parsers that take `chunked` with a tab for an unknown coding, and nobody sends them.
   */
  framingValue(): string {
    const tab = this.#text.indexOf("\t", this.#colon);
    return tab === -1 || tab >= this.#end ? this.value() : "\t";
  }

  /** The whole line, CRLF included. */
  line(): string {
    const line = this.#text.slice(this.at, this.#end);
    return `${line}\r\n`;
  }
}
