/** What a byte may be part of (RFC 9110 §5.5, §5.6.2; RFC 9112 §3.2): a sum of the flags below, by code. */
export const BYTES = new Uint8Array(256);

/** Of a token: field names, methods. */
export const TOKEN = 1;
/** Of a field's value: visible, blank, tab, obs-text. */
export const VALUE = 2;
/** Of a request target: visible ASCII without `#`, which starts a fragment. */
export const TARGET = 4;
/** `_`, by which a field name can pass for another one where a pod reads names as CGI does. */
export const UNDERSCORE = 8;
/** Of a registered name or an IPv4 address in `Host`: unreserved. Sub-delimiters and `%` are read in too many ways. */
export const HOST = 16;
export const DIGIT = 32;

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS = "0123456789";

mark(TOKEN, `${LETTERS}${DIGITS}!#$%&'*+-.^_\`|~`);
mark(HOST, `${LETTERS}${DIGITS}-._~`);
mark(DIGIT, DIGITS);
mark(UNDERSCORE, "_");
BYTES[0x09] = VALUE;
BYTES[0x20] = VALUE;
for (let code = 0x21; code < 0x7f; code++)
  BYTES[code] = (BYTES[code] ?? 0) | VALUE | (code === 0x23 ? 0 : TARGET);
for (let code = 0x80; code <= 0xff; code++) BYTES[code] = VALUE;

function mark(flag: number, characters: string): void {
  for (const character of characters) {
    const code = character.charCodeAt(0);
    BYTES[code] = (BYTES[code] ?? 0) | flag;
  }
}

/** Whether every byte of the text from `at` up to `end` has one of these flags. */
export function consistsOf(flags: number, text: string, at = 0, end = text.length): boolean {
  for (let index = at; index < end; index++) {
    if (((BYTES[text.charCodeAt(index)] ?? 0) & flags) === 0) return false;
  }
  return true;
}

/** The text from `at` up to `end` without blanks and tabs around it. Not `trim`, which takes obs-text 0xA0 off too. */
export function trimmed(text: string, at = 0, end = text.length): string {
  let first = at;
  let last = end;
  while (first < last && isBlank(text.charCodeAt(first))) first++;
  while (last > first && isBlank(text.charCodeAt(last - 1))) last--;
  return text.slice(first, last);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

const MAX_LENGTH_DIGITS = 16;

/** A `Content-Length`; -1 for what is none (RFC 9110 §8.6), or not below 2^53. */
export function lengthOf(value: string): number {
  if (value.length === 0 || value.length > MAX_LENGTH_DIGITS || !consistsOf(DIGIT, value)) return -1;
  const length = Number(value);
  return Number.isSafeInteger(length) ? length : -1;
}
