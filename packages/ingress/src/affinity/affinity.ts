import type { Affinity } from "@holdfast/routing";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import { type Hash64, hash64 } from "../endpoints/hash.ts";
import type { Reason } from "../events.ts";
import { formatGclb, readGclb } from "./gclb-cookie.ts";

/** What affinity is computed from, and nothing else. */
export interface AffinityFacts {
  /** The `Cookie` header; several are joined with `; `. */
  readonly cookieHeader: string | undefined;
  /** The address of the socket's other end; never what a header claims. */
  readonly client: string;
  /** The load balancer's own address on that connection. */
  readonly address: string;
}

export interface Choice {
  readonly state: EndpointState;
  readonly reason: Reason;
  /** The cookie to issue with whatever the pod answers. */
  readonly setCookie?: string;
}

/**
 * Picks the endpoint of a request, by the rules of GKE's classic load balancer.
 *
 * `GENERATED_COOKIE`: by the cookie's key; a request without one that decodes takes the next endpoint by turns and
 * is issued a new random key that falls on it, so that new clients spread evenly. A cookie is never renewed or
 * changed, not even when its endpoint is down. `CLIENT_IP`: by the client's and the balancer's address. `NONE`: by turns.
 *
 * @param tried endpoints that this request has tried in vain
 * @returns undefined when no healthy endpoint is left
 */
export function chooseEndpoint(
  table: EndpointTable,
  affinity: Affinity,
  facts: AffinityFacts,
  tried: ReadonlySet<EndpointState>,
): Choice | undefined {
  switch (affinity.type) {
    case "GENERATED_COOKIE": {
      const key = readGclb(facts.cookieHeader);
      if (key) return byKey(table, key, tried, "cookie");
      const state = table.next(tried);
      if (!state) return undefined;
      const setCookie = formatGclb(table.mintKey(state), affinity.ttlSec);
      return { state, reason: byTurns(tried, "new"), setCookie };
    }
    case "CLIENT_IP":
      return byKey(table, hash64(`${facts.client} ${facts.address}`), tried, "client-ip");
    case "NONE": {
      const state = table.next(tried);
      return state && { state, reason: byTurns(tried, "round-robin") };
    }
  }
}

function byKey(
  table: EndpointTable,
  key: Hash64,
  tried: ReadonlySet<EndpointState>,
  reason: Reason,
): Choice | undefined {
  const state = table.ownerOf(key, tried);
  return state && { state, reason: state === table.homeOf(key) ? reason : "failed-over" };
}

function byTurns(tried: ReadonlySet<EndpointState>, reason: Reason): Reason {
  return tried.size === 0 ? reason : "failed-over";
}
