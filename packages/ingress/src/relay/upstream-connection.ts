import { connect, type Socket } from "node:net";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import { BodyReader, type PayloadSink } from "../http1/body-reader.ts";
import { findHeadEnd, HEAD_END_BYTES } from "../http1/head-end.ts";
import { CHUNKED } from "../http1/request-head.ts";
import { type ResponseHead, readResponseHead } from "../http1/response-head.ts";
import { type Clock, NEVER, type Timed } from "./clock.ts";
import { openPeer } from "./handle-peer.ts";
import type { Peer, PeerHandler } from "./peer.ts";

/** GKE keeps idle connections to a pod for this long, whatever the pod says; the pod may close them earlier. */
const IDLE_MS = 600_000;

/** Interim answers (1xx) to one request; a pod that sends more is broken. */
const MAX_INTERIM = 16;

/** How far a request came before it failed. */
export interface UpstreamFailure {
  /** `connect`: no byte of the request has left. `sent`: the pod may have acted on it. `answered`: it had begun to answer. */
  readonly stage: "connect" | "sent" | "answered";
  /** It went over a connection that had served before, and that the pod may just have closed for being idle. */
  readonly reused: boolean;
  /** Such as `ECONNREFUSED`. */
  readonly code: string;
}

/** Whose request a connection carries. None is called once it has let the connection go. */
export interface UpstreamUser {
  readonly method: string;
  /** The whole request has been written: once it's answered the connection can carry another. */
  readonly reusable: boolean;
  /** It can't be given chunks: the body comes without its framing. */
  readonly unchunked: boolean;
  /** The request can be written now. */
  connected(): void;
  /** An interim answer, 1xx but not 101. */
  interim(head: ResponseHead): void;
  /** The pod changes protocols. What follows its head, in `bytes` from `at` to `end`, is the new one's. */
  switched(head: ResponseHead, bytes: Buffer, at: number, end: number): void;
  /** The answer's head, and what of its body came with it: `bytes` from `at` to `end`. */
  answered(head: ResponseHead, bytes: Buffer, at: number, end: number): void;
  /** More of the answer's body, framing included. */
  answerBody(bytes: Buffer, at: number, end: number): void;
  /** The answer is whole; after this the connection is its user's no more. */
  whole(): void;
  /** What had been held back has left. */
  drained(): void;
  /** There will be no answer, or no more of it. The connection is gone. */
  failed(failure: UpstreamFailure): void;
}

/** One connection to an endpoint: carries one request at a time, reads the answers' heads and bodies, and waits in the pool in between. */
export class UpstreamConnection implements PeerHandler, Timed {
  readonly state: EndpointState;
  deadline: number;
  /** It has carried a request before. */
  reused = false;
  /** Where the answer's body ends. */
  readonly reader = new BodyReader();
  readonly #pool: Pool;
  readonly #settings: UpstreamSettings;
  readonly #socket: Socket;
  #peer: Peer | undefined;
  #user: UpstreamUser | undefined;
  #stage: "connect" | "idle" | "sent" | "head" | "body" = "connect";
  /** The pod takes more after this answer. */
  #keepAlive = false;
  /** The beginning of a head that isn't whole yet. */
  #partial: Buffer | undefined;
  #interims = 0;
  #sink: PayloadSink | undefined;
  #code = "ECONNRESET";
  #gone = false;

  constructor(state: EndpointState, user: UpstreamUser, pool: Pool, settings: UpstreamSettings) {
    this.state = state;
    this.#user = user;
    this.#pool = pool;
    this.#settings = settings;
    this.deadline = performance.now() + settings.connectTimeoutMs;
    const { address, port } = state.endpoint;
    const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
    this.#socket = socket;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#code = error.code ?? this.#code;
    });
    socket.once("connect", () => this.#connected());
    socket.once("close", () => {
      if (!this.#peer) this.closed();
    });
    settings.clock.add(this);
  }

  /** Only to be asked for while its user has the connection, and it is connected. */
  get peer(): Peer {
    return this.#peer as Peer;
  }

  get connecting(): boolean {
    return this.#stage === "connect";
  }

  /** Gives an idle connection to a request, which may be written now. */
  use(user: UpstreamUser): void {
    this.#user = user;
    this.reused = true;
    this.#begin();
  }

  /** Its user takes the connection itself, as it is: another protocol is spoken from now on. */
  handOver(): Peer {
    this.#leave();
    return this.peer;
  }

  /** Ends the connection. Its user hears no more of it. */
  destroy(): void {
    this.#user = undefined;
    if (this.#peer) this.#peer.destroy();
    else this.#socket.destroy();
    this.#leave();
  }

  received(buffer: Buffer, length: number): void {
    if (this.#stage === "body") {
      this.#readBody(buffer, 0, length);
      return;
    }
    if (this.#stage === "idle") {
      // Nobody has asked: whatever that is, the next request must not get it for an answer.
      this.destroy();
      return;
    }
    let bytes = buffer;
    let end = length;
    let searched = 0;
    this.#stage = "head";
    if (this.#partial) {
      searched = this.#partial.length;
      bytes = Buffer.concat([this.#partial, buffer.subarray(0, length)]);
      end = bytes.length;
      this.#partial = undefined;
    }
    this.#readHeads(bytes, end, searched);
  }

  drained(): void {
    this.#user?.drained();
  }

  ended(): void {
    if (this.#stage === "body" && this.reader.wholeAtEnd) {
      this.#keepAlive = false;
      this.#whole();
    } else {
      this.#fail("ECONNRESET");
    }
  }

  closed(): void {
    this.#fail(this.#code);
  }

  overdue(): void {
    this.#fail(this.#stage === "connect" ? "ETIMEDOUT" : "EIDLE");
  }

  #connected(): void {
    // Whoever gave up before has destroyed the socket.
    if (this.#gone) return;
    this.#peer = openPeer(this.#socket, this);
    this.#begin();
  }

  #begin(): void {
    this.deadline = NEVER;
    this.#stage = "sent";
    this.#interims = 0;
    this.#user?.connected();
  }

  #readHeads(bytes: Buffer, end: number, searchedBefore: number): void {
    let at = 0;
    let searched = searchedBefore;
    for (;;) {
      const headEnd = findHeadEnd(bytes, at, searched);
      const length = (headEnd === -1 || headEnd > end - HEAD_END_BYTES ? end : headEnd) - at;
      if (length > this.#settings.maxHeaderBytes) {
        this.#fail("EHEADSIZE");
        return;
      }
      if (headEnd === -1 || headEnd > end - HEAD_END_BYTES) {
        this.#partial = Buffer.from(bytes.subarray(at, end));
        return;
      }
      const user = this.#user;
      if (!user) return;
      const head = readResponseHead(user.method, bytes, at, headEnd);
      if (head.refused) {
        this.#fail("EPROTO");
        return;
      }
      at = headEnd + HEAD_END_BYTES;
      searched = 0;
      if (head.status >= 200) {
        this.#answered(user, head, bytes, at, end);
        return;
      }
      if (head.status === 101) {
        user.switched(head, bytes, at, end);
        return;
      }
      if (++this.#interims > MAX_INTERIM) {
        this.#fail("EPROTO");
        return;
      }
      user.interim(head);
      if (at === end || this.#gone) return;
    }
  }

  #answered(user: UpstreamUser, head: ResponseHead, bytes: Buffer, at: number, end: number): void {
    this.#stage = "body";
    this.#keepAlive = head.keepAlive;
    this.reader.begin(head.body);
    if (head.body === CHUNKED && user.unchunked) {
      this.#sink = (piece, from, to) => this.#user?.answerBody(piece, from, to);
      user.answered(head, bytes, at, at);
      if (this.#user === user) this.#readBody(bytes, at, end);
      return;
    }
    const bodyEnd = this.reader.read(bytes, at, end);
    if (this.reader.fault !== undefined) {
      this.#fail("EPROTO");
      return;
    }
    // Bytes after the answer that nobody asked for: the connection is of no more use.
    if (bodyEnd < end) this.#keepAlive = false;
    user.answered(head, bytes, at, bodyEnd);
    if (this.reader.done && this.#user === user) this.#whole();
  }

  #readBody(bytes: Buffer, at: number, end: number): void {
    const user = this.#user;
    const bodyEnd = this.reader.read(bytes, at, end, this.#sink);
    if (this.reader.fault !== undefined) {
      this.#fail("EPROTO");
      return;
    }
    if (bodyEnd < end) this.#keepAlive = false;
    if (this.#sink === undefined) user?.answerBody(bytes, at, bodyEnd);
    if (this.reader.done && this.#user === user) this.#whole();
  }

  #whole(): void {
    const user = this.#user;
    this.#user = undefined;
    this.#sink = undefined;
    let kept = false;
    if (this.#keepAlive && user?.reusable === true && !this.#gone) {
      this.#stage = "idle";
      this.deadline = this.#settings.clock.now + IDLE_MS;
      kept = this.#pool.keep(this);
    }
    if (!kept) this.destroy();
    // The last thing, since the next request may follow in the same call, over this connection.
    user?.whole();
  }

  #fail(code: string): void {
    if (this.#gone) return;
    const user = this.#user;
    const stage = this.#stage === "connect" ? "connect" : this.#stage === "sent" ? "sent" : "answered";
    this.destroy();
    user?.failed({ stage, reused: this.reused, code });
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#settings.clock.remove(this);
    this.#pool.forget(this);
  }
}

export interface UpstreamSettings {
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  readonly maxHeaderBytes: number;
}

/** Where idle connections go. */
interface Pool {
  keep(connection: UpstreamConnection): boolean;
  forget(connection: UpstreamConnection): void;
}
