import { BodyReader } from "../../src/http1/body-reader.ts";
import { findHeadEnd, HEAD_END_BYTES, hasBareLineBreak } from "../../src/http1/head-end.ts";
import { type Refusal, type RefusalCause, refuseRequest, refuseResponse } from "../../src/http1/refusal.ts";
import { type RequestHead, readRequestHead } from "../../src/http1/request-head.ts";
import { writeRequestHead } from "../../src/http1/request-writer.ts";
import { type ResponseHead, readResponseHead } from "../../src/http1/response-head.ts";
import { endsWithConnection, writeResponseHead } from "../../src/http1/response-writer.ts";

/** What the codec let through of a connection's bytes, as a relay that does nothing else would use it. */
export interface Passage<Head> {
  readonly messages: readonly PassedMessage<Head>[];
  /** The bytes that the other side was given. */
  readonly passed: Buffer;
  readonly refused: Refusal | undefined;
  /** The last message ended the use of the connection. */
  readonly closed: boolean;
}

export interface PassedMessage<Head> {
  readonly head: Head;
  /** The body without its framing. */
  readonly body: Buffer;
  readonly complete: boolean;
}

interface Building<Head> {
  head: Head;
  pieces: Buffer[];
  complete: boolean;
}

export const FORWARDING = {
  face: "holdfast",
  client: "203.0.113.7",
  address: "127.0.0.1",
  proto: "http",
} as const;

/** Collects what is passed on and, of every piece, only what was read without fault. */
class Collector<Head> {
  readonly messages: Building<Head>[] = [];
  readonly passed: Buffer[] = [];
  refused: Refusal | undefined;
  closed = false;
  /** The refusal of what this side of the ingress sends. */
  readonly refusalOf: (cause: RefusalCause) => Refusal;

  constructor(refusalOf: (cause: RefusalCause) => Refusal) {
    this.refusalOf = refusalOf;
  }

  begin(head: Head, text: string): Building<Head> {
    const message: Building<Head> = { head, pieces: [], complete: false };
    this.messages.push(message);
    this.passed.push(Buffer.from(text, "latin1"));
    return message;
  }

  done(): Passage<Head> {
    return {
      messages: this.messages.map(({ pieces, ...message }) => ({ ...message, body: Buffer.concat(pieces) })),
      passed: Buffer.concat(this.passed),
      refused: this.refused,
      closed: this.closed,
    };
  }
}

/** Lets the bytes of a client's connection through, in the pieces that they come in. */
export function passRequests(pieces: readonly Buffer[]): Passage<RequestHead> {
  const collector = new Collector<RequestHead>(refuseRequest);
  const body = new BodyReader();
  let message: Building<RequestHead> | undefined;
  let pending: Buffer = Buffer.alloc(0);
  let at = 0;
  for (const piece of pieces) {
    pending = at === pending.length ? piece : Buffer.concat([pending.subarray(at), piece]);
    at = 0;
    while (collector.refused === undefined && !collector.closed) {
      if (message === undefined) {
        const end = findHeadEnd(pending, at);
        if (end === -1) {
          if (hasBareLineBreak(pending, at)) collector.refused = collector.refusalOf("field");
          break;
        }
        const head = readRequestHead(pending, at, end);
        if (head.refused) {
          collector.refused = head;
          break;
        }
        at = end + HEAD_END_BYTES;
        const upgrade = head.upgrade?.toLowerCase() === "websocket" ? head.upgrade : undefined;
        message = collector.begin(head, writeRequestHead(head, { ...FORWARDING, upgrade }));
        body.begin(head.body);
        if (upgrade !== undefined) collector.closed = true;
      }
      const taken = passBody(body, pending, at, message, collector, true);
      if (collector.refused) break;
      at = taken;
      if (!body.done) break;
      message.complete = true;
      if (!message.head.keepAlive) collector.closed = true;
      message = undefined;
    }
    if (collector.refused !== undefined || collector.closed) break;
  }
  return collector.done();
}

/** A request that is being answered. */
export interface Asked {
  readonly method: string;
  readonly minor: 0 | 1;
  readonly upgrade: boolean;
}

/** Lets the bytes of a pod's connection through, the answers to these requests; `ended`: the connection ends then. */
export function passResponses(
  pieces: readonly Buffer[],
  asked: readonly Asked[],
  ended: boolean,
): Passage<ResponseHead> {
  const collector = new Collector<ResponseHead>(refuseResponse);
  const body = new BodyReader();
  let message: Building<ResponseHead> | undefined;
  let pending: Buffer = Buffer.alloc(0);
  let at = 0;
  let answered = 0;
  for (const piece of pieces) {
    pending = at === pending.length ? piece : Buffer.concat([pending.subarray(at), piece]);
    at = 0;
    while (collector.refused === undefined && !collector.closed) {
      const request = asked[answered];
      if (request === undefined) break;
      const { minor } = request;
      if (message === undefined) {
        const end = findHeadEnd(pending, at);
        if (end === -1) {
          if (hasBareLineBreak(pending, at)) collector.refused = collector.refusalOf("field");
          break;
        }
        const head = readResponseHead(request.method, pending, at, end);
        if (head.refused) {
          collector.refused = head;
          break;
        }
        const switches = head.status === 101;
        if (switches && !(request.upgrade && head.upgrade !== undefined)) {
          collector.refused = collector.refusalOf("status-line");
          break;
        }
        at = end + HEAD_END_BYTES;
        const interim = head.status < 200 && !switches;
        if (interim && minor === 0) continue;
        const keepAlive = head.keepAlive && !endsWithConnection(head, minor);
        message = collector.begin(head, writeResponseHead(head, { face: "holdfast", minor, keepAlive }));
        if (interim || switches) {
          message.complete = true;
          message = undefined;
          if (switches) collector.closed = true;
          continue;
        }
        body.begin(head.body);
      }
      const taken = passBody(body, pending, at, message, collector, minor === 1);
      if (collector.refused) break;
      at = taken;
      if (!body.done) break;
      message.complete = true;
      if (!message.head.keepAlive || endsWithConnection(message.head, minor)) collector.closed = true;
      message = undefined;
      answered++;
    }
    if (collector.refused !== undefined || collector.closed) break;
  }
  if (ended && message !== undefined && collector.refused === undefined && body.wholeAtEnd) {
    message.complete = true;
    collector.closed = true;
  }
  return collector.done();
}

function passBody<Head>(
  body: BodyReader,
  bytes: Buffer,
  at: number,
  message: Building<Head>,
  collector: Collector<Head>,
  framed: boolean,
): number {
  const payload: Buffer[] = [];
  const taken = body.read(bytes, at, bytes.length, (piece, from, end) =>
    payload.push(piece.subarray(from, end)),
  );
  if (body.fault !== undefined) {
    collector.refused = collector.refusalOf(body.fault);
    return at;
  }
  message.pieces.push(...payload);
  if (framed) collector.passed.push(bytes.subarray(at, taken));
  else collector.passed.push(...payload);
  return taken;
}
