import type { Socket } from "node:net";
import type { AffinityFacts, Choice } from "../affinity/affinity.ts";
import type { Backend } from "../backend.ts";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { IngressEvent, Outcome, UpgradeClosedEvent } from "../events.ts";
import type { RequestHead } from "./request-head.ts";
import type { UpstreamFailure } from "./upstream-request.ts";

/** Who is at the two ends of a client's connection. */
export interface Ends {
  readonly client: string;
  readonly address: string;
}

const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS"]);

/** The longest that a timer of Node can run. */
const MAX_TIMER_MS = 0x7fff_ffff;

/** One request on its way: where it was sent, where it may still be sent, and what is reported of it in the end. */
export class Exchange {
  readonly head: RequestHead;
  readonly ends: Ends;
  readonly backend: Backend;
  choice: Choice | undefined;
  readonly #loadBalancer: string;
  readonly #cookieHeader: string | undefined;
  readonly #maxTries: number;
  readonly #onEvent: (event: IngressEvent) => void;
  readonly #startedAt = performance.now();
  /** Not to be offered this request again. */
  readonly #tried = new Set<EndpointState>();
  #tries = 0;
  #reported = false;

  constructor(given: {
    head: RequestHead;
    ends: Ends;
    backend: Backend;
    loadBalancer: string;
    cookieHeader: string | undefined;
    maxTries: number;
    onEvent: (event: IngressEvent) => void;
  }) {
    this.head = given.head;
    this.ends = given.ends;
    this.backend = given.backend;
    this.#loadBalancer = given.loadBalancer;
    this.#cookieHeader = given.cookieHeader;
    this.#maxTries = given.maxTries;
    this.#onEvent = given.onEvent;
  }

  /** Milliseconds that the whole exchange may take. */
  get timeoutMs(): number {
    return Math.min(this.backend.service.timeoutSec * 1000, MAX_TIMER_MS);
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
      if (failure.stage === "answered" || this.head.hasBody || !IDEMPOTENT.has(this.head.method))
        return undefined;
      if (failure.reused && this.#tries < this.#maxTries && !failed.state.removed) {
        this.#tries++;
        return { choice: failed, fresh: true };
      }
    }
    this.#tried.add(failed.state);
    const choice = this.#choose();
    return choice && { choice, fresh: false };
  }

  connected(): void {
    if (this.choice) this.backend.table.connected(this.choice.state);
  }

  /** The pod has begun to answer. */
  answered(): void {
    if (this.choice) this.backend.table.answered(this.choice.state);
  }

  /** Reports how the request ended; only the first call counts. */
  report(outcome: Outcome, status: number): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#onEvent({
      type: "request",
      loadBalancer: this.#loadBalancer,
      client: this.ends.client,
      method: this.head.method,
      host: this.head.hostname,
      path: this.head.path,
      backendService: this.backend.service.id,
      ...(this.choice && { pod: this.choice.state.endpoint.pod, reason: this.choice.reason }),
      outcome,
      status,
      tries: this.#tries,
      ms: performance.now() - this.#startedAt,
    });
  }

  reportUpgradeClosed(cause: UpgradeClosedEvent["cause"]): void {
    this.#onEvent({
      type: "upgrade-closed",
      loadBalancer: this.#loadBalancer,
      client: this.ends.client,
      backendService: this.backend.service.id,
      pod: this.choice?.state.endpoint.pod ?? "",
      cause,
      ms: performance.now() - this.#startedAt,
    });
  }

  #choose(): Choice | undefined {
    if (this.#tries >= this.#maxTries) return undefined;
    const { method, path, target } = this.head;
    const facts: AffinityFacts = {
      cookieHeader: this.#cookieHeader,
      ...this.ends,
      method,
      path,
      query: target.slice(path.length + 1),
      preflight: false,
      secure: false,
    };
    const choice = this.backend.policy.choose(this.backend.table, facts, this.#tried);
    if (choice) {
      this.choice = choice;
      this.#tries++;
    }
    return choice;
  }
}

/** The socket's two addresses; an IPv4 address is written as such even on an IPv6 socket. */
export function endsOf(socket: Socket): Ends {
  return { client: plain(socket.remoteAddress), address: plain(socket.localAddress) };
}

function plain(address: string | undefined): string {
  return address?.replace(/^::ffff:(?=\d+\.)/i, "") ?? "unknown";
}
