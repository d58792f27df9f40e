import type { BackendService, Endpoint, HealthCheck } from "./model.ts";
import { selects } from "./selector.ts";

/** A running pod, as far as a balancer cares. */
export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  readonly ports: readonly PodPort[];
  readonly healthy: boolean;
}

export interface PodPort {
  readonly name?: string;
  /** The number in the manifest. */
  readonly containerPort: number;
  /** Where the pod really listens: another number where all pods have to share one address. */
  readonly port: number;
}

/**
 * The pods behind a backend service, each with the port that its `targetPort` means there. As in Kubernetes, an
 * empty selector selects no pod, a number needs no declaration by the container, and a name does. A health check's own port is
 * told where a pod has it under another number.
 */
export function endpointsOf(
  backendService: Pick<BackendService, "namespace" | "selector" | "targetPort"> & {
    readonly healthCheck: Pick<HealthCheck, "port">;
  },
  pods: readonly Pod[],
): Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (const pod of pods) {
    if (pod.namespace !== backendService.namespace) continue;
    if (!selects(backendService.selector, pod.labels)) continue;
    const port = listeningPort(pod, backendService.targetPort);
    if (port === undefined) continue;
    const healthPort = movedPort(pod, backendService.healthCheck.port);
    endpoints.push({
      address: pod.address,
      port,
      pod: pod.name,
      healthy: pod.healthy,
      ...(healthPort === undefined ? {} : { healthPort }),
    });
  }
  return endpoints;
}

function listeningPort(pod: Pod, targetPort: number | string): number | undefined {
  if (typeof targetPort === "string") return pod.ports.find(({ name }) => name === targetPort)?.port;
  return pod.ports.find(({ containerPort }) => containerPort === targetPort)?.port ?? targetPort;
}

/** Where the health check's own port is on this pod; undefined where it has none, or that very number. */
function movedPort(pod: Pod, checked: number | "serving"): number | undefined {
  const moved = pod.ports.find(({ containerPort }) => containerPort === checked)?.port;
  return moved === checked ? undefined : moved;
}
