/**
 * The routing model: the neutral, immutable answer to "which request goes where". It holds no annotation and no
 * Kubernetes object; the data plane needs nothing else but the endpoints of each backend service, which change
 * far more often and so travel apart from it.
 */
export interface RoutingModel {
  readonly loadBalancers: readonly LoadBalancer[];
  readonly backendServices: ReadonlyMap<BackendServiceId, BackendService>;
}

/** One Ingress. GKE gives each Ingress an address and a URL map of its own; they are never merged. */
export interface LoadBalancer {
  /** `namespace/name` of the Ingress. */
  readonly name: string;
  readonly urlMap: UrlMap;
}

export interface UrlMap {
  readonly hosts: readonly HostRule[];
  /** Serves what no host rule matches, and what no path of a matched host matches. Absent: GKE's 404 body. */
  readonly defaultBackend?: BackendServiceId;
}

export interface HostRule {
  /** Lower case: a name, `*.example.com` (any number of labels, as GCE has it), or `*`. */
  readonly host: string;
  readonly paths: readonly PathRule[];
}

/** `/foo` matches exactly, `/foo/*` everything below; the longest match wins, and an exact one before a prefix. */
export interface PathRule {
  readonly path: string;
  readonly backend: BackendServiceId;
}

/** `namespace/service:port` with the port's number. */
export type BackendServiceId = string;

/** One Service port as the balancer sees it. Shared by every Ingress that routes to it. */
export interface BackendService {
  readonly id: BackendServiceId;
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  readonly targetPort: number | string;
  readonly selector: Readonly<Record<string, string>>;
  readonly affinity: Affinity;
  /** Seconds until a response must be complete, and the longest life of a WebSocket. GKE's default is 30. */
  readonly timeoutSec: number;
  /** Seconds that open connections live on after their endpoint was removed. */
  readonly drainingTimeoutSec: number;
  /** Name of the BackendConfig these settings came from. */
  readonly backendConfig?: string;
}

/** The rule that picks the same endpoint again. */
export type Affinity =
  | { readonly type: "NONE" }
  | { readonly type: "CLIENT_IP" }
  /** `ttlSec` 0: a cookie that lasts as long as the browser's session. */
  | { readonly type: "GENERATED_COOKIE"; readonly ttlSec: number };

/** One pod's ip:port behind a backend service. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** The pod's name, for people: logs and tables. */
  readonly pod: string;
  /** Only healthy endpoints are given requests; an unhealthy one stays a member, so its clients come back to it. */
  readonly healthy: boolean;
}
