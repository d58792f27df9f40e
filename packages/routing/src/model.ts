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
  readonly face: Face;
  readonly urlMap: UrlMap;
  /**
   * Whether plain HTTP is served (`kubernetes.io/ingress.allow-http`). If it isn't, and there is no certificate
   * either, the load balancer has no frontend at all.
   */
  readonly plainHttp: boolean;
  /** Absent: no HTTPS. Never empty; the first one is shown to clients that name no host, or an unknown one. */
  readonly certificates?: readonly Certificate[];
  /** How a backend service is reached through this load balancer, where that differs from its own affinity. */
  readonly affinities?: ReadonlyMap<BackendServiceId, Affinity>;
  /** Whether requests of an Engine.IO session follow their `sid`, whatever else the affinity says. */
  readonly sessionAffinity: boolean;
}

/**
 * Whose ways a load balancer has. `gce`: GKE's classic one. `gce-envoy`: GKE's internal and regional ones, which
 * stand on Envoy (another cookie; the timeout of an upgraded connection is one of idleness). `holdfast`: our own.
 */
export type Face = "gce" | "gce-envoy" | "holdfast";

/** A certificate chain with its private key, both PEM. Never to be printed. */
export interface Certificate {
  /** `namespace/name` of the Secret. */
  readonly name: string;
  readonly chain: string;
  readonly privateKey: string;
}

export interface UrlMap {
  readonly hosts: readonly HostRule[];
  /** Serves what no host rule matches, and what no path of a matched host matches. Absent: GKE's 404 body. */
  readonly defaultBackend?: BackendServiceId;
  /** Whether `*` of a wildcard host stands for exactly one label, as in Kubernetes. Absent: for any number, as on GKE. */
  readonly oneLabelWildcards?: true;
}

export interface HostRule {
  /** Lower case: a name, `*.example.com`, or `*`. */
  readonly host: string;
  readonly paths: readonly PathRule[];
}

/** `/foo` matches exactly, `/foo/*` everything below; the longest match wins, and an exact one before a prefix. */
export interface PathRule {
  readonly path: string;
  readonly backend: BackendServiceId;
}

/**
 * `namespace/service:port` with the port's number, followed by `@` and the face unless that is `gce`: as on GKE, load
 * balancers of different kinds have backend services of their own, with settings of their own.
 */
export type BackendServiceId = string;

/** One Service port as the balancer sees it. Shared by every Ingress of a face that routes to it. */
export interface BackendService {
  readonly id: BackendServiceId;
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  /** The Service port's name, by which EndpointSlices name it; absent for a port without one. */
  readonly portName?: string;
  readonly targetPort: number | string;
  readonly selector: Readonly<Record<string, string>>;
  /** Which of its pods' addresses are used; absent: IPv4. */
  readonly ipFamily?: "IPv6";
  readonly affinity: Affinity;
  /** Seconds until a response must be complete, and the longest life of a WebSocket. GKE's default is 30. */
  readonly timeoutSec: number;
  /** Seconds that open connections live on after their endpoint was removed. */
  readonly drainingTimeoutSec: number;
  readonly healthCheck: HealthCheck;
  /** Set on every request to the pods; replaces the client's own fields of that name. */
  readonly requestHeaders: readonly HeaderField[];
  /** Set on every answer; replaces the pod's own fields of that name. */
  readonly responseHeaders: readonly HeaderField[];
  /** Name of the BackendConfig these settings came from. */
  readonly backendConfig?: string;
}

/** The rule that picks the same endpoint again. */
export type Affinity =
  | { readonly type: "NONE" }
  | { readonly type: "CLIENT_IP" }
  /** `ttlSec` 0: a cookie that lasts as long as the browser's session. */
  | { readonly type: "GENERATED_COOKIE"; readonly ttlSec: number }
  /** Pinned to one endpoint for as long as that is there. Only through a load balancer of face `holdfast`. */
  | { readonly type: "PINNED_COOKIE"; readonly cookie: PinnedCookie };

/** What a pinned cookie's `Set-Cookie` says. */
export interface PinnedCookie {
  readonly name: string;
  /** Seconds since its last renewal; 0: as long as the browser's session. */
  readonly ttlSec: number;
  readonly path: string;
  readonly domain?: string;
  /** `auto`: on connections that came over HTTPS. */
  readonly secure: boolean | "auto";
  readonly sameSite?: "Strict" | "Lax" | "None";
}

export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

/** How the balancer finds out which endpoints it may use. */
export interface HealthCheck {
  /** `TCP`: a connection that is accepted is enough; only face `holdfast` has it. */
  readonly protocol: "HTTP" | "HTTPS" | "HTTP2" | "TCP";
  readonly path: string;
  /** A port of the pod's, or `serving`: the endpoint's own. */
  readonly port: number | "serving";
  /** The `Host` to ask with; absent: the endpoint's address. */
  readonly host?: string;
  readonly intervalSec: number;
  readonly timeoutSec: number;
  /** Probes in a row that must pass, or fail, to change an endpoint's health. */
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  /** Which answers pass: `200` alone, as on GKE, or any of 200 to 399. */
  readonly passing: "200" | "2xx-3xx";
  /** Where the settings came from, for people. */
  readonly origin: "default" | "readinessProbe" | "BackendConfig";
}

/** One pod's ip:port behind a backend service. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** The pod's name, for people: logs and tables. */
  readonly pod: string;
  /** Only healthy endpoints are given requests; an unhealthy one stays a member, so its clients come back to it. */
  readonly healthy: boolean;
  /** Where the health check's own port is on this pod, should it have another number there than in the manifest. */
  readonly healthPort?: number;
}
