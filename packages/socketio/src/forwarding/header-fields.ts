import type { IncomingMessage } from "node:http";

/**
 * On each request that one node hands to another; its value is the process that handed it over. A marked request is
 * answered where it arrives, so none is ever handed on twice; a client that sends it spares itself the forwarding.
 */
export const FORWARDED_HEADER = "x-holdfast-forwarded";

/** Fields of one connection and not of the message (RFC 9110, 7.6.1), and those that Node writes itself. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  // It was answered, by the node that the client is connected to.
  "expect",
  FORWARDED_HEADER,
]);

/** Names and values in turn, as Node gives and takes them. */
export type RawFields = string[];

/** A message's fields without those of its connection; `Connection` may name further ones. */
export function endToEnd(
  { rawHeaders, headers }: IncomingMessage,
  dropped: readonly string[] = [],
): RawFields {
  const named = (headers.connection ?? "").toLowerCase().split(",");
  const gone = new Set([...dropped, ...named.map((name) => name.trim())]);
  const kept: RawFields = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = [rawHeaders[at], rawHeaders[at + 1]];
    const key = name.toLowerCase();
    if (!HOP_BY_HOP.has(key) && !gone.has(key)) kept.push(name, value);
  }
  return kept;
}

/** A request's fields for the node that is to answer it. */
export function forwardedFields(
  request: IncomingMessage,
  by: string,
  dropped: readonly string[] = [],
): RawFields {
  const before = request.headers["x-forwarded-for"];
  const peer = (request.socket.remoteAddress ?? "unknown").replace(/^::ffff:/, "");
  const chain = [...(Array.isArray(before) ? before : before === undefined ? [] : [before]), peer];
  return [
    ...endToEnd(request, ["x-forwarded-for", ...dropped]),
    ...["X-Forwarded-For", chain.join(", ")],
    ...["X-Holdfast-Forwarded", by],
  ];
}
