import type { Affinity, BackendServiceId, Face } from "@holdfast/routing";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import type { AffinityFacts, AffinityRule, Choice } from "./affinity.ts";
import { ByTurns } from "./by-turns.ts";
import { ClientIp } from "./client-ip.ts";
import type { SigningKeys } from "./cookie-keys.ts";
import { EngineSession } from "./engine-session.ts";
import { GCILB, GCLB, GeneratedCookie } from "./generated-cookie.ts";
import { PinnedEndpoint } from "./pinned-endpoint.ts";
import type { SessionSearch } from "./session-search.ts";
import type { SessionTable } from "./session-table.ts";

/** What a policy is made of: settings of a model. */
export interface AffinitySettings {
  readonly backendService: BackendServiceId;
  readonly affinity: Affinity;
  readonly face: Face;
  readonly sessionAffinity: boolean;
}

/** What all policies of an ingress have in common. */
export interface AffinityMeans {
  readonly keys: SigningKeys;
  readonly sessions: SessionTable;
  readonly search: SessionSearch | undefined;
}

/** Picks the endpoint of a request. One for each backend service of each load balancer. */
export class AffinityPolicy implements AffinityRule {
  readonly settings: AffinitySettings;
  readonly #rule: AffinityRule;

  /** @throws IngressError `MODEL_INVALID` */
  constructor(settings: AffinitySettings, means: AffinityMeans) {
    this.settings = settings;
    const otherwise = ruleOf(settings, means);
    const { backendService, sessionAffinity } = settings;
    this.#rule = sessionAffinity ? new EngineSession({ backendService, otherwise, ...means }) : otherwise;
  }

  /** What has to be awaited before `choose`, if anything; bounded in time, and never rejects. */
  prepare(table: EndpointTable, facts: AffinityFacts): Promise<void> | undefined {
    return this.#rule.prepare?.(table, facts);
  }

  choose(table: EndpointTable, facts: AffinityFacts, tried: ReadonlySet<EndpointState>): Choice | undefined {
    return this.#rule.choose(table, facts, tried);
  }
}

function ruleOf({ backendService, affinity, face }: AffinitySettings, means: AffinityMeans): AffinityRule {
  switch (affinity.type) {
    case "NONE":
      return new ByTurns();
    case "CLIENT_IP":
      return new ClientIp();
    case "GENERATED_COOKIE":
      return new GeneratedCookie(face === "gce-envoy" ? GCILB : GCLB, affinity.ttlSec);
    case "PINNED_COOKIE":
      return new PinnedEndpoint(backendService, affinity.cookie, means.keys);
  }
}
