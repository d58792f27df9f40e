import type { Affinity } from "@holdfast/routing";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import { type Hash64, hash64 } from "../endpoints/hash.ts";
import type { Reason } from "../events.ts";
import type { AffinityFacts, AffinityRule, Choice } from "./affinity.ts";
import { formatGclb, readGclb } from "./gclb-cookie.ts";

/**
 * Picks the endpoint of a request, by the rules of GKE's classic load balancer. One for each backend service of
 * each load balancer.
 *
 * `GENERATED_COOKIE`: by the cookie's key; a request without one that decodes takes the next endpoint by turns and
 * is issued a new random key that falls on it, so that new clients spread evenly. A cookie is never renewed or
 * changed, not even when its endpoint is down. `CLIENT_IP`: by the client's and the balancer's address. `NONE`: by turns.
 */
export class AffinityPolicy implements AffinityRule {
  readonly #affinity: Affinity;

  constructor(affinity: Affinity) {
    this.#affinity = affinity;
  }

  /** What has to be awaited before `choose` for these facts, if anything; bounded in time, and never rejects. */
  prepare(_facts: AffinityFacts): Promise<void> | undefined {
    return undefined;
  }

  choose(table: EndpointTable, facts: AffinityFacts, tried: ReadonlySet<EndpointState>): Choice | undefined {
    const affinity = this.#affinity;
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
      default: {
        const state = table.next(tried);
        return state && { state, reason: byTurns(tried, "round-robin") };
      }
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
