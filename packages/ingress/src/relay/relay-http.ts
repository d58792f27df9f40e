import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import type { Choice } from "../affinity/affinity.ts";
import type { Outcome } from "../events.ts";
import type { ResolvedOptions } from "../options.ts";
import { answerWithPage, BAD_GATEWAY, BAD_REQUEST, type ErrorPage, GATEWAY_TIMEOUT } from "./error-page.ts";
import type { Exchange } from "./exchange.ts";
import { forwardedRequestHeaders, forwardedResponseHeaders } from "./forwarded-headers.ts";
import type { UpstreamAgents } from "./upstream-agents.ts";
import { openUpstream, type UpstreamCall, type UpstreamFailure } from "./upstream-request.ts";

/** Relays one request and its answer, streaming both; at the backend service's timeout it is cut off. */
export class HttpRelay {
  readonly #exchange: Exchange;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #agents: UpstreamAgents;
  readonly #options: ResolvedOptions;
  #deadline: NodeJS.Timeout | undefined;
  #call: UpstreamCall | undefined;
  #release: (() => void) | undefined;

  constructor(
    exchange: Exchange,
    request: IncomingMessage,
    response: ServerResponse,
    agents: UpstreamAgents,
    options: ResolvedOptions,
  ) {
    this.#exchange = exchange;
    this.#request = request;
    this.#response = response;
    this.#agents = agents;
    this.#options = options;
  }

  start(): void {
    this.#deadline = setTimeout(() => this.#end("timeout", GATEWAY_TIMEOUT), this.#exchange.timeoutMs);
    this.#response.on("close", () => this.#closed());
    const choice = this.#exchange.first();
    if (choice) this.#send(choice, this.#agents.of(choice.state));
    else this.#end("no-healthy-endpoint", BAD_GATEWAY);
  }

  #send(choice: Choice, agent: ReturnType<UpstreamAgents["of"]>): void {
    const { head, ends } = this.#exchange;
    this.#release?.();
    this.#release = choice.state.hold(() => this.#end("drained", BAD_GATEWAY));
    try {
      this.#call = openUpstream(
        {
          state: choice.state,
          agent,
          method: head.method,
          target: head.target,
          headers: forwardedRequestHeaders({
            method: head.method,
            rawHeaders: this.#request.rawHeaders,
            host: head.host,
            ...ends,
          }),
          connectTimeoutMs: this.#options.connectTimeoutMs,
          maxHeaderBytes: this.#options.maxHeaderBytes,
        },
        {
          connected: (upstream) => {
            this.#exchange.connected();
            if (!head.hasBody) {
              upstream.end();
              return;
            }
            this.#request.pipe(upstream);
            // Whoever answers early may stop reading; the rest of the body is then nobody's.
            upstream.once("close", () => {
              this.#request.unpipe(upstream);
              this.#request.resume();
            });
          },
          response: (response) => {
            this.#exchange.answered();
            this.#answer(response, choice.setCookie);
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
    if (next) this.#send(next.choice, next.fresh ? undefined : this.#agents.of(next.choice.state));
    else this.#end(failure.stage === "connect" ? "connect-failed" : "pod-closed", BAD_GATEWAY);
  }

  #answer(upstream: IncomingMessage, setCookie: string | undefined): void {
    const response = this.#response;
    try {
      response.sendDate = false;
      response.writeHead(
        upstream.statusCode ?? 502,
        upstream.statusMessage ?? "",
        forwardedResponseHeaders(upstream.rawHeaders, { setCookie }),
      );
    } catch {
      this.#end("pod-closed", BAD_GATEWAY);
      return;
    }
    // Without a length the body may be a stream of events whose first is a long time coming.
    if (upstream.headers["content-length"] === undefined) response.flushHeaders();
    upstream.once("error", () => this.#exchange.report("pod-closed", response.statusCode));
    pipeline(upstream, response, (error) => {
      if (!error) this.#exchange.report("answered", response.statusCode);
    });
  }

  /** Answers with the page or, when the pod's answer has begun, breaks it off. */
  #end(outcome: Outcome, page: ErrorPage): void {
    const response = this.#response;
    const begun = response.headersSent;
    this.#exchange.report(outcome, begun ? response.statusCode : page.status);
    this.#call?.abort();
    if (begun) response.destroy();
    else answerWithPage(response, page, response.shouldKeepAlive && this.#request.complete);
  }

  /** The client has the answer, or is gone. */
  #closed(): void {
    this.#release?.();
    const { socket } = this.#request;
    if (!this.#response.writableFinished) {
      this.#exchange.report("client-closed", this.#response.headersSent ? this.#response.statusCode : 0);
      this.#call?.abort();
    } else if (!this.#request.complete && !socket.destroyed) {
      // The client is still sending the body of a request that is answered: it may, until the deadline.
      const late = setTimeout(() => socket.destroy(), this.#exchange.timeoutMs);
      this.#request.once("close", () => clearTimeout(late));
    }
    clearTimeout(this.#deadline);
  }
}
