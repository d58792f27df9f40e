import type { Refusal } from "../src/http1/refusal.ts";
import { type RequestHead, readRequestHead } from "../src/http1/request-head.ts";
import { type ResponseHead, readResponseHead } from "../src/http1/response-head.ts";

/** The head in these lines, one character a byte. @throws Error with the cause when it is refused */
export function requestHead(...lines: readonly string[]): RequestHead {
  return taken(readRequestHead(bytesOf(lines)));
}

/** The head of an answer to `method`. @throws Error with the cause when it is refused */
export function responseHead(method: string, ...lines: readonly string[]): ResponseHead {
  return taken(readResponseHead(method, bytesOf(lines)));
}

function bytesOf(lines: readonly string[]): Buffer {
  return Buffer.from(lines.join("\r\n"), "latin1");
}

function taken<Head extends RequestHead | ResponseHead>(head: Head | Refusal): Head {
  if (head.refused) throw new Error(head.cause);
  return head;
}
