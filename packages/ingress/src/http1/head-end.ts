const CRLF_CRLF = Buffer.from("\r\n\r\n", "latin1");
const CR = 0x0d;
const LF = 0x0a;

/** Bytes between a head and what follows it. */
export const HEAD_END_BYTES = 4;

/**
 * Where the head ends that begins at `from`: before the CRLF CRLF; -1 while that hasn't come.
 *
 * @param searched bytes from `from` on that were searched before and held no end
 */
export function findHeadEnd(bytes: Buffer, from = 0, searched = 0): number {
  return bytes.indexOf(CRLF_CRLF, from + Math.max(0, searched - (HEAD_END_BYTES - 1)));
}

/**
 * Whether there is a CR without LF or a LF without CR from `from` up to `to`. Such a head is refused by its reader,
 * but this one needs no whole head: a client that ends its lines with LF alone is told so at once, and not when
 * its time is over. A CR at the very end is left open.
 */
export function hasBareLineBreak(bytes: Buffer, from = 0, to = bytes.length): boolean {
  for (let at = bytes.indexOf(LF, from); at !== -1 && at < to; at = bytes.indexOf(LF, at + 1)) {
    if (at === from || bytes[at - 1] !== CR) return true;
  }
  for (let at = bytes.indexOf(CR, from); at !== -1 && at < to - 1; at = bytes.indexOf(CR, at + 1)) {
    if (bytes[at + 1] !== LF) return true;
  }
  return false;
}

/** A letter, or the empty line that may come before a request; so TLS on a plain port is told at once. */
export function mayBeginRequest(byte: number): boolean {
  return byte === CR || (byte > 0x20 && byte < 0x7f);
}
