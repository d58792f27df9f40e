/** Why a head or a body is refused, with the status that its sender is answered with. */
const STATUSES = {
  /** Not `method SP target SP HTTP/1.x`, with one blank each (RFC 9112 §3). */
  "request-line": 400,
  /** No visible ASCII, a fragment, or none of origin-form, absolute-form and `*` (RFC 9112 §3.2). */
  target: 400,
  /** HTTP, but neither 1.0 nor 1.1. */
  version: 505,
  /** CONNECT: this is no tunnel. */
  connect: 501,
  /** None, several, not a name or address with a port, or another than the target's (RFC 9112 §3.2). */
  host: 400,
  /** Not `name: value` with a token for its name: blanks before the colon, folding, control bytes, bare CR or LF. */
  field: 400,
  "too-many-fields": 431,
  /** A `Content-Length` that is repeated or is no whole number below 2^53 (RFC 9112 §6.3). */
  length: 400,
  /** Repeated, not a list of codings, or in HTTP/1.0 (RFC 9112 §6.1). */
  "transfer-encoding": 400,
  /** A transfer coding besides `chunked`. */
  "transfer-coding": 501,
  /** Both lengths and chunks are announced (RFC 9112 §6.1: an attempt at smuggling). */
  "length-and-chunks": 400,
  /** An `Expect` besides `100-continue` (RFC 9110 §10.1.1). */
  expectation: 417,
  /** Not `HTTP/1.x SP status SP reason` (RFC 9112 §4). */
  "status-line": 400,
  "chunk-size": 400,
  /** Not `;name=value` without blanks, or more of it than is read. */
  "chunk-extension": 400,
  /** A chunk's data or the last trailer is not followed by CRLF. */
  "chunk-end": 400,
  /** Not a field, or one that frames, routes or belongs to the connection (RFC 9110 §6.5.1). */
  trailer: 400,
  "trailers-too-large": 400,
} as const satisfies Record<string, number>;

export type RefusalCause = keyof typeof STATUSES;

/** A message that is not read. Its sender's connection can't be used any more: nobody knows where the next begins. */
export interface Refusal {
  readonly refused: true;
  /** What a client is answered with; 502 where it was the pod that sent the message. */
  readonly status: 400 | 417 | 431 | 501 | 502 | 505;
  readonly cause: RefusalCause;
}

const CAUSES = Object.keys(STATUSES) as RefusalCause[];
const OF_CLIENTS = tableOf((cause) => STATUSES[cause]);
const OF_PODS = tableOf(() => 502);

/** The refusal of what a client sent. */
export function refuseRequest(cause: RefusalCause): Refusal {
  return OF_CLIENTS[cause];
}

/** The refusal of what a pod sent: whatever it is, the client's answer is 502. */
export function refuseResponse(cause: RefusalCause): Refusal {
  return OF_PODS[cause];
}

function tableOf(status: (cause: RefusalCause) => Refusal["status"]): Record<RefusalCause, Refusal> {
  const rows = CAUSES.map((cause) => [cause, Object.freeze({ refused: true, status: status(cause), cause })]);
  return Object.fromEntries(rows);
}
