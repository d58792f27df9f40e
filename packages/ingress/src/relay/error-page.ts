import { STATUS_CODES } from "node:http";
import type { Face } from "@holdfast/routing";

/** An answer of the ingress itself. */
export interface ErrorPage {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Seconds after which the same request may be worth another try. */
  readonly retryAfterSec?: number;
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
export const REQUEST_TIMEOUT = page(408, "The request took too long to arrive.");
export const BODY_TOO_LARGE = page(413, "The request's body is too large.");
export const TOO_MANY_CONNECTIONS = page(429, "There are too many connections from this address.");
export const HEAD_TOO_LARGE = page(431, "The request's head is too large.");
export const TOO_MANY_UPGRADES = {
  ...page(503, "There are too many open connections. Try again in a moment."),
  retryAfterSec: 5,
};

const NO_ENDPOINT = {
  ...page(503, "No server behind this address is ready. Try again in a moment."),
  retryAfterSec: 1,
};

/** What is said where no endpoint is healthy: 502 as on GKE or, by our own face, 503, since it is known to pass. */
export function noEndpoint(face: Face): ErrorPage {
  return face === "holdfast" ? NO_ENDPOINT : BAD_GATEWAY;
}

const REFUSALS = new Map(
  [
    BAD_REQUEST,
    page(417, "This expectation can't be met."),
    HEAD_TOO_LARGE,
    page(501, "This method or transfer coding is not supported."),
    page(505, "This version of HTTP is not supported."),
  ].map((refusal) => [refusal.status, refusal]),
);

/** The page for a head or body that was refused. */
export function refusalPage(status: number): ErrorPage {
  return REFUSALS.get(status) ?? BAD_REQUEST;
}

export interface Answering {
  readonly face: Face;
  /** Nothing more is answered on this connection. */
  readonly close: boolean;
  /** The request was HEAD: the same head, and no body. */
  readonly headOnly?: boolean;
  readonly minor?: 0 | 1;
}

/** The whole answer, one character a byte. */
export function writePage(page: ErrorPage, { face, close, headOnly, minor = 1 }: Answering): string {
  const { status, contentType, body, retryAfterSec } = page;
  const via = face === "holdfast" ? "1.1 holdfast" : "1.1 google";
  const retry = retryAfterSec === undefined ? "" : `Retry-After: ${retryAfterSec}\r\n`;
  const connection = close ? "Connection: close\r\n" : minor === 0 ? "Connection: keep-alive\r\n" : "";
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${contentType}\r\nContent-Length: ${body.length}\r\nVia: ${via}\r\n${retry}${connection}\r\n${headOnly === true ? "" : body}`;
}

/** ASCII only, so that its length is that of its bytes. */
function page(status: number, sentence: string): ErrorPage {
  const title = `${status} ${STATUS_CODES[status]}`;
  return {
    status,
    contentType: "text/html; charset=UTF-8",
    body: `<html><head><title>${title}</title></head><body><h1>${title}</h1><p>${sentence}</p></body></html>\n`,
  };
}
