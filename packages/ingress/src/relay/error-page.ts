import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** An answer of the ingress itself. */
export interface ErrorPage {
  readonly status: 400 | 404 | 408 | 431 | 501 | 502 | 504;
  readonly contentType: string;
  readonly body: string;
}

/** What GKE's default backend says where no host and path match (ingress-gce, cmd/404-server-with-metrics). */
export const NOT_FOUND: ErrorPage = {
  status: 404,
  contentType: "text/plain; charset=utf-8",
  body: "response 404 (backend NotFound), service rules for the path non-existent \n",
};

export const BAD_GATEWAY = page(502, "No server behind this address could answer. Try again in a moment.");
export const GATEWAY_TIMEOUT = page(504, "The server behind this address took too long to answer.");
export const BAD_REQUEST = page(400, "This request is malformed or can't be forwarded.");
export const REQUEST_TIMEOUT = page(408, "The request's head took too long to arrive.");
export const HEAD_TOO_LARGE = page(431, "The request's head is too large.");
export const NOT_IMPLEMENTED = page(501, "This transfer coding is not supported.");

/** Answers a request and, since its body may be unread, ends the connection. The head must not have been sent. */
export function answerWithPage(response: ServerResponse, page: ErrorPage, keepAlive: boolean): void {
  response.shouldKeepAlive = keepAlive;
  response.writeHead(page.status, headersOf(page));
  response.end(page.body);
}

/** Answers on a socket that has no response object, and closes it. */
export function writePage(socket: Duplex & { destroySoon?(): void }, page: ErrorPage): void {
  const headers = Object.entries(headersOf(page)).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${page.status} ${STATUS_CODES[page.status]}\r\n${headers.join("")}Connection: close\r\n\r\n`;
  socket.write(head + page.body);
  if (socket.destroySoon) socket.destroySoon();
  else socket.end();
}

function page(status: ErrorPage["status"], sentence: string): ErrorPage {
  const title = `${status} ${STATUS_CODES[status]}`;
  return {
    status,
    contentType: "text/html; charset=UTF-8",
    body: `<html><head><title>${title}</title></head><body><h1>${title}</h1><p>${sentence}</p></body></html>\n`,
  };
}

function headersOf({ contentType, body }: ErrorPage): Record<string, string> {
  return {
    "Content-Type": contentType,
    "Content-Length": String(Buffer.byteLength(body)),
    Via: "1.1 google",
  };
}
