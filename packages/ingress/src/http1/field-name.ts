/** A field that the ingress reads or replaces itself. `OTHER`: forwarded as it is. */
export const OTHER = 0;
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 3;
export const CONNECTION = 4;
export const UPGRADE = 5;
export const EXPECT = 6;
/** Of one connection alone, and without a meaning for the ingress (RFC 9110 §7.6.1; RFC 7540 §3.2.1). */
export const HOP_BY_HOP = 7;
export const COOKIE = 8;
export const ORIGIN = 9;
export const REQUESTED_METHOD = 10;
export const FORWARDED_FOR = 11;
export const FORWARDED_PROTO = 12;
/** Another field by which a proxy says for whom it speaks: `X-Forwarded-*`, `Forwarded`, `X-Real-IP`. */
export const FORWARDED = 13;
export const TRACE = 14;
export const DECISION = 15;
/** Has underscores, and is one of the others where they are read as hyphens. */
export const MIMIC = 16;

const NAMES: Readonly<Record<string, number>> = {
  host: HOST,
  "content-length": CONTENT_LENGTH,
  "transfer-encoding": TRANSFER_ENCODING,
  connection: CONNECTION,
  upgrade: UPGRADE,
  expect: EXPECT,
  te: HOP_BY_HOP,
  trailer: HOP_BY_HOP,
  "keep-alive": HOP_BY_HOP,
  "proxy-connection": HOP_BY_HOP,
  "http2-settings": HOP_BY_HOP,
  cookie: COOKIE,
  origin: ORIGIN,
  "access-control-request-method": REQUESTED_METHOD,
  "x-forwarded-for": FORWARDED_FOR,
  "x-forwarded-proto": FORWARDED_PROTO,
  forwarded: FORWARDED,
  "x-real-ip": FORWARDED,
  "x-cloud-trace-context": TRACE,
  "holdfast-decision": DECISION,
};

const FORWARDED_PREFIX = "x-forwarded-";

/** The names above by their length, so that nearly every other name is told apart by its first letter. */
const BY_LENGTH: readonly (readonly (readonly [name: string, field: number])[])[] = Array.from(
  { length: 32 },
  (_, length) => Object.entries(NAMES).filter(([name]) => name.length === length),
);

/** Which field this is: the name is in `text` from `at` up to `end`, consists of token bytes, and is in any case. */
export function fieldNamed(text: string, at: number, end: number): number {
  const candidates = BY_LENGTH[end - at];
  if (candidates !== undefined) {
    for (const [name, field] of candidates) if (startsWith(text, at, name)) return field;
  }
  return end - at >= FORWARDED_PREFIX.length && startsWith(text, at, FORWARDED_PREFIX) ? FORWARDED : OTHER;
}

/** `fieldNamed` for a name with underscores: never one of the fields themselves. */
export function mimicNamed(text: string, at: number, end: number): number {
  const read = text.slice(at, end).replaceAll("_", "-");
  return fieldNamed(read, 0, read.length) === OTHER ? OTHER : MIMIC;
}

function startsWith(text: string, at: number, lower: string): boolean {
  for (let index = 0; index < lower.length; index++) {
    // Among token bytes only capitals become letters by this bit, and no other byte becomes a hyphen or digit.
    if ((text.charCodeAt(at + index) | 0x20) !== lower.charCodeAt(index)) return false;
  }
  return true;
}
