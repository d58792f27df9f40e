import type { Affinity, BackendService, LoadBalancer, RoutingModel, UrlMap } from "@holdfast/routing";

export const LOAD_BALANCER = "default/web";
export const SERVICE = "default/web:80";

/** One load balancer that sends everything to one backend service. */
export function modelOf(
  affinity: Affinity = { type: "NONE" },
  settings: Partial<BackendService> = {},
): RoutingModel {
  return {
    loadBalancers: [loadBalancerOf({ hosts: [], defaultBackend: SERVICE })],
    backendServices: new Map([[SERVICE, serviceOf(SERVICE, affinity, settings)]]),
  };
}

export function loadBalancerOf(urlMap: UrlMap, settings: Partial<LoadBalancer> = {}): LoadBalancer {
  return { name: LOAD_BALANCER, face: "gce", urlMap, plainHttp: true, sessionAffinity: false, ...settings };
}

export function serviceOf(
  id: string,
  affinity: Affinity = { type: "NONE" },
  settings: Partial<BackendService> = {},
): BackendService {
  return {
    id,
    namespace: "default",
    service: "web",
    port: 80,
    targetPort: 8080,
    selector: {},
    affinity,
    timeoutSec: 30,
    drainingTimeoutSec: 0,
    healthCheck: {
      protocol: "HTTP",
      path: "/healthz",
      port: "serving",
      intervalSec: 1,
      timeoutSec: 1,
      healthyThreshold: 1,
      unhealthyThreshold: 2,
      passing: "200",
      origin: "default",
    },
    requestHeaders: [],
    responseHeaders: [],
    ...settings,
  };
}
