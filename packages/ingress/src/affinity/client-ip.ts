import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import { hash64 } from "../endpoints/hash.ts";
import { type AffinityFacts, type AffinityRule, byKey, type Choice } from "./affinity.ts";

/** GKE's `CLIENT_IP`: the endpoint that the client's and the balancer's addresses are hashed to together. */
export class ClientIp implements AffinityRule {
  choose(table: EndpointTable, facts: AffinityFacts, tried: ReadonlySet<EndpointState>): Choice | undefined {
    return byKey(table, hash64(`${facts.client} ${facts.address}`), tried, "client-ip");
  }
}
