import { HealthMonitor, type HealthMonitorOptions } from "@holdfast/ingress";
import {
  type BackendService,
  type BackendServiceId,
  type Endpoint,
  endpointsOf,
  type Pod,
  type RoutingModel,
} from "@holdfast/routing";

/** Which balancer's health check keeps requests from a pod, and why. */
export interface Sickness {
  readonly backendService: BackendServiceId;
  /** Such as `GET / answered 404, want 200`; absent until a probe has ended. */
  readonly cause?: string;
}

export interface PodHealthOptions {
  readonly model: RoutingModel;
  readonly onEndpoints: HealthMonitorOptions["onEndpoints"];
  readonly onEvent: HealthMonitorOptions["onEvent"];
  /** Some pod's health may have changed; the endpoints are handed on already. */
  readonly onChange: () => void;
}

/** What the balancers' health checks say of pods. A pod whose process accepts connections is probed; no other is. */
export class PodHealth {
  readonly #backends: readonly BackendService[];
  readonly #monitor: HealthMonitor;
  #setting = false;

  constructor({ model, onEndpoints, onEvent, onChange }: PodHealthOptions) {
    this.#backends = [...model.backendServices.values()];
    this.#monitor = new HealthMonitor({
      onEndpoints: (id, endpoints) => {
        onEndpoints(id, endpoints);
        if (!this.#setting) onChange();
      },
      ...(onEvent && { onEvent }),
    });
    this.#monitor.apply(model);
  }

  /** All pods, as they are now. */
  set(pods: readonly Pod[]): void {
    // A pod may be behind several services: not to be judged before each of them knows.
    this.#setting = true;
    try {
      for (const backend of this.#backends)
        this.#monitor.setEndpoints(backend.id, endpointsOf(backend, pods));
    } finally {
      this.#setting = false;
    }
  }

  /** The pods, by `namespace/name`, that some balancer sends no requests to. */
  sick(): ReadonlyMap<string, Sickness> {
    const sick = new Map<string, Sickness>();
    for (const { id, namespace } of this.#backends) {
      for (const { endpoint, cause } of this.#monitor.statusOf(id)) {
        if (endpoint.healthy) continue;
        sick.set(keyOf(namespace, endpoint), {
          backendService: id,
          ...(cause === undefined ? {} : { cause }),
        });
      }
    }
    return sick;
  }

  close(): void {
    this.#monitor.close();
  }
}

function keyOf(namespace: string, { pod }: Endpoint): string {
  return `${namespace}/${pod}`;
}
