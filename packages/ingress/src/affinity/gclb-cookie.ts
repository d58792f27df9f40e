import type { Hash64 } from "../endpoints/hash.ts";
import { readCookie } from "./cookie-header.ts";

/**
 * The cookie of GENERATED_COOKIE affinity on GKE's classic load balancer. Its value is the unpadded base64url of a
 * protobuf message `{ 1: uint64, 2: 3 }` (older ones hold field 1 alone), as every publicly captured one decodes.
 * Field 1 is the key that is hashed; the cookie names no endpoint, and needs no memory to be understood.
 */
const NAME = "GCLB";
/** Two tags, a varint of ten bytes and one of one byte are 13 bytes, so 18 characters. */
const VALUE = /^[A-Za-z0-9_-]{2,18}$/;
const FIELD_1_VARINT = 0x08;
const FIELD_2_VARINT = 0x10;
const FIELD_2_VALUE = 3;

/** The key in a `Cookie` header's first GCLB cookie that decodes; undefined where there is none. */
export function readGclb(cookieHeader: string | undefined): Hash64 | undefined {
  return readCookie(cookieHeader, NAME, decodeGclb);
}

/** The key in a cookie's value; undefined when it is not such a value. */
export function decodeGclb(value: string): Hash64 | undefined {
  if (!VALUE.test(value)) return undefined;
  const bytes = Buffer.from(value, "base64url");
  if (bytes[0] !== FIELD_1_VARINT) return undefined;
  // A varint's 7-bit groups, collected in three numbers of 28, 28 and 8 bits.
  let low = 0;
  let middle = 0;
  let high = 0;
  let at = 1;
  for (let group = 0; ; group++, at++) {
    const byte = bytes[at];
    if (byte === undefined || group > 9 || (group === 9 && byte > 1)) return undefined;
    const bits = byte & 0x7f;
    if (group < 4) low |= bits << (7 * group);
    else if (group < 8) middle |= bits << (7 * (group - 4));
    else high |= bits << (7 * (group - 8));
    if (byte < 0x80) break;
  }
  at++;
  const alone = at === bytes.length;
  const withField2 =
    at + 2 === bytes.length && bytes[at] === FIELD_2_VARINT && (bytes[at + 1] ?? 0x80) < 0x80;
  if (!alone && !withField2) return undefined;
  return { hi: ((middle >>> 4) | (high << 24)) >>> 0, lo: (low | (middle << 28)) >>> 0 };
}

/** A cookie's value that holds the key. */
export function encodeGclb(key: Hash64): string {
  const bytes = [FIELD_1_VARINT];
  let { hi, lo } = key;
  while (hi > 0 || lo > 0x7f) {
    bytes.push((lo & 0x7f) | 0x80);
    lo = ((lo >>> 7) | (hi << 25)) >>> 0;
    hi >>>= 7;
  }
  bytes.push(lo, FIELD_2_VARINT, FIELD_2_VALUE);
  return Buffer.from(bytes).toString("base64url");
}

/**
 * The `Set-Cookie` value as GKE's load balancer writes it: lower-case attributes, the date with dashes, no
 * `Max-Age`, and neither `Secure` nor `SameSite`.
 *
 * @param ttlSec 0: no `expires`, so the cookie ends with the browser's session.
 */
export function formatGclb(key: Hash64, ttlSec: number, now: number = Date.now()): string {
  const cookie = `${NAME}=${encodeGclb(key)}; path=/; HttpOnly`;
  if (ttlSec === 0) return cookie;
  const date = new Date(now + ttlSec * 1000).toUTCString();
  return `${cookie}; expires=${date.replace(/(\d+) (\w+) (\d+)/, "$1-$2-$3")}`;
}
