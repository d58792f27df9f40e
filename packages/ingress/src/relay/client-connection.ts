import type { RefusedEvent } from "../events.ts";
import { BodyReader } from "../http1/body-reader.ts";
import { findHeadEnd, HEAD_END_BYTES, hasBareLineBreak, mayBeginRequest } from "../http1/head-end.ts";
import { type RequestHead, readRequestHead } from "../http1/request-head.ts";
import type { Accepted } from "./accept.ts";
import type { Timed } from "./clock.ts";
import {
  BAD_REQUEST,
  BODY_TOO_LARGE,
  type ErrorPage,
  HEAD_TOO_LARGE,
  NOT_FOUND,
  REQUEST_TIMEOUT,
  refusalPage,
  TOO_MANY_UPGRADES,
  writePage,
} from "./error-page.ts";
import { type Ends, Exchange } from "./exchange.ts";
import { openPeer } from "./handle-peer.ts";
import { noRouteEvent } from "./no-route.ts";
import type { Peer, PeerHandler } from "./peer.ts";
import { Relay } from "./relay.ts";
import type { RelayContext } from "./relay-context.ts";
import { isWebSocketOffer } from "./web-socket-offer.ts";

/** Bytes of further requests that are kept while one is open; with more of them nothing is read. */
const MAX_QUEUED_BYTES = 16 * 1024;

/** Requests of one connection that are begun in a row before others have their turn. */
const MAX_AT_ONCE = 16;

/** After the last answer, ms: time for the client to read it, while what it still sends is thrown away. */
const LINGER_MS = 2_000;

/**
 * How long a client that sends nothing more is still taken to wait for the next part of its answer, ms. One that has
 * shut its half down and one that has left look the same until something is written to it; and a long poll's pod must
 * learn soon of the latter.
 */
const HALF_CLOSED_MS = 1_000;

/**
 * `idle`: between requests. `head`: a part of a head has come. `body`: a request is open, and its body still comes.
 * `open`: it has come. `rest`: the request is answered, and the rest of its body is thrown away. `last`: nothing that
 * comes counts any more. `gone`: the connection is upgraded, or closed.
 */
type Phase = "idle" | "head" | "body" | "open" | "rest" | "last" | "gone";

/** One client's connection: reads its requests, one after another, and has each relayed or answers it here. */
export class ClientConnection implements PeerHandler, Timed {
  readonly accepted: Accepted;
  readonly peer: Peer;
  /** The other end is a proxy that is believed when it says whom it speaks for. */
  readonly trusted: boolean;
  deadline: number;
  readonly #context: RelayContext;
  readonly #onClosed: (connection: ClientConnection) => void;
  readonly #ends: Ends;
  readonly #body = new BodyReader();
  #phase: Phase = "idle";
  /** The request that is open. */
  #relay: Relay | undefined;
  /** What has come and is not read yet. */
  #queued: Buffer | undefined;
  /** Bytes of a partial head in which its end was looked for already. */
  #searched = 0;
  #served = 0;
  /** Inside `#read`, which goes on by itself once a request is over. */
  #reading = false;
  /** Nothing is read because the queue is full. */
  #full = false;
  /** Nothing is read because the pod doesn't take the body yet. */
  #held = false;
  /** The client has ended its half. */
  #sendsNoMore = false;
  /** Bytes of the answer that had been written when it was last looked whether there is more of it. */
  #seen = -1;
  /** When a part of a body has last come, by the clock's ticks. */
  #heardAt = 0;

  constructor(accepted: Accepted, context: RelayContext, onClosed: (connection: ClientConnection) => void) {
    this.accepted = accepted;
    this.#context = context;
    this.#onClosed = onClosed;
    this.#ends = accepted;
    this.trusted = context.trustedProxies.trusts(accepted.client);
    this.deadline = performance.now() + context.options.headersTimeoutMs;
    context.clock.add(this);
    this.peer = openPeer(accepted.duplex, this, accepted.socket);
  }

  /** Nothing is lost when the connection is closed now. */
  get idle(): boolean {
    return this.#phase === "idle" && this.#queued === undefined;
  }

  received(buffer: Buffer, length: number): void {
    const queued = this.#queued;
    if (queued === undefined) {
      this.#read(buffer, length);
      return;
    }
    this.#queued = undefined;
    this.#read(Buffer.concat([queued, buffer.subarray(0, length)]), queued.length + length);
  }

  drained(): void {
    if (this.#relay) this.#relay.clientDrained();
    else this.#readQueued();
  }

  ended(): void {
    this.#sendsNoMore = true;
    const relay = this.#relay;
    if (this.#phase === "open" && relay?.upgrade === false) this.#awaitAnswer(relay);
    else if (this.#phase === "last") this.#finish();
    else if (this.#phase === "idle") this.#finishIfDone();
    // Of what was begun the rest will never come, and to an upgrade nobody is left to talk.
    else if (relay?.flushing !== true) this.peer.destroy();
  }

  closed(): void {
    this.#phase = "gone";
    this.#relay?.clientClosed();
    this.#relay = undefined;
    this.#queued = undefined;
    this.#context.clock.remove(this);
    this.#onClosed(this);
  }

  overdue(): void {
    const { clock, options } = this.#context;
    const relay = this.#relay;
    if (this.#phase === "head") {
      this.#refuse("head-timeout", REQUEST_TIMEOUT);
    } else if (!relay) {
      if (this.#phase === "idle" && this.#served === 0) this.#report("head-timeout", 0);
      this.peer.destroy();
    } else if (clock.now >= relay.deadline) {
      relay.timedOut();
    } else if (this.#phase === "open") {
      if (this.peer.clogged || relay.bytesOut !== this.#seen) this.#awaitAnswer(relay);
      else this.peer.destroy();
    } else if (this.#held || clock.now < this.#heardAt + options.bodyTimeoutMs) {
      this.#awaitBody(relay);
    } else {
      this.#report("body-timeout", REQUEST_TIMEOUT.status);
      relay.end("malformed", REQUEST_TIMEOUT);
    }
  }

  /** Reads no more of the request's body until `release`. */
  hold(): void {
    this.#held = true;
    this.peer.pause();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#heardAt = this.#context.clock.now;
    if (!this.#full) this.peer.resume();
  }

  /** Answers the open request here. */
  answer(page: ErrorPage, head: RequestHead): void {
    const keepAlive =
      head.keepAlive && head.upgrade === undefined && this.#body.done && !this.#context.closing;
    this.peer.writeText(
      writePage(page, {
        face: this.#context.face(),
        close: !keepAlive,
        headOnly: head.method === "HEAD",
        minor: head.minor,
      }),
    );
    this.answered(keepAlive);
  }

  /** The open request is answered. */
  answered(keepAlive: boolean): void {
    this.#relay = undefined;
    this.#served++;
    if (!keepAlive || this.#context.closing) {
      this.#finish();
      return;
    }
    if (this.#body.done) this.#await();
    else this.#phase = "rest";
    this.release();
    if (this.#reading) return;
    this.#readQueued();
    this.#finishIfDone();
  }

  /** Breaks the open request's answer off. */
  cut(untilClose: boolean): void {
    this.#relay = undefined;
    // Where the end of the connection is the end of the body, only a reset tells that the body is not whole.
    if (untilClose) this.peer.reset();
    else this.peer.destroy();
  }

  /** The connection is upgraded: what comes is not read here any more. @returns what has come already */
  leaveTo(): Buffer | undefined {
    const queued = this.#queued;
    this.#queued = undefined;
    this.#relay = undefined;
    this.#phase = "gone";
    this.#context.clock.remove(this);
    if (this.#full) this.peer.resume();
    return queued;
  }

  #read(bytes: Buffer, end: number): void {
    let at = 0;
    this.#reading = true;
    for (let begun = 0; at < end; ) {
      if (this.#phase === "idle" || this.#phase === "head") {
        // Answers that the client doesn't take must not pile up.
        if (this.peer.clogged) break;
        if (begun++ === MAX_AT_ONCE) {
          setImmediate(() => this.#readQueued());
          break;
        }
        const next = this.#readHead(bytes, at, end);
        if (next === -1) break;
        at = next;
      } else if (this.#phase === "body" || this.#phase === "rest") {
        at = this.#readBody(bytes, at, end);
      } else if (this.#phase === "last") {
        at = end;
      } else {
        break;
      }
    }
    this.#reading = false;
    if (at < end) this.#queue(bytes, at, end);
    if (this.#sendsNoMore) this.#finishIfDone();
  }

  #readQueued(): void {
    const queued = this.#queued;
    if (queued === undefined || this.#reading) return;
    this.#queued = undefined;
    this.#read(queued, queued.length);
    if (this.#full && !this.#isFull()) {
      this.#full = false;
      if (!this.#held) this.peer.resume();
    }
  }

  #isFull(): boolean {
    return this.#queued !== undefined && this.#queued.length > MAX_QUEUED_BYTES;
  }

  #queue(bytes: Buffer, at: number, end: number): void {
    this.#queued = Buffer.from(bytes.subarray(at, end));
    if (this.#phase === "head" || this.#full || end - at <= MAX_QUEUED_BYTES) return;
    this.#full = true;
    this.peer.pause();
  }

  /** @returns where the head's request ends, as far as it has come; -1 where the head isn't whole */
  #readHead(bytes: Buffer, at: number, end: number): number {
    const { maxHeaderBytes, maxBodyBytes } = this.#context.options;
    const found = findHeadEnd(bytes, at, this.#searched);
    const whole = found !== -1 && found <= end - HEAD_END_BYTES;
    if ((whole ? found : end) - at > maxHeaderBytes)
      return this.#refuse("head-too-large", HEAD_TOO_LARGE, end);
    if (!whole) {
      if (hasBareLineBreak(bytes, at, end) || !mayBeginRequest(bytes[at] as number)) {
        return this.#refuse("malformed-request", BAD_REQUEST, end);
      }
      this.#searched = end - at;
      if (this.#phase === "idle") {
        this.#phase = "head";
        if (this.#served > 0) this.deadline = performance.now() + this.#context.options.headersTimeoutMs;
      }
      return -1;
    }
    this.#searched = 0;
    const head = readRequestHead(bytes, at, found);
    if (head.refused) {
      const cause = head.status === 431 ? "head-too-large" : "malformed-request";
      return this.#refuse(cause, refusalPage(head.status), end);
    }
    if (maxBodyBytes > 0 && head.body > maxBodyBytes)
      return this.#refuse("body-too-large", BODY_TOO_LARGE, end);
    const bodyAt = found + HEAD_END_BYTES;
    this.#body.begin(head.body);
    const bodyEnd = head.body === 0 ? bodyAt : this.#body.read(bytes, bodyAt, end);
    if (this.#body.fault !== undefined) return this.#refuse("malformed-request", BAD_REQUEST, end);
    if (this.#isTooLarge()) return this.#refuse("body-too-large", BODY_TOO_LARGE, end);
    this.#serve(head, bytes, bodyAt, bodyEnd);
    return bodyEnd;
  }

  #serve(head: RequestHead, bytes: Buffer, at: number, end: number): void {
    const context = this.#context;
    const upgrade = head.upgrade !== undefined && isWebSocketOffer(head.upgrade);
    if (upgrade && (head.method !== "GET" || head.body !== 0)) {
      this.#refuse("malformed-request", BAD_REQUEST, end);
      return;
    }
    const backend = context.route(head.hostname, head.path);
    if (!backend) {
      context.onEvent(noRouteEvent(context.loadBalancer, this.#endsOf(head).client, head));
      this.answer(NOT_FOUND, head);
      return;
    }
    if (upgrade && context.upgrades.open >= context.options.maxUpgrades) {
      this.#refuse("too-many-upgrades", TOO_MANY_UPGRADES, end);
      return;
    }
    const relay = new Relay(this, new Exchange(head, this.#endsOf(head), backend, context), context, upgrade);
    this.#relay = relay;
    if (this.#body.done) {
      this.#phase = "open";
      this.#awaitAnswer(relay);
    } else {
      this.#phase = "body";
      this.#heardAt = context.clock.now;
      this.#awaitBody(relay);
    }
    relay.start(bytes, at, end, this.#body.done);
  }

  #readBody(bytes: Buffer, at: number, end: number): number {
    const bodyEnd = this.#body.read(bytes, at, end);
    const relay = this.#relay;
    this.#heardAt = this.#context.clock.now;
    const tooLarge = this.#isTooLarge();
    if (this.#body.fault !== undefined || tooLarge) {
      const page = tooLarge ? BODY_TOO_LARGE : BAD_REQUEST;
      this.#report(tooLarge ? "body-too-large" : "malformed-request", page.status);
      if (relay) relay.end("malformed", page);
      else this.#finish();
      return end;
    }
    if (this.#body.done) {
      if (relay) {
        this.#phase = "open";
        this.deadline = relay.deadline;
      } else {
        this.#await();
      }
    }
    relay?.requestBody(bytes, at, bodyEnd, this.#body.done);
    return bodyEnd;
  }

  #isTooLarge(): boolean {
    const { maxBodyBytes } = this.#context.options;
    return maxBodyBytes > 0 && this.#body.payload > maxBodyBytes;
  }

  #awaitAnswer(relay: Relay): void {
    this.deadline = relay.deadline;
    if (!this.#sendsNoMore) return;
    this.#seen = relay.bytesOut;
    this.deadline = Math.min(this.deadline, this.#context.clock.now + HALF_CLOSED_MS);
  }

  /** The client sends nothing more, and all that it sent is answered; but for the beginning of a head, maybe. */
  #finishIfDone(): void {
    const waiting = this.#phase === "idle" ? this.#queued !== undefined : this.#phase !== "head";
    if (this.#sendsNoMore && !waiting) this.#finish();
  }

  /** The next request may come. */
  #await(): void {
    this.#phase = "idle";
    this.deadline = this.#context.clock.now + this.#context.options.clientIdleTimeoutMs;
  }

  #awaitBody(relay: Relay): void {
    const { clock, options } = this.#context;
    const since = this.#held ? clock.now : this.#heardAt;
    this.deadline = Math.min(relay.deadline, since + options.bodyTimeoutMs);
  }

  /** Nothing more is answered on this connection. */
  #finish(): void {
    this.#phase = "last";
    this.#queued = undefined;
    this.deadline = performance.now() + LINGER_MS;
    this.peer.end();
    if (this.#held || this.#full) this.peer.resume();
  }

  #refuse(cause: RefusedEvent["cause"], page: ErrorPage, next = 0): number {
    this.#report(cause, page.status);
    this.peer.writeText(writePage(page, { face: this.#context.face(), close: true }));
    this.#finish();
    return next;
  }

  #report(cause: RefusedEvent["cause"], status: number): void {
    const { onEvent, loadBalancer } = this.#context;
    onEvent({ type: "refused", loadBalancer, client: this.accepted.client, cause, status });
  }

  #endsOf(head: RequestHead): Ends {
    if (!this.trusted) return this.#ends;
    const { client, address, secure } = this.accepted;
    const { forwardedFor, forwardedProto } = head;
    return {
      client:
        forwardedFor === undefined ? client : this.#context.trustedProxies.clientOf(client, forwardedFor),
      address,
      secure: secure || forwardedProto?.toLowerCase() === "https",
    };
  }
}
