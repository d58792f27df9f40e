import type { Affinity, BackendService, RoutingModel } from "@holdfast/routing";

export const LOAD_BALANCER = "default/web";
export const SERVICE = "default/web:80";

/** One load balancer that sends everything to one backend service. */
export function modelOf(
  affinity: Affinity = { type: "NONE" },
  settings: Partial<Pick<BackendService, "timeoutSec" | "drainingTimeoutSec">> = {},
): RoutingModel {
  return {
    loadBalancers: [{ name: LOAD_BALANCER, urlMap: { hosts: [], defaultBackend: SERVICE } }],
    backendServices: new Map([[SERVICE, serviceOf(SERVICE, affinity, settings)]]),
  };
}

export function serviceOf(
  id: string,
  affinity: Affinity = { type: "NONE" },
  settings: Partial<Pick<BackendService, "timeoutSec" | "drainingTimeoutSec">> = {},
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
    ...settings,
  };
}
