import { randomFillSync } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const pool = new Uint8Array(4096);
let used = pool.length;

/** So many random characters of the base64url alphabet, six bits each, from the system's generator. */
export function randomText(length: number): string {
  let text = "";
  while (text.length < length) {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    text += ALPHABET[(pool[used++] ?? 0) & 63];
  }
  return text;
}
