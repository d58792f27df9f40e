import {
  addNames,
  CLOSE,
  connectionOptions,
  KEEP_ALIVE,
  NAMES,
  UPGRADES,
  without,
} from "./connection-options.ts";
import {
  CONNECTION,
  CONTENT_LENGTH,
  COOKIE,
  DECISION,
  EXPECT,
  FORWARDED,
  FORWARDED_FOR,
  FORWARDED_PROTO,
  HOP_BY_HOP,
  HOST,
  MIMIC,
  ORIGIN,
  OTHER,
  REQUESTED_METHOD,
  TRACE,
  TRANSFER_ENCODING,
  UPGRADE,
} from "./field-name.ts";
import { FieldScanner, MALFORMED, TOO_MANY } from "./field-scanner.ts";
import { BYTES, lengthOf, TARGET, TOKEN } from "./grammar.ts";
import { hostnameOf, isSameHost } from "./host.ts";
import { type Refusal, refuseRequest } from "./refusal.ts";
import { codingFault } from "./transfer-coding.ts";

/** A body's length that only its chunks tell. */
export const CHUNKED = -1;

/** What a client's request says, checked. All text is as on the wire, one character a byte. */
export interface RequestHead {
  readonly refused: false;
  readonly method: string;
  /** Path and query, or `*`. */
  readonly target: string;
  readonly path: string;
  /** What follows `?`. */
  readonly query: string;
  /** The client speaks HTTP/1.0 or 1.1. */
  readonly minor: 0 | 1;
  /** As the pod is given it: the name and, where there is one, the port. Empty where HTTP lets a client have none. */
  readonly host: string;
  /** Lower case, without the port: what host rules are matched against. */
  readonly hostname: string;
  /** Bytes of the body, or `CHUNKED`. */
  readonly body: number;
  /** It says its length, which may be 0. */
  readonly sized: boolean;
  /** The client wants to send more over this connection. */
  readonly keepAlive: boolean;
  /** The client waits with the body until it is told to go on (RFC 9110 §10.1.1). */
  readonly expectContinue: boolean;
  /** The protocols that the client would change to (RFC 9110 §7.8). */
  readonly upgrade: string | undefined;
  readonly cookie: string | undefined;
  /** `X-Forwarded-For` as it came, its fields joined. */
  readonly forwardedFor: string | undefined;
  readonly forwardedProto: string | undefined;
  /** Lines of the other fields by which a proxy says for whom it speaks: `X-Forwarded-*`, `Forwarded`, `X-Real-IP`. */
  readonly forwarded: string;
  /** It has an `X-Cloud-Trace-Context` already. */
  readonly traced: boolean;
  /** A browser asks whether it may send the real request: OPTIONS, `Origin`, `Access-Control-Request-Method`. */
  readonly preflight: boolean;
  /** It wants to be told where it went and why (`Holdfast-Decision`). */
  readonly decisionAsked: boolean;
  /** The lines that go to the pod as they are, each `Name: value` CRLF, in their order and case. */
  readonly fields: string;
}

const scanner = new FieldScanner();

/**
 * Reads a request's head strictly (RFC 9110, RFC 9112): what the ingress and a pod could read differently is
 * refused, not mended. Lines end with CRLF, one empty line may come first (RFC 9112 §2.2).
 *
 * Fields of the connection and those that `Connection` names are left out. So are names that differ from a field
 * the ingress decides by in underscores alone, such as `X_Forwarded_For`: servers that hand fields on as CGI
 * variables can't tell the two apart.
 *
 * @param from where in the bytes the head begins
 * @param end where it ends, before its CRLF CRLF (`findHeadEnd`)
 */
export function readRequestHead(bytes: Buffer, from = 0, end = bytes.length): RequestHead | Refusal {
  const text = bytes.toString("latin1", from, end);
  const start = text.charCodeAt(0) === 0x0d && text.charCodeAt(1) === 0x0a ? 2 : 0;
  let lineEnd = text.indexOf("\r\n", start);
  if (lineEnd === -1) lineEnd = text.length;

  // The request line: method, blank, target, blank, HTTP/1.x.
  let blank = start;
  while (blank < lineEnd && ((BYTES[bytes[from + blank] as number] as number) & TOKEN) !== 0) blank++;
  if (blank === start || text.charCodeAt(blank) !== 0x20) return refuseRequest("request-line");
  const targetAt = blank + 1;
  let targetEnd = targetAt;
  while (targetEnd < lineEnd && ((BYTES[bytes[from + targetEnd] as number] as number) & TARGET) !== 0)
    targetEnd++;
  if (targetEnd === targetAt || targetEnd >= lineEnd) return refuseRequest("request-line");
  if (text.charCodeAt(targetEnd) !== 0x20) return refuseRequest("target");
  const method = text.slice(start, blank);
  const minor = minorVersion(text, targetEnd + 1, lineEnd);
  if (typeof minor !== "number") return minor;
  if (method === "CONNECT") return refuseRequest("connect");

  let host: string | undefined;
  let length = CHUNKED;
  let sized = false;
  let chunked = false;
  let expectContinue = false;
  let connection = 0;
  let named: Set<string> | undefined;
  let upgrade: string | undefined;
  let cookie: string | undefined;
  let forwardedFor: string | undefined;
  let forwardedProto: string | undefined;
  let forwarded = "";
  let traced = false;
  let origin = false;
  let requestedMethod = false;
  let decisionAsked = false;
  let fields = "";
  /** Where the lines begin that are kept and not yet in `fields`. */
  let run = lineEnd + 2;

  scanner.begin(text, bytes, from, run);
  for (let field = scanner.read(); field !== -1; field = scanner.read()) {
    switch (field) {
      case OTHER:
        continue;
      case COOKIE:
        cookie = joined(cookie, "; ", scanner.value());
        continue;
      case ORIGIN:
        origin = true;
        continue;
      case REQUESTED_METHOD:
        requestedMethod = true;
        continue;
      case TRACE:
        traced = true;
        continue;
      case MALFORMED:
        return refuseRequest("field");
      case TOO_MANY:
        return refuseRequest("too-many-fields");
      case HOST:
        if (host !== undefined) return refuseRequest("host");
        host = scanner.value();
        break;
      case CONTENT_LENGTH:
        if (sized) return refuseRequest("length");
        length = lengthOf(scanner.framingValue());
        if (length === -1) return refuseRequest("length");
        sized = true;
        break;
      case TRANSFER_ENCODING: {
        const cause = chunked || minor === 0 ? "transfer-encoding" : codingFault(scanner.framingValue());
        if (cause !== undefined) return refuseRequest(cause);
        chunked = true;
        break;
      }
      case CONNECTION: {
        const value = scanner.value();
        const options = connectionOptions(value);
        connection |= options;
        if ((options & NAMES) !== 0) {
          named ??= new Set();
          addNames(value, named);
        }
        break;
      }
      case UPGRADE:
        upgrade = joined(upgrade, ", ", scanner.value());
        break;
      case EXPECT:
        if (scanner.value().toLowerCase() !== "100-continue") return refuseRequest("expectation");
        expectContinue = minor === 1;
        break;
      case FORWARDED_FOR:
        forwardedFor = joined(forwardedFor, ",", scanner.value());
        break;
      case FORWARDED_PROTO:
        forwardedProto = joined(forwardedProto, ",", scanner.value());
        break;
      case FORWARDED:
        forwarded += scanner.line();
        break;
      case DECISION:
        decisionAsked = true;
        break;
      case MIMIC:
      case HOP_BY_HOP:
        break;
    }
    // This line is not kept: the run before it ends.
    if (run < scanner.at) fields += text.slice(run, scanner.at);
    run = scanner.next;
  }
  if (run < text.length) fields += `${text.slice(run)}\r\n`;
  if (sized && chunked) return refuseRequest("length-and-chunks");
  if (host === undefined && minor === 1) return refuseRequest("host");

  let target = text.slice(targetAt, targetEnd);
  if (target.charCodeAt(0) !== 0x2f && !(target === "*" && method === "OPTIONS")) {
    const absolute = ABSOLUTE.exec(target);
    if (!absolute) return refuseRequest("target");
    const [, scheme = "", authority = "", path = "", query = ""] = absolute;
    // RFC 9112 §3.2.2 would have the target win; a pod or a rule that looks at the other one is safer without.
    if (host !== undefined && !isSameHost(host, authority, scheme.length === 4 ? "http" : "https")) {
      return refuseRequest("host");
    }
    host = authority;
    target = path === "" && query === "" && method === "OPTIONS" ? "*" : `${path || "/"}${query}`;
  }
  host ??= "";
  const hostname = hostnameOf(host);
  if (hostname === undefined) return refuseRequest("host");

  const question = target.indexOf("?");
  return {
    refused: false,
    method,
    target,
    path: question === -1 ? target : target.slice(0, question),
    query: question === -1 ? "" : target.slice(question + 1),
    minor,
    host,
    hostname,
    body: chunked ? CHUNKED : sized ? length : 0,
    sized,
    keepAlive: (connection & CLOSE) === 0 && (minor === 1 || (connection & KEEP_ALIVE) !== 0),
    expectContinue,
    upgrade: minor === 1 && (connection & UPGRADES) !== 0 && upgrade ? upgrade : undefined,
    cookie,
    forwardedFor,
    forwardedProto,
    forwarded,
    traced,
    preflight: origin && requestedMethod && method === "OPTIONS",
    decisionAsked,
    fields: named === undefined ? fields : without(fields, named),
  };
}

/** Scheme, authority, path, query (RFC 9112 §3.2.2). An authority that is none is found out as a host that is none. */
const ABSOLUTE = /^(https?):\/\/([^/?]+)(\/[^?]*)?(\?.*)?$/i;

function minorVersion(text: string, at: number, end: number): 0 | 1 | Refusal {
  if (end - at === 8 && text.startsWith("HTTP/1.", at)) {
    const digit = text.charCodeAt(at + 7);
    if (digit === 0x31) return 1;
    if (digit === 0x30) return 0;
  }
  return refuseRequest(/^HTTP\/\d\.\d$/.test(text.slice(at, end)) ? "version" : "request-line");
}

function joined(before: string | undefined, separator: string, value: string): string {
  return before === undefined ? value : `${before}${separator}${value}`;
}
