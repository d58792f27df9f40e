import type { BackendService, Face } from "@holdfast/routing";
import type { AffinityPolicy } from "./affinity/affinity-policy.ts";
import type { EndpointTable } from "./endpoints/endpoint-table.ts";
import type { FieldSet } from "./http1/field-set.ts";

/**
 * What a request is routed to: a backend service as one load balancer reaches it. A request keeps the one that it
 * began with, whatever is applied meanwhile.
 */
export interface Backend {
  readonly service: BackendService;
  /** The same for every load balancer that reaches the service. */
  readonly table: EndpointTable;
  readonly policy: AffinityPolicy;
  /** The load balancer's. */
  readonly face: Face;
  /** The service's own request and response fields. */
  readonly requestFields: FieldSet | undefined;
  readonly responseFields: FieldSet | undefined;
}
