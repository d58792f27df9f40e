import { fieldNamed, mimicNamed } from "./field-name.ts";
import { BYTES, TOKEN, trimmed, UNDERSCORE, VALUE } from "./grammar.ts";

/** A head has no more fields than this. */
export const MAX_FIELDS = 100;

/** Answers of `next` besides a field. */
export const END = -1;
export const MALFORMED = -2;
export const TOO_MANY = -3;

/**
 * Goes through the fields of a head, strictly (RFC 9112 §5): each line is a token, a colon directly behind it, and a
 * value of visible bytes, blanks and obs-text; CRLF ends it. A bare CR or LF, NUL, folding and a blank before the
 * colon are malformed. Reused from head to head, so it must be read to the end before the next one.
 */
export class FieldScanner {
  /** Where the field's line begins. */
  at = 0;
  /** Where the line behind it begins. */
  next = 0;
  #text = "";
  #colon = 0;
  #end = 0;
  #count = 0;

  /** @param at where the first field begins, behind the start line's CRLF */
  begin(text: string, at: number): void {
    this.#text = text;
    this.next = at;
    this.#count = 0;
  }

  /** Which field comes next (`field-name.ts`), or `END`, `MALFORMED`, `TOO_MANY`. */
  read(): number {
    const text = this.#text;
    const length = text.length;
    const at = this.next;
    if (at >= length) return END;
    let index = at;
    let seen = 0;
    for (; index < length; index++) {
      const flags = BYTES[text.charCodeAt(index)] as number;
      if ((flags & TOKEN) === 0) break;
      seen |= flags;
    }
    if (index === at || index >= length || text.charCodeAt(index) !== 0x3a) return MALFORMED;
    const colon = index++;
    while (index < length && ((BYTES[text.charCodeAt(index)] as number) & VALUE) !== 0) index++;
    this.at = at;
    this.#colon = colon;
    this.#end = index;
    if (index === length) {
      this.next = length;
    } else {
      // The head's last CRLF was taken off, so behind this one there must be a field.
      if (text.charCodeAt(index) !== 0x0d || text.charCodeAt(index + 1) !== 0x0a || index + 2 === length) {
        return MALFORMED;
      }
      this.next = index + 2;
    }
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
