import type { Hash64 } from "../endpoints/hash.ts";
import { readCookie } from "./cookie-header.ts";

/**
 * The cookie of GENERATED_COOKIE affinity on GKE's internal and regional load balancers, which stand on Envoy: 16
 * hexadecimal digits in double quotes, as captured. The digits are the key that is hashed.
 */
const NAME = "GCILB";
/** Some clients put the quotes away (Go's net/http among them). */
const VALUE = /^(?:"([0-9a-f]{16})"|([0-9a-f]{16}))$/i;

/** The key in a `Cookie` header's first GCILB cookie that decodes; undefined where there is none. */
export function readGcilb(cookieHeader: string | undefined): Hash64 | undefined {
  return readCookie(cookieHeader, NAME, decodeGcilb);
}

/**
 * The `Set-Cookie` value as that load balancer writes it.
 *
 * @param ttlSec 0: no `Max-Age`, so the cookie ends with the browser's session.
 */
export function formatGcilb({ hi, lo }: Hash64, ttlSec: number): string {
  const maxAge = ttlSec === 0 ? "" : ` Max-Age=${ttlSec};`;
  return `${NAME}="${hex(hi)}${hex(lo)}";${maxAge} Path=/; HttpOnly`;
}

function decodeGcilb(value: string): Hash64 | undefined {
  const found = VALUE.exec(value);
  const digits = found?.[1] ?? found?.[2];
  if (digits === undefined) return undefined;
  return { hi: Number.parseInt(digits.slice(0, 8), 16), lo: Number.parseInt(digits.slice(8), 16) };
}

function hex(half: number): string {
  return half.toString(16).padStart(8, "0");
}
