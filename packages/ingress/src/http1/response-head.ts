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
  DECISION,
  EXPECT,
  HOP_BY_HOP,
  MIMIC,
  TRANSFER_ENCODING,
  UPGRADE,
} from "./field-name.ts";
import { FieldScanner, MALFORMED, TOO_MANY } from "./field-scanner.ts";
import { consistsOf, lengthOf, VALUE } from "./grammar.ts";
import { type Refusal, refuseResponse } from "./refusal.ts";
import { CHUNKED } from "./request-head.ts";
import { codingFault } from "./transfer-coding.ts";

/** A body that goes on until the connection ends. */
export const UNTIL_CLOSE = -2;

/** What a pod's answer says, checked. All text is as on the wire, one character a byte. */
export interface ResponseHead {
  readonly refused: false;
  /** 100 to 999. Below 200 the answer itself is yet to come, except for 101: what follows that is no HTTP any more. */
  readonly status: number;
  readonly reason: string;
  /** The pod speaks HTTP/1.0 or 1.1. */
  readonly minor: 0 | 1;
  /** Bytes of the body that follow, or `CHUNKED`, or `UNTIL_CLOSE`. */
  readonly body: number;
  /** What `Content-Length` says, -1 where there is none. Of an answer without a body it's the length it would have. */
  readonly length: number;
  /** The pod takes more over this connection. Bytes that come before they were asked for say that it can't be used. */
  readonly keepAlive: boolean;
  /** The protocols that the pod changes to, or would (RFC 9110 §7.8). */
  readonly upgrade: string | undefined;
  /** The lines that go to the client as they are, each `Name: value` CRLF, in their order and case. */
  readonly fields: string;
}

const scanner = new FieldScanner();

/**
 * Reads the head of a pod's answer as strictly as a client's: what is malformed, or could end elsewhere for the
 * client than for the ingress, is refused (RFC 9112 §6.3).
 *
 * A 1xx or 204 that announces a body all the same has none here (RFC 9112 §6.3), and ends the connection's use.
 *
 * @param method of the request that it answers: the answer to HEAD has no body
 * @param from where in the bytes the head begins
 * @param end where it ends, before its CRLF CRLF (`findHeadEnd`)
 */
export function readResponseHead(
  method: string,
  bytes: Buffer,
  from = 0,
  end = bytes.length,
): ResponseHead | Refusal {
  const text = bytes.toString("latin1", from, end);
  let lineEnd = text.indexOf("\r\n");
  if (lineEnd === -1) lineEnd = text.length;
  const status = statusOf(text, lineEnd);
  if (status === -1 || !consistsOf(VALUE, text, 13, lineEnd)) return refuseResponse("status-line");
  const minor = text.charCodeAt(7) === 0x31 ? 1 : 0;

  let length = -1;
  let chunked = false;
  let connection = 0;
  let named: Set<string> | undefined;
  let upgrade: string | undefined;
  let fields = "";
  /** Where the lines begin that are kept and not yet in `fields`. */
  let run = lineEnd + 2;

  scanner.begin(text, bytes, from, run);
  for (let field = scanner.read(); field !== -1; field = scanner.read()) {
    switch (field) {
      case MALFORMED:
        return refuseResponse("field");
      case TOO_MANY:
        return refuseResponse("too-many-fields");
      case CONTENT_LENGTH:
        if (length !== -1) return refuseResponse("length");
        length = lengthOf(scanner.framingValue());
        if (length === -1) return refuseResponse("length");
        break;
      case TRANSFER_ENCODING: {
        const cause = chunked || minor === 0 ? "transfer-encoding" : codingFault(scanner.framingValue());
        if (cause !== undefined) return refuseResponse(cause);
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
        upgrade = upgrade === undefined ? scanner.value() : `${upgrade}, ${scanner.value()}`;
        break;
      case EXPECT:
      case DECISION:
      case MIMIC:
      case HOP_BY_HOP:
        break;
      default:
        continue;
    }
    // This line is not kept: the run before it ends.
    if (run < scanner.at) fields += text.slice(run, scanner.at);
    run = scanner.next;
  }
  if (run < text.length) fields += `${text.slice(run)}\r\n`;
  if (length !== -1 && chunked) return refuseResponse("length-and-chunks");

  const never = status < 200 || status === 204;
  const bodiless = never || status === 304 || method === "HEAD";
  const body = bodiless ? 0 : chunked ? CHUNKED : length === -1 ? UNTIL_CLOSE : length;
  const lies = never && (chunked || length > 0);
  return {
    refused: false,
    status,
    reason: text.slice(13, lineEnd),
    minor,
    body,
    length: never ? -1 : length,
    keepAlive:
      !lies &&
      body !== UNTIL_CLOSE &&
      (connection & CLOSE) === 0 &&
      (minor === 1 || (connection & KEEP_ALIVE) !== 0),
    upgrade: (connection & UPGRADES) !== 0 && upgrade ? upgrade : undefined,
    fields: named === undefined ? fields : without(fields, named),
  };
}

/** The status in `HTTP/1.x SP status`, with a blank or the line's end behind it; -1 for what is none. */
function statusOf(text: string, lineEnd: number): number {
  if (lineEnd < 12 || !text.startsWith("HTTP/1.")) return -1;
  const minor = text.charCodeAt(7);
  if ((minor !== 0x30 && minor !== 0x31) || text.charCodeAt(8) !== 0x20) return -1;
  if (lineEnd > 12 && text.charCodeAt(12) !== 0x20) return -1;
  const hundreds = text.charCodeAt(9) - 0x30;
  const tens = text.charCodeAt(10) - 0x30;
  const ones = text.charCodeAt(11) - 0x30;
  if (hundreds < 1 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return -1;
  return hundreds * 100 + tens * 10 + ones;
}
