/** Header fields as node:http's `rawHeaders`: name, value, name, value, in the order and case of the wire. */
export type RawHeaders = readonly string[];

/** Both ways GKE's load balancer names itself so. */
const VIA = "1.1 google";

/** Fields of one connection (RFC 9110 §7.6.1), and `Expect`, which the ingress has answered itself. */
const HOP_BY_HOP = new Set([
  "connection",
  "expect",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
/** A client must not get rid of these by naming them in `Connection`: they decide routing and framing. */
const KEPT = new Set(["content-length", "host"]);
/** Methods whose body node:http expects to be there unless told otherwise. */
const BODILESS = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"]);

export interface ForwardedRequest {
  readonly method: string;
  readonly rawHeaders: RawHeaders;
  /** The host that was routed by; replaces the field where the request line held another. */
  readonly host: string;
  /** The client's address, as the ingress sees it. */
  readonly client: string;
  /** The load balancer's own address on that connection. */
  readonly address: string;
  /** The protocol to upgrade to. */
  readonly upgrade?: string;
}

/**
 * The head a pod is given: the client's own fields, raw, less those of the connection; the addresses appended to
 * `X-Forwarded-For` as GKE does (`<what the client sent>,<client>,<load balancer>`, so only the last two can be
 * trusted); `X-Forwarded-Proto`; `Via`; and framing that says the same as the client's did.
 */
export function forwardedRequestHeaders(request: ForwardedRequest): string[] {
  const named = connectionOptions(request.rawHeaders);
  const forwardedFor: string[] = [];
  const headers = ["Host", request.host];
  let chunked = false;
  let sized = false;
  for (const [name, lower, value] of fields(request.rawHeaders)) {
    if (lower === "host" || lower === "x-forwarded-proto") continue;
    if (lower === "x-forwarded-for") forwardedFor.push(value);
    else if (lower === "transfer-encoding") chunked = true;
    else if (!HOP_BY_HOP.has(lower) && (!named.has(lower) || KEPT.has(lower))) {
      if (lower === "content-length") sized = true;
      headers.push(name, value);
    }
  }
  forwardedFor.push(request.client, request.address);
  headers.push("X-Forwarded-For", forwardedFor.join(","), "X-Forwarded-Proto", "http", "Via", VIA);
  if (request.upgrade !== undefined) headers.push("Connection", "Upgrade", "Upgrade", request.upgrade);
  else if (chunked) headers.push("Transfer-Encoding", "chunked");
  else if (!sized && !BODILESS.has(request.method)) headers.push("Content-Length", "0");
  return headers;
}

/** The head a client is given: the pod's own fields, raw, less those of the connection; `Via`; the new cookie. */
export function forwardedResponseHeaders(
  rawHeaders: RawHeaders,
  added: { readonly setCookie?: string | undefined; readonly upgrade?: string | undefined },
): string[] {
  const named = connectionOptions(rawHeaders);
  const headers: string[] = [];
  for (const [name, lower, value] of fields(rawHeaders)) {
    if (!HOP_BY_HOP.has(lower) && (!named.has(lower) || KEPT.has(lower))) headers.push(name, value);
  }
  headers.push("Via", VIA);
  if (added.setCookie !== undefined) headers.push("Set-Cookie", added.setCookie);
  if (added.upgrade !== undefined) headers.push("Connection", "Upgrade", "Upgrade", added.upgrade);
  return headers;
}

/** The values of a field, in order. */
export function valuesOf(rawHeaders: RawHeaders, wanted: string): string[] {
  const values: string[] = [];
  for (const [, lower, value] of fields(rawHeaders)) if (lower === wanted) values.push(value);
  return values;
}

function connectionOptions(rawHeaders: RawHeaders): Set<string> {
  return new Set(
    valuesOf(rawHeaders, "connection").flatMap((value) =>
      value.split(",").map((option) => option.trim().toLowerCase()),
    ),
  );
}

function* fields(rawHeaders: RawHeaders): Generator<[name: string, lower: string, value: string]> {
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    yield [name, name.toLowerCase(), rawHeaders[at + 1] ?? ""];
  }
}
