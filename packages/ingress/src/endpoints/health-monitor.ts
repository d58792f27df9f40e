import { isDeepStrictEqual } from "node:util";
import type { BackendServiceId, Endpoint, HealthCheck, RoutingModel } from "@holdfast/routing";
import { IngressError } from "../errors.ts";
import type { EndpointHealthyEvent, EndpointUnhealthyEvent } from "../events.ts";
import { EndpointHealth } from "./endpoint-health.ts";
import { endpointsById } from "./endpoints-by-id.ts";
import { ProbeQueue, type ProbeQueues } from "./probe-queue.ts";

/** Milliseconds for which changes are gathered before they are handed on. */
const GATHER_MS = 10;

export interface HealthMonitorOptions {
  /**
   * Called with all endpoints of a backend service, each with the health that was found, when the endpoints or the
   * health of one has changed: at once for what `setEndpoints` changes, for probes within 10 ms.
   */
  readonly onEndpoints: (backendService: BackendServiceId, endpoints: readonly Endpoint[]) => void;
  /** Must neither block nor throw. */
  readonly onEvent?: (event: EndpointHealthyEvent | EndpointUnhealthyEvent) => void;
  /**
   * Probes at a time of endpoints whose last one passed, or that were never probed; and as many of the others. The rest
   * wait their turn. 1 to 10,000; default 128.
   */
  readonly maxProbes?: number;
}

/** What is known of one endpoint's health. */
export interface EndpointHealthStatus {
  /** As it was given, but for `healthy`. */
  readonly endpoint: Endpoint;
  /** Why its last probe failed; absent when it passed, or none has ended. */
  readonly cause?: string;
  /** Whether its probes have come to a result, or its source has said that nobody is there. */
  readonly judged: boolean;
}

interface Member {
  readonly given: Endpoint;
  /** Absent while its source says that nobody is there: then there is nobody to ask. */
  readonly health: EndpointHealth | undefined;
}

interface Monitored {
  check: HealthCheck;
  members: ReadonlyMap<string, Member>;
  /** Runs while health has changed since `onEndpoints` was last called. */
  changed: NodeJS.Timeout | undefined;
}

/**
 * Asks endpoints whether they are well, as GKE's load balancer does, by the health check of their backend service.
 *
 * It knows nothing of the data plane: endpoints go in, and come out with the health that was found. Going in, `healthy`
 * is what the source knows: `true` means that somebody may be there, so it is probed, at once when it has just become
 * true; `false` means that nobody is (its process has ended), so it is unhealthy at once and not probed.
 */
export class HealthMonitor {
  readonly #onEndpoints: HealthMonitorOptions["onEndpoints"];
  readonly #onEvent: NonNullable<HealthMonitorOptions["onEvent"]>;
  readonly #queues: ProbeQueues;
  readonly #monitored = new Map<BackendServiceId, Monitored>();

  /** @throws IngressError `OPTION_INVALID` */
  constructor(options: HealthMonitorOptions) {
    const { onEndpoints, onEvent = () => {}, maxProbes = 128, ...unknown } = options;
    const [unknownKey] = Object.keys(unknown);
    if (unknownKey !== undefined) {
      throw new IngressError("OPTION_INVALID", `the health monitor has no option ${unknownKey}`);
    }
    if (!Number.isInteger(maxProbes) || maxProbes < 1 || maxProbes > 10_000) {
      throw new IngressError("OPTION_INVALID", "maxProbes must be a whole number from 1 to 10000");
    }
    this.#onEndpoints = onEndpoints;
    this.#onEvent = onEvent;
    this.#queues = { sound: new ProbeQueue(maxProbes), failing: new ProbeQueue(maxProbes) };
  }

  /** Probes that are on their way, and those that wait for one to end. */
  get probes(): { readonly running: number; readonly waiting: number } {
    const { sound, failing } = this.#queues;
    return { running: sound.running + failing.running, waiting: sound.waiting + failing.waiting };
  }

  /**
   * Goes by the health checks of this model from now on. Endpoints keep the health that they have until a changed check
   * finds otherwise; it asks at once. Those of a backend service that is gone are asked no more.
   */
  apply({ backendServices }: Pick<RoutingModel, "backendServices">): void {
    for (const [id, { members, changed }] of this.#monitored) {
      if (backendServices.has(id)) continue;
      clearTimeout(changed);
      for (const { health } of members.values()) health?.stop();
      this.#monitored.delete(id);
    }
    for (const [id, { healthCheck: check }] of backendServices) {
      const monitored = this.#monitored.get(id);
      if (!monitored) this.#monitored.set(id, { check, members: new Map(), changed: undefined });
      else if (!isDeepStrictEqual(check, monitored.check)) {
        monitored.check = check;
        for (const { health } of monitored.members.values()) health?.replaceCheck(check);
      }
    }
  }

  /**
   * Replaces the endpoints of one backend service. One that stays keeps its health, unless its pod is another now.
   *
   * @throws IngressError `BACKEND_SERVICE_UNKNOWN`, `ENDPOINT_INVALID`, `ENDPOINTS_TOO_MANY`; all is as before. What
   *   `onEndpoints` throws comes through
   */
  setEndpoints(id: BackendServiceId, endpoints: readonly Endpoint[]): void {
    const monitored = this.#monitored.get(id);
    if (!monitored) {
      throw new IngressError(
        "BACKEND_SERVICE_UNKNOWN",
        `the routing model has no backend service ${id}; apply one that has it first`,
      );
    }
    const given = endpointsById(id, endpoints);
    const before = monitored.members;
    const members = new Map<string, Member>();
    const begun: EndpointHealth[] = [];
    for (const [endpointId, endpoint] of given) {
      const member = before.get(endpointId);
      if (endpoint.healthy && member?.health && isSamePod(endpoint, member.given)) {
        members.set(endpointId, { given: endpoint, health: member.health });
        continue;
      }
      const health = endpoint.healthy ? this.#newHealth(id, monitored, endpointId, endpoint) : undefined;
      if (health) begun.push(health);
      members.set(endpointId, { given: endpoint, health });
    }
    monitored.members = members;
    for (const [endpointId, { given: endpoint, health }] of before) {
      const now = members.get(endpointId);
      if (!health || now?.health === health) continue;
      health.stop();
      if (health.healthy && now) {
        const about = { backendService: id, pod: endpoint.pod, endpoint: endpointId };
        this.#tell({ type: "endpoint-unhealthy", ...about, cause: "its pod has ended" });
      }
    }
    for (const health of begun) health.start();
    this.#handOn(id, monitored);
  }

  /** @throws IngressError `BACKEND_SERVICE_UNKNOWN` */
  statusOf(id: BackendServiceId): EndpointHealthStatus[] {
    const monitored = this.#monitored.get(id);
    if (!monitored) {
      throw new IngressError("BACKEND_SERVICE_UNKNOWN", `the routing model has no backend service ${id}`);
    }
    return [...monitored.members.values()].map((member) => {
      const cause = member.health?.cause;
      return {
        endpoint: judged(member),
        judged: member.health?.judged ?? true,
        ...(cause === undefined ? {} : { cause }),
      };
    });
  }

  /** Asks no more, and says no more. Idempotent. */
  close(): void {
    this.apply({ backendServices: new Map() });
  }

  #newHealth(
    id: BackendServiceId,
    monitored: Monitored,
    endpointId: string,
    endpoint: Endpoint,
  ): EndpointHealth {
    const about = { backendService: id, pod: endpoint.pod, endpoint: endpointId };
    return new EndpointHealth({
      check: monitored.check,
      endpoint,
      queues: this.#queues,
      onChange: (healthy, cause) => {
        this.#tell(
          healthy ? { type: "endpoint-healthy", ...about } : { type: "endpoint-unhealthy", ...about, cause },
        );
        this.#handOnSoon(id, monitored);
      },
    });
  }

  /** A listener that throws must not end the probing; but it must not fail in silence. */
  #tell(event: EndpointHealthyEvent | EndpointUnhealthyEvent): void {
    try {
      this.#onEvent(event);
    } catch (error) {
      process.emitWarning(
        `an onEvent listener of the health monitor threw: ${String(error)}`,
        "HoldfastWarning",
      );
    }
  }

  /** What changes within a moment goes on together: a thousand endpoints that get well are not a thousand lists. */
  #handOnSoon(id: BackendServiceId, monitored: Monitored): void {
    monitored.changed ??= setTimeout(() => {
      try {
        this.#handOn(id, monitored);
      } catch (error) {
        process.emitWarning(`onEndpoints of the health monitor threw: ${String(error)}`, "HoldfastWarning");
      }
    }, GATHER_MS);
  }

  #handOn(id: BackendServiceId, monitored: Monitored): void {
    clearTimeout(monitored.changed);
    monitored.changed = undefined;
    this.#onEndpoints(id, [...monitored.members.values()].map(judged));
  }
}

function judged({ given, health }: Member): Endpoint {
  return { ...given, healthy: health?.healthy ?? false };
}

function isSamePod(one: Endpoint, other: Endpoint): boolean {
  return one.pod === other.pod && one.healthPort === other.healthPort;
}
