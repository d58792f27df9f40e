import { isIPv6 } from "node:net";
import { BYTES, consistsOf, DIGIT, HOST } from "./grammar.ts";

/**
 * The name or address in a `Host` value or a target's authority: lower case, without the port; undefined for what
 * is none. A name is of letters, digits and `-._~` alone: user names, lists, blanks, percent-encoding and the
 * other bytes that RFC 3986 §3.2.2 lets into a name are read differently by different servers.
 */
export function hostnameOf(host: string): string | undefined {
  let end = 0;
  if (host.charCodeAt(0) === 0x5b) {
    end = host.indexOf("]") + 1;
    if (end === 0 || !isIPv6(host.slice(1, end - 1)) || host.includes("%")) return undefined;
  } else {
    while (end < host.length && ((BYTES[host.charCodeAt(end)] ?? 0) & HOST) !== 0) end++;
  }
  if (end === host.length) return host.toLowerCase();
  return end > 0 && isPort(host, end) ? host.slice(0, end).toLowerCase() : undefined;
}

/** Whether both mean the same server, given the scheme's own port. */
export function isSameHost(one: string, other: string, scheme: "http" | "https"): boolean {
  return one === other || withoutPort(one, scheme) === withoutPort(other, scheme);
}

function withoutPort(host: string, scheme: "http" | "https"): string {
  return host.toLowerCase().replace(scheme === "http" ? /:(?:0*80)?$/ : /:(?:0*443)?$/, "");
}

/** `:` and no more than five digits (RFC 3986 §3.2.3 allows none). */
function isPort(host: string, at: number): boolean {
  const digits = host.length - at - 1;
  return (
    host.charCodeAt(at) === 0x3a &&
    digits <= 5 &&
    consistsOf(DIGIT, host, at + 1) &&
    Number(host.slice(at + 1)) <= 65535
  );
}
