import type { IncomingMessage } from "node:http";
import { BAD_REQUEST, type ErrorPage, NOT_IMPLEMENTED } from "./error-page.ts";
import { valuesOf } from "./forwarded-headers.ts";

/** What the ingress reads of a request before it knows where it goes. */
export interface RequestHead {
  readonly method: string;
  /** As the pod is given it: the name and, where there is one, the port. */
  readonly host: string;
  /** Lower case, without the port: what host rules are matched against. */
  readonly hostname: string;
  /** Path and query, as the pod is given it. */
  readonly target: string;
  /** The path alone: a URL map doesn't look at the query. */
  readonly path: string;
  readonly hasBody: boolean;
}

/**
 * Reads a request's head, strictly: what the ingress and a pod could read differently is refused.
 *
 * @returns the page to answer with when it is refused: not exactly one `Host` (RFC 9112 §3.2; HTTP/1.0 may have
 *   none), a target that is not a path (or an `http:` URL, whose host then counts, RFC 9112 §3.2.2), or a
 *   transfer coding besides `chunked`
 */
export function readHead(request: IncomingMessage): RequestHead | ErrorPage {
  const hosts = valuesOf(request.rawHeaders, "host");
  if (hosts.length > 1 || (hosts.length === 0 && request.httpVersion !== "1.0")) return BAD_REQUEST;
  let host = hosts[0] ?? "";
  let target = request.url ?? "";
  const absolute = /^http:\/\/([^/?#]+)(.*)$/i.exec(target);
  if (absolute) {
    host = absolute[1] ?? "";
    const rest = absolute[2] ?? "";
    target = rest.startsWith("/") ? rest : `/${rest}`;
  }
  const asterisk = target === "*" && request.method === "OPTIONS";
  if (!asterisk && !target.startsWith("/")) return BAD_REQUEST;
  // A user name, a list or blanks in a host would be read differently by different pods.
  if (!/^(?:[a-z0-9._~-]*|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?$/i.test(host)) return BAD_REQUEST;

  const codings = valuesOf(request.rawHeaders, "transfer-encoding");
  if (codings.length > 1 || (codings[0] !== undefined && codings[0].trim().toLowerCase() !== "chunked")) {
    return NOT_IMPLEMENTED;
  }
  const length = request.headers["content-length"];
  return {
    method: request.method ?? "",
    host,
    hostname: host.replace(/:[0-9]*$/, "").toLowerCase(),
    target,
    path: target.replace(/[?#].*$/s, ""),
    hasBody: codings.length > 0 || (length !== undefined && Number(length) > 0),
  };
}
