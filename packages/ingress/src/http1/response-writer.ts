import type { Face } from "@holdfast/routing";
import type { FieldSet } from "./field-set.ts";
import { CHUNKED } from "./request-head.ts";
import { type ResponseHead, UNTIL_CLOSE } from "./response-head.ts";

/** How an answer is handed on. */
export interface Returning {
  readonly face: Face;
  /** The client speaks HTTP/1.0 or 1.1. To 1.0 a chunked body goes without its chunks, until the connection ends. */
  readonly minor: 0 | 1;
  /** The client may send more over its connection; not so after a body that only the connection's end ends. */
  readonly keepAlive: boolean;
  /** The value of a `Set-Cookie` to add. */
  readonly setCookie?: string | undefined;
  /** The backend service's own response fields. */
  readonly set?: FieldSet | undefined;
  /** The value of `Holdfast-Decision`, for whoever asked. */
  readonly decision?: string | undefined;
}

/** Whether this answer's body ends with the client's connection, which can then be used for nothing more. */
export function endsWithConnection(head: ResponseHead, minor: 0 | 1): boolean {
  return head.body === UNTIL_CLOSE || (head.body === CHUNKED && minor === 0);
}

/**
 * The head that a client is given, CRLF CRLF included: the pod's own fields, `Via`, what the ingress adds, and framing
 * that says what the pod's said. 101 and 426 keep their `Upgrade`. An interim answer gets the pod's fields and `Via` alone.
 */
export function writeResponseHead(head: ResponseHead, returning: Returning): string {
  const { status } = head;
  const via = returning.face === "holdfast" ? `Via: 1.${head.minor} holdfast\r\n` : "Via: 1.1 google\r\n";
  let fields = head.fields + via;
  if (status >= 200 || status === 101) {
    if (returning.setCookie !== undefined) fields += `Set-Cookie: ${oneLine(returning.setCookie)}\r\n`;
    if (returning.set !== undefined) fields = returning.set.applyTo(fields);
    if (returning.decision !== undefined) fields += `Holdfast-Decision: ${oneLine(returning.decision)}\r\n`;
    fields += status === 101 ? switching(head) : framing(head, returning);
  }
  return `HTTP/1.1 ${status} ${head.reason}\r\n${fields}\r\n`;
}

function switching({ upgrade }: ResponseHead): string {
  return upgrade === undefined ? "" : `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
}

function framing(head: ResponseHead, { minor, keepAlive }: Returning): string {
  let fields = "";
  if (head.length !== -1) fields = `Content-Length: ${head.length}\r\n`;
  else if (head.body === CHUNKED && minor === 1) fields = "Transfer-Encoding: chunked\r\n";
  const close = !keepAlive || endsWithConnection(head, minor);
  if (head.status === 426 && head.upgrade !== undefined) {
    return `${fields}Upgrade: ${head.upgrade}\r\nConnection: ${close ? "close, " : ""}Upgrade\r\n`;
  }
  if (close) return `${fields}Connection: close\r\n`;
  return minor === 0 ? `${fields}Connection: keep-alive\r\n` : fields;
}

/** Control bytes would end the field, and the head. */
function oneLine(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it's those that are looked for
  return value.replace(/[\0-\x08\x0a-\x1f\x7f]/g, " ");
}
