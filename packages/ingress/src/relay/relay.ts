import type { Choice } from "../affinity/affinity.ts";
import type { EndpointState, Held } from "../endpoints/endpoint-state.ts";
import type { Outcome } from "../events.ts";
import { writeRequestHead } from "../http1/request-writer.ts";
import type { ResponseHead } from "../http1/response-head.ts";
import { endsWithConnection, writeResponseHead } from "../http1/response-writer.ts";
import type { ClientConnection } from "./client-connection.ts";
import { BAD_GATEWAY, type ErrorPage, GATEWAY_TIMEOUT, noEndpoint } from "./error-page.ts";
import type { Exchange } from "./exchange.ts";
import { Learning } from "./learning.ts";
import type { RelayContext } from "./relay-context.ts";
import { traceContext } from "./trace-context.ts";
import { Tunnel } from "./tunnel.ts";
import type { UpstreamConnection, UpstreamFailure, UpstreamUser } from "./upstream-connection.ts";

/** What is up to this long is written in one piece with the head before it: copying it costs less than another write. */
const JOIN_BYTES = 16 * 1024;

/**
 * Relays one request to an endpoint, and its answer back, streaming both ways; to another endpoint where that is
 * harmless. At the backend service's timeout it is answered for, or cut off.
 */
export class Relay implements UpstreamUser, Held {
  readonly method: string;
  readonly unchunked: boolean;
  readonly #exchange: Exchange;
  readonly #client: ClientConnection;
  readonly #context: RelayContext;
  /** The client would change to WebSocket. */
  readonly upgrade: boolean;
  #upstream: UpstreamConnection | undefined;
  /** The request's head, and what has come of its body so far, is written to `#upstream`. */
  #sent = false;
  /** All of the request's body has come from the client. */
  #bodyRead = false;
  /** What has come of the body while there is no connection to write it to. */
  #waiting: Buffer[] = [];
  /** The endpoint on which this is open. */
  #held: EndpointState | undefined;
  /** It was a member when it was chosen. */
  #wasMember = false;
  /** The status that the client was told; 0 before. */
  #status = 0;
  /** The client's connection lasts after the answer. */
  #keepAlive = false;
  /** Only the end of the connection tells the client that the answer is whole. */
  #untilClose = false;
  /** The answer is written; the client has yet to take all of it. */
  flushing = false;
  #learning: Learning | undefined;
  #tunnel: Tunnel | undefined;
  #over = false;

  constructor(client: ClientConnection, exchange: Exchange, context: RelayContext, upgrade: boolean) {
    this.method = exchange.head.method;
    this.unchunked = exchange.head.minor === 0;
    this.#client = client;
    this.#exchange = exchange;
    this.#context = context;
    this.upgrade = upgrade;
    if (upgrade) context.upgrades.open++;
  }

  get reusable(): boolean {
    return this.#sent && this.#bodyRead;
  }

  /** Bytes of the answer's body that have come. */
  get bytesOut(): number {
    return this.#exchange.bytesOut;
  }

  /** When the exchange must be over. */
  get deadline(): number {
    return this.#exchange.startedAt + this.#exchange.timeoutMs;
  }

  /** @param whole the bytes of the body, from `at` to `end`, are all there are */
  start(bytes: Buffer, at: number, end: number, whole: boolean): void {
    this.#bodyRead = whole;
    this.#exchange.bytesIn = end - at;
    if (end > at) this.#waiting.push(bytes.subarray(at, end));
    const { policy, table } = this.#exchange.backend;
    const prepared = policy.prepare(table, this.#exchange.facts);
    if (prepared === undefined) this.#begin();
    else void prepared.then(() => this.#begin());
    // What could not be sent at once is kept, and the bytes are only lent.
    if (this.#waiting.length > 0) {
      this.#waiting = this.#waiting.map((lent) => Buffer.from(lent));
      if (!whole) this.#client.hold();
    }
  }

  /** More of the request's body. */
  requestBody(bytes: Buffer, at: number, end: number, whole: boolean): void {
    this.#bodyRead = whole;
    this.#exchange.bytesIn += end - at;
    // Whoever has the answer needs no more of it.
    if (this.#over || this.flushing) return;
    if (this.#sent && this.#upstream) {
      if (!this.#upstream.peer.write(bytes.subarray(at, end))) this.#client.hold();
    } else {
      this.#waiting.push(Buffer.from(bytes.subarray(at, end)));
      this.#client.hold();
    }
  }

  /** The client has taken what had been held back. */
  clientDrained(): void {
    if (this.flushing) this.#finish();
    else if (this.#status !== 0) this.#upstream?.peer.resume();
  }

  clientClosed(): void {
    if (this.#over) return;
    this.#exchange.report("client-closed", this.#status);
    this.#leave();
  }

  /** Answers with the page or, when an answer has begun, breaks it off. Nothing more is relayed. */
  end(outcome: Outcome, page: ErrorPage): void {
    if (this.#over) return;
    this.#exchange.report(outcome, this.#status || page.status);
    this.#leave();
    if (this.#status === 0) this.#client.answer(page, this.#exchange.head);
    else this.#client.cut(this.#untilClose);
  }

  cut(): void {
    if (this.#tunnel) this.#tunnel.cut("drained");
    else if (this.#wasMember && !this.#sent) this.#sendElsewhere();
    else this.end("drained", BAD_GATEWAY);
  }

  timedOut(): void {
    this.end("timeout", GATEWAY_TIMEOUT);
  }

  connected(): void {
    const { head, ends, backend } = this.#exchange;
    const upstream = this.#upstream;
    if (!upstream) return;
    if (upstream.state.removed && this.#wasMember) {
      // Its pod ends as soon as it has nothing to do.
      this.#sendElsewhere();
      return;
    }
    if (!upstream.reused) this.#exchange.connected();
    this.#exchange.sent(upstream.reused);
    const text = writeRequestHead(head, {
      face: backend.face,
      client: this.#client.accepted.client,
      address: ends.address,
      proto: this.#client.accepted.secure ? "https" : "http",
      trusted: this.#client.trusted,
      set: backend.requestFields,
      upgrade: this.upgrade ? "websocket" : undefined,
      expectContinue: head.expectContinue && !this.#bodyRead,
      trace: backend.face === "holdfast" || head.traced ? undefined : traceContext(),
    });
    this.#sent = true;
    const [first] = this.#waiting;
    let taken: boolean;
    if (first !== undefined && this.#waiting.length === 1 && first.length <= JOIN_BYTES) {
      taken = upstream.peer.writeText(text + first.toString("latin1"));
    } else {
      taken = upstream.peer.writeText(text);
      for (const bytes of this.#waiting) taken = upstream.peer.write(bytes);
    }
    if (first !== undefined) this.#waiting = [];
    if (taken) this.#client.release();
  }

  interim(head: ResponseHead): void {
    const { head: request, backend } = this.#exchange;
    // HTTP/1.0 has none; and who did not ask whether to go on is not told so (RFC 9110 §15.2.1).
    if (request.minor === 0 || (head.status === 100 && !request.expectContinue)) return;
    this.#client.peer.writeText(
      writeResponseHead(head, { face: backend.face, minor: request.minor, keepAlive: true }),
    );
  }

  answered(head: ResponseHead, bytes: Buffer, at: number, end: number): void {
    const { choice, head: request } = this.#exchange;
    this.#exchange.answered();
    this.#untilClose = endsWithConnection(head, request.minor);
    // After an offer to change protocols nobody knows what the client sends next.
    this.#keepAlive = request.keepAlive && !this.#untilClose && !this.upgrade && !this.#context.closing;
    const text = this.#answerHead(head);
    if (choice?.learn !== undefined && head.status === 200) {
      this.#learning = new Learning(head.body, text, choice.learn);
      this.answerBody(bytes, at, end);
    } else {
      this.#status = head.status;
      this.#exchange.bytesOut = end - at;
      this.#write(text, bytes, at, end);
    }
  }

  answerBody(bytes: Buffer, at: number, end: number): void {
    const learning = this.#learning;
    this.#exchange.bytesOut += end - at;
    if (learning === undefined) {
      this.#write("", bytes, at, end);
    } else if (learning.add(bytes, at, end)) {
      this.#learnt(learning);
    }
  }

  whole(): void {
    const learning = this.#learning;
    if (learning !== undefined) {
      learning.end();
      this.#learnt(learning);
    }
    this.#upstream = undefined;
    if (this.#client.peer.clogged) this.flushing = true;
    else this.#finish();
  }

  switched(head: ResponseHead, bytes: Buffer, at: number, end: number): void {
    const upstream = this.#upstream;
    this.#exchange.answered();
    if (!upstream || !this.upgrade || head.upgrade?.toLowerCase() !== "websocket") {
      this.end("pod-closed", BAD_GATEWAY);
      return;
    }
    this.#status = 101;
    this.#client.peer.writeText(this.#answerHead(head));
    this.#exchange.report("answered", 101);
    this.#upstream = undefined;
    this.#over = true;
    const pod = upstream.handOver();
    this.#tunnel = new Tunnel(this.#client, pod, this.#exchange, this.#context, () => this.#release());
    this.#tunnel.begin(bytes.subarray(at, end), this.#client.leaveTo());
  }

  /** The pod takes more of the request. */
  drained(): void {
    this.#client.release();
  }

  failed(failure: UpstreamFailure): void {
    this.#upstream = undefined;
    const next = this.#status === 0 ? this.#exchange.afterFailure(failure) : undefined;
    if (next) this.#send(next.choice, next.fresh);
    else this.end(failure.stage === "connect" ? "connect-failed" : "pod-closed", BAD_GATEWAY);
  }

  #begin(): void {
    if (!this.#over) this.#sendTo(this.#exchange.first());
  }

  /** Nothing of the request has left, and its endpoint has. */
  #sendElsewhere(): void {
    this.#upstream?.destroy();
    this.#upstream = undefined;
    this.#sendTo(this.#exchange.instead());
  }

  #sendTo(choice: Choice | undefined): void {
    if (choice) this.#send(choice, this.upgrade);
    else this.end("no-healthy-endpoint", noEndpoint(this.#exchange.backend.face));
  }

  #send(choice: Choice, fresh: boolean): void {
    const { pool } = this.#context;
    this.#held?.remove(this);
    this.#held = choice.state;
    choice.state.add(this);
    this.#wasMember = !choice.state.removed;
    this.#sent = false;
    if (fresh || this.#exchange.repeatable || !pool.has(choice.state)) this.#dispatch(choice, fresh);
    else {
      afterNextPoll(() => {
        if (!this.#over && this.#exchange.choice === choice) this.#dispatch(choice, false);
      });
    }
  }

  #dispatch({ state }: Choice, fresh: boolean): void {
    const { pool } = this.#context;
    const kept = fresh ? undefined : pool.take(state);
    this.#upstream = kept ?? pool.open(state, this);
    kept?.use(this);
  }

  #answerHead(head: ResponseHead): string {
    const { backend, choice, head: request, tries } = this.#exchange;
    const { decisions } = this.#context.options;
    const told = decisions === "always" || (decisions === "asked" && request.decisionAsked);
    return writeResponseHead(head, {
      face: backend.face,
      minor: request.minor,
      keepAlive: this.#keepAlive,
      setCookie: choice?.setCookie,
      set: backend.responseFields,
      decision:
        told && choice
          ? `pod=${choice.state.endpoint.pod}; reason=${choice.reason}; tries=${tries}`
          : undefined,
    });
  }

  #learnt(learning: Learning): void {
    this.#learning = undefined;
    this.#status = 200;
    this.#write(learning.head, learning.bytes, 0, learning.bytes.length);
  }

  #write(text: string, bytes: Buffer, at: number, end: number): void {
    const { peer } = this.#client;
    let taken: boolean;
    if (end - at <= JOIN_BYTES) taken = peer.writeText(text + bytes.toString("latin1", at, end));
    else {
      if (text !== "") peer.writeText(text);
      taken = peer.write(bytes.subarray(at, end));
    }
    // A connection whose answer is whole goes back to the pool, where nothing must hold it up.
    const upstream = this.#upstream;
    if (!taken && upstream && !upstream.reader.done) upstream.peer.pause();
  }

  /** The client has all of the answer. */
  #finish(): void {
    this.#exchange.report("answered", this.#status);
    this.#leave();
    this.#client.answered(this.#keepAlive);
  }

  #leave(): void {
    this.#over = true;
    this.#upstream?.destroy();
    this.#upstream = undefined;
    this.#waiting = [];
    this.#release();
  }

  #release(): void {
    this.#held?.remove(this);
    this.#held = undefined;
    if (this.upgrade) this.#context.upgrades.open--;
  }
}

/**
 * Waits until the system was asked once more what has come. A pod that closed a kept connection may have done so while
 * this process was busy; a request that must not be sent twice would be lost on it.
 */
function afterNextPoll(then: () => void): void {
  // The first one follows upon what was asked before, the second one upon what is asked after that.
  setImmediate(() => setImmediate(then));
}
