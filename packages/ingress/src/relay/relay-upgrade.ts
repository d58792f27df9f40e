import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Choice } from "../affinity/affinity.ts";
import type { Outcome, UpgradeClosedEvent } from "../events.ts";
import type { ResolvedOptions } from "../options.ts";
import { BAD_GATEWAY, BAD_REQUEST, type ErrorPage, GATEWAY_TIMEOUT, writePage } from "./error-page.ts";
import type { Exchange } from "./exchange.ts";
import { forwardedRequestHeaders, forwardedResponseHeaders } from "./forwarded-headers.ts";
import { openUpstream, type UpstreamCall, type UpstreamFailure } from "./upstream-request.ts";

/**
 * Relays a request to upgrade and, once the pod has agreed, raw bytes both ways. The backend service's timeout is
 * the longest life of the connection, idle or not, and ends it without a closing frame, as GKE's does.
 */
export class UpgradeRelay {
  readonly #exchange: Exchange;
  readonly #request: IncomingMessage;
  readonly #socket: Socket;
  /** What the client has sent after its head already. */
  readonly #early: Buffer;
  readonly #options: ResolvedOptions;
  #deadline: NodeJS.Timeout | undefined;
  #call: UpstreamCall | undefined;
  #release: (() => void) | undefined;
  /** Set once the connection is upgraded. */
  #pod: Socket | undefined;
  /** The status that was sent. */
  #status = 0;
  #ended = false;

  constructor(
    exchange: Exchange,
    request: IncomingMessage,
    socket: Socket,
    early: Buffer,
    options: ResolvedOptions,
  ) {
    this.#exchange = exchange;
    this.#request = request;
    this.#socket = socket;
    this.#early = early;
    this.#options = options;
  }

  start(): void {
    this.#socket.setTimeout(0);
    this.#socket.setNoDelay(true);
    this.#socket.once("close", (hadError) => this.#clientClosed(hadError));
    const { method, hasBody } = this.#exchange.head;
    if (method !== "GET" || hasBody) {
      this.#end("malformed", BAD_REQUEST);
      return;
    }
    this.#deadline = setTimeout(() => this.#cut("timeout", GATEWAY_TIMEOUT), this.#exchange.timeoutMs);
    const choice = this.#exchange.first();
    if (choice) this.#send(choice);
    else this.#end("no-healthy-endpoint", BAD_GATEWAY);
  }

  #send(choice: Choice): void {
    const { head, ends } = this.#exchange;
    this.#release?.();
    this.#release = choice.state.hold(() => this.#cut("drained", BAD_GATEWAY));
    try {
      this.#call = openUpstream(
        {
          state: choice.state,
          agent: undefined,
          method: head.method,
          target: head.target,
          headers: forwardedRequestHeaders({
            method: head.method,
            rawHeaders: this.#request.rawHeaders,
            host: head.host,
            upgrade: this.#request.headers.upgrade ?? "websocket",
            ...ends,
          }),
          connectTimeoutMs: this.#options.connectTimeoutMs,
          maxHeaderBytes: this.#options.maxHeaderBytes,
        },
        {
          connected: (upstream) => {
            this.#exchange.connected();
            upstream.end();
          },
          response: (response) => {
            this.#exchange.answered();
            this.#decline(response, choice.setCookie);
          },
          upgraded: (response, pod, early) => {
            this.#exchange.answered();
            this.#join(response, pod, early, choice.setCookie);
          },
          failed: (failure) => this.#failed(failure),
        },
      );
    } catch {
      this.#end("malformed", BAD_REQUEST);
    }
  }

  #failed(failure: UpstreamFailure): void {
    const next = this.#exchange.afterFailure(failure);
    if (next) this.#send(next.choice);
    else this.#end(failure.stage === "connect" ? "connect-failed" : "pod-closed", BAD_GATEWAY);
  }

  /** The pod answers with something else than an upgrade: that is the answer, and the last one on this connection. */
  #decline(response: IncomingMessage, setCookie: string | undefined): void {
    this.#writeHead(response, [
      ...forwardedResponseHeaders(response.rawHeaders, { setCookie }),
      "Connection",
      "close",
    ]);
    response.pipe(this.#socket);
    // Where the end of the connection is the end of the body, only a reset tells that the body is not whole.
    response.once("close", () => {
      if (response.complete) this.#exchange.report("answered", this.#status);
      else {
        this.#exchange.report("pod-closed", this.#status);
        this.#socket.resetAndDestroy();
      }
    });
    response.on("error", () => {});
    this.#socket.once("finish", () => this.#socket.destroy());
  }

  #join(response: IncomingMessage, pod: Socket, early: Buffer, setCookie: string | undefined): void {
    const client = this.#socket;
    this.#pod = pod;
    pod.setTimeout(0);
    pod.on("error", () => {});
    pod.once("close", (hadError) => {
      this.#closed("pod");
      // After an orderly end on both sides nothing is left to do; in any other case the rest can't be delivered.
      if (hadError || !pod.readableEnded) client.destroy();
    });
    this.#writeHead(
      response,
      forwardedResponseHeaders(response.rawHeaders, {
        setCookie,
        upgrade: response.headers.upgrade ?? this.#request.headers.upgrade,
      }),
    );
    this.#exchange.report("answered", this.#status);
    if (early.length > 0) client.write(early);
    if (this.#early.length > 0) pod.write(this.#early);
    pod.pipe(client);
    client.pipe(pod);
  }

  #writeHead(response: IncomingMessage, headers: readonly string[]): void {
    this.#status = response.statusCode ?? 502;
    const reason = response.statusMessage || STATUS_CODES[this.#status] || "";
    let text = `HTTP/1.1 ${this.#status} ${reason}\r\n`;
    for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
    this.#socket.write(`${text}\r\n`, "latin1");
  }

  /** Ends the connection at whatever point it is. */
  #cut(cause: "timeout" | "drained", page: ErrorPage): void {
    if (this.#pod) this.#closed(cause);
    this.#end(cause, page);
  }

  /** Answers with the page or, when the pod's answer has begun, breaks off. */
  #end(outcome: Outcome, page: ErrorPage): void {
    this.#exchange.report(outcome, this.#status || page.status);
    this.#call?.abort();
    this.#pod?.destroy();
    if (this.#status === 0) {
      this.#status = page.status;
      writePage(this.#socket, page);
    } else {
      this.#socket.destroy();
    }
  }

  #clientClosed(hadError: boolean): void {
    clearTimeout(this.#deadline);
    this.#release?.();
    if (this.#pod) {
      this.#closed("client");
      if (hadError || !this.#socket.readableEnded) this.#pod.destroy();
    } else {
      this.#exchange.report("client-closed", this.#status);
      this.#call?.abort();
    }
  }

  #closed(cause: UpgradeClosedEvent["cause"]): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#exchange.reportUpgradeClosed(cause);
  }
}
