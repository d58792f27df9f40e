import type { AffinityFacts, Choice } from "../affinity/affinity.ts";
import type { Backend } from "../backend.ts";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { IngressEvent, Outcome, RequestEvent, UpgradeClosedEvent } from "../events.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { UpstreamFailure } from "./upstream-connection.ts";

/** Who is at the two ends of a client's connection. */
export interface Ends {
  /** Whose request it is: the other end of the connection or, behind trusted proxies, whom they name. */
  readonly client: string;
  /** The load balancer's own address on that connection. */
  readonly address: string;
  /** It came over HTTPS. */
  readonly secure: boolean;
}

export interface ExchangeContext {
  readonly loadBalancer: string;
  readonly options: { readonly maxTries: number };
  readonly onEvent: (event: IngressEvent) => void;
}

/** The longest that the timeout of a backend service is taken for, ms. */
const MAX_TIMEOUT_MS = 0x7fff_ffff;

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

const NONE: ReadonlySet<EndpointState> = new Set();

/** One request on its way: where it was sent, where it may still be sent, and what is reported of it in the end. */
export class Exchange {
  readonly head: RequestHead;
  readonly ends: Ends;
  readonly backend: Backend;
  readonly facts: AffinityFacts;
  readonly startedAt = performance.now();
  choice: Choice | undefined;
  /** Bytes of the request's body that were read, and of the answer that were written, framing included. */
  bytesIn = 0;
  bytesOut = 0;
  tries = 0;
  readonly #context: ExchangeContext;
  /** Not to be offered this request again. */
  #tried: Set<EndpointState> | undefined;
  #sentAt = 0;
  #upstreamMs: number | undefined;
  #reported = false;

  constructor(head: RequestHead, ends: Ends, backend: Backend, context: ExchangeContext) {
    this.head = head;
    this.ends = ends;
    this.backend = backend;
    this.#context = context;
    this.facts = {
      cookieHeader: head.cookie,
      client: ends.client,
      address: ends.address,
      method: head.method,
      path: head.path,
      query: head.query,
      preflight: head.preflight,
      secure: ends.secure,
    };
  }

  /** Milliseconds that the whole exchange may take. */
  get timeoutMs(): number {
    return Math.min(this.backend.service.timeoutSec * 1000, MAX_TIMEOUT_MS);
  }

  /** Carrying it out twice is harmless, and it can be sent twice. */
  get repeatable(): boolean {
    return this.head.body === 0 && isIdempotent(this.head.method);
  }

  /** The endpoint to send the request to; undefined when there is none. */
  first(): Choice | undefined {
    return this.#choose();
  }

  /**
   * Where to send the request after a failure; undefined when it must be given up.
   *
   * Whatever never left may go elsewhere, and its endpoint is passed over by others too. What the pod may have
   * acted on goes out a second time only if doing it twice is harmless and no byte of an answer has come. If the
   * connection was an old one the pod is not to blame, so it is asked again, over a new connection.
   */
  afterFailure(failure: UpstreamFailure): { readonly choice: Choice; readonly fresh: boolean } | undefined {
    const failed = this.choice;
    if (!failed) return undefined;
    if (failure.stage === "connect") {
      this.backend.table.connectFailed(failed.state, failure.code);
    } else {
      if (failure.stage === "sent" && !failure.reused) {
        this.backend.table.closedUnanswered(failed.state, failure.code);
      }
      if (failure.stage === "answered" || !this.repeatable) return undefined;
      if (failure.reused && this.tries < this.#context.options.maxTries && !failed.state.removed) {
        this.tries++;
        return { choice: failed, fresh: true };
      }
    }
    this.#tried ??= new Set();
    this.#tried.add(failed.state);
    const choice = this.#choose();
    return choice && { choice, fresh: false };
  }

  /** Where to send the request instead, of which nothing has left yet: the endpoint that was chosen has left meanwhile. */
  instead(): Choice | undefined {
    this.tries--;
    return this.#choose();
  }

  /** The pod accepts connections. */
  connected(): void {
    if (this.choice) this.backend.table.connected(this.choice.state);
  }

  /** The request is on its way to the pod. @param atOnce there was no connection to wait for */
  sent(atOnce: boolean): void {
    this.#sentAt = atOnce && this.tries === 1 ? this.startedAt : performance.now();
  }

  /** The pod has begun to answer. */
  answered(): void {
    this.#upstreamMs = performance.now() - this.#sentAt;
    if (this.choice) this.backend.table.answered(this.choice.state);
  }

  /** Reports how the request ended; only the first call counts. */
  report(outcome: Outcome, status: number): void {
    if (this.#reported) return;
    this.#reported = true;
    const { head, choice } = this;
    const event: Writable<RequestEvent> = {
      type: "request",
      loadBalancer: this.#context.loadBalancer,
      client: this.ends.client,
      method: head.method,
      host: head.hostname,
      path: head.path,
      backendService: this.backend.service.id,
      outcome,
      status,
      tries: this.tries,
      ms: performance.now() - this.startedAt,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
    };
    if (choice) {
      event.pod = choice.state.endpoint.pod;
      event.reason = choice.reason;
    }
    if (this.#upstreamMs !== undefined) event.upstreamMs = this.#upstreamMs;
    this.#context.onEvent(event);
  }

  reportUpgradeClosed(cause: UpgradeClosedEvent["cause"], bytesIn: number, bytesOut: number): void {
    this.#context.onEvent({
      type: "upgrade-closed",
      loadBalancer: this.#context.loadBalancer,
      client: this.ends.client,
      backendService: this.backend.service.id,
      pod: this.choice?.state.endpoint.pod ?? "",
      cause,
      ms: performance.now() - this.startedAt,
      bytesIn,
      bytesOut,
    });
  }

  #choose(): Choice | undefined {
    if (this.tries >= this.#context.options.maxTries) return undefined;
    const { policy, table } = this.backend;
    const choice = policy.choose(table, this.facts, this.#tried ?? NONE);
    if (choice) {
      this.choice = choice;
      this.tries++;
    }
    return choice;
  }
}

/** Doing it twice is the same as doing it once, and nobody minds (RFC 9110 §9.2.1; the safe methods). */
function isIdempotent(method: string): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS";
}
