import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import type { Hash64 } from "../endpoints/hash.ts";
import type { Reason } from "../events.ts";

/** What affinity is computed from, and nothing else. */
export interface AffinityFacts {
  /** The `Cookie` header; several are joined with `; `. */
  readonly cookieHeader: string | undefined;
  /** The address of the socket's other end; never what a header claims that nobody vouches for. */
  readonly client: string;
  /** The load balancer's own address on that connection. */
  readonly address: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** What stands after the `?`; empty where there is none. */
  readonly query: string;
  /** A CORS preflight: browsers send it without cookies, and keep none that comes with its answer. */
  readonly preflight: boolean;
  /** The client's connection came over HTTPS. */
  readonly secure: boolean;
}

export interface Choice {
  readonly state: EndpointState;
  readonly reason: Reason;
  /** The `Set-Cookie` value to send with whatever the pod answers, a 101 and an error too. */
  readonly setCookie?: string;
  /**
   * To be called once with the first bytes of the body (without its framing) when the pod answers 200, before any of
   * them goes to the client: up to 1 KiB, or all there is. Never throws.
   */
  readonly learn?: (firstBodyBytes: Buffer) => void;
}

/** One way to pick the endpoint of a request. */
export interface AffinityRule {
  /** What has to be awaited before `choose`, if anything; bounded in time, and never rejects. */
  prepare?(table: EndpointTable, facts: AffinityFacts): Promise<void> | undefined;
  /**
   * @param tried endpoints that this request has tried in vain
   * @returns undefined when no healthy endpoint is left
   */
  choose(table: EndpointTable, facts: AffinityFacts, tried: ReadonlySet<EndpointState>): Choice | undefined;
  /** The `Set-Cookie` that keeps this rule's cookie alive, if it is due, though another rule picked the endpoint. */
  renew?(table: EndpointTable, facts: AffinityFacts): string | undefined;
}

/** The endpoint that a key falls on. */
export function byKey(
  table: EndpointTable,
  key: Hash64,
  tried: ReadonlySet<EndpointState>,
  reason: Reason,
): Choice | undefined {
  const state = table.ownerOf(key, tried);
  return state && { state, reason: state === table.homeOf(key) ? reason : "failed-over" };
}

/** The next endpoint. */
export function byTurns(
  table: EndpointTable,
  tried: ReadonlySet<EndpointState>,
  reason: Reason,
): Choice | undefined {
  const state = table.next(tried);
  return state && { state, reason: tried.size === 0 ? reason : "failed-over" };
}
