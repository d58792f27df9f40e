import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import { type AffinityFacts, type AffinityRule, byTurns, type Choice } from "./affinity.ts";

/** No affinity: each request takes the next endpoint. */
export class ByTurns implements AffinityRule {
  choose(table: EndpointTable, _facts: AffinityFacts, tried: ReadonlySet<EndpointState>): Choice | undefined {
    return byTurns(table, tried, "round-robin");
  }
}
