import type { HeaderField } from "./model.ts";

/** A custom header as a BackendConfig writes it, or why it can't be one. */
export type ParsedHeader =
  | { readonly ok: true; readonly field: HeaderField; readonly variables: readonly string[] }
  | { readonly ok: false; readonly message: string };

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Field values of RFC 9110 §5.5, in the one byte per character that a head is written in. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const VARIABLE = /\{([a-z_]+)\}/g;

/** What frames a message, or belongs to one connection (RFC 9110 §7.6.1), or is the balancer's own. */
const RESERVED = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-forwarded-for",
  "x-forwarded-proto",
]);

/**
 * Reads `Name:value`. Google's variables (`{client_region}`) are known to its own network only; each is empty here, as
 * it is there when its value isn't known, so that a client can't supply the header in their place.
 */
export function parseHeader(text: string): ParsedHeader {
  const colon = text.indexOf(":");
  if (colon === -1) return { ok: false, message: `${quote(text)} is not Name:value` };
  const name = text.slice(0, colon);
  const value = text.slice(colon + 1).trim();
  if (!TOKEN.test(name)) return { ok: false, message: `${quote(name)} is not the name of a header` };
  if (RESERVED.has(name.toLowerCase())) return { ok: false, message: `the header ${name} can't be set` };
  if (!VALUE.test(value)) return { ok: false, message: `the value of the header ${name} can't be sent` };
  const variables = Array.from(value.matchAll(VARIABLE), ([variable]) => variable);
  return { ok: true, field: { name, value: value.replace(VARIABLE, "").trim() }, variables };
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
