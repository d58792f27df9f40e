import { Cluster } from "./cluster.ts";
import type { Finding } from "./finding.ts";
import { type IngressTranslation, translateIngress } from "./ingress-translation.ts";
import { type LiveBackendService, syncBackendService } from "./live-backend-service.ts";
import type { BackendServiceId, LoadBalancer, RoutingModel } from "./model.ts";
import { type Ingress, type KubernetesObject, nameOf } from "./objects.ts";
import { eventsOf, failureOf, type IngressStatus, type SyncEvent } from "./sync-event.ts";
import { collectFindings } from "./translate.ts";

/** What holds after a sync. */
export interface Synced {
  /** The very same object as after the sync before when nothing in it changed; the same goes for what it holds. */
  readonly model: RoutingModel;
  readonly findings: readonly Finding[];
  /** Of this sync alone: of the Ingresses that changed, or that refer to something that did. */
  readonly events: readonly SyncEvent[];
  /** By `namespace/name`, of each Ingress whose class is served. */
  readonly statuses: ReadonlyMap<string, IngressStatus>;
}

interface Entry {
  readonly ingress: Ingress;
  readonly translation: IngressTranslation;
  /** The last translation without an error; what is served. */
  readonly good: IngressTranslation | undefined;
}

/**
 * The routing model over time, as GKE's controller keeps it. An Ingress with an error is served on as it was, whole;
 * the settings of a backend service are those of its history (`syncBackendService`). What is deleted, or changes to a class that isn't
 * served, is gone at once. Pure but for this memory, which is gone with the process: then what is declared holds, as
 * if it were all new.
 */
export class IngressSync {
  #cluster: Cluster | undefined;
  #entries: ReadonlyMap<string, Entry> = new Map();
  #live: ReadonlyMap<BackendServiceId, LiveBackendService> = new Map();
  #model: RoutingModel = { loadBalancers: [], backendServices: new Map() };

  /**
   * Takes all objects as they are now; what is not among them counts as deleted, so whoever could read only some of
   * them keeps what was read before. An object that didn't change should be the same one as before: what depends on
   * such objects alone isn't translated anew.
   */
  sync(objects: readonly KubernetesObject[]): Synced {
    const cluster = new Cluster(objects, this.#cluster);
    const entries = new Map<string, Entry>();
    const events: SyncEvent[] = [];
    for (const ingress of cluster.ingresses) {
      const name = nameOf(ingress);
      const before = this.#entries.get(name);
      const entry = syncIngress(ingress, before, cluster);
      entries.set(name, entry);
      if (entry.translation !== before?.translation) events.push(...eventsOf(entry.translation));
    }
    cluster.forgetGone();
    this.#cluster = cluster;
    this.#entries = entries;
    this.#live = syncBackendServices(entries.values(), this.#live);
    this.#model = this.#assemble();
    return {
      model: this.#model,
      findings: collectFindings(entries.values()),
      events,
      statuses: statusesOf(entries),
    };
  }

  #assemble(): RoutingModel {
    const loadBalancers: LoadBalancer[] = [];
    for (const { good } of this.#entries.values()) {
      if (good?.loadBalancer !== undefined) loadBalancers.push(good.loadBalancer);
    }
    const backendServices = new Map(
      Array.from(this.#live, ([id, { backendService }]) => [id, backendService] as const),
    );
    const before = this.#model;
    const same =
      loadBalancers.length === before.loadBalancers.length &&
      loadBalancers.every((one, index) => one === before.loadBalancers[index]) &&
      backendServices.size === before.backendServices.size &&
      [...backendServices].every(([id, one]) => before.backendServices.get(id) === one);
    return same ? before : { loadBalancers, backendServices };
  }
}

function syncIngress(ingress: Ingress, before: Entry | undefined, cluster: Cluster): Entry {
  const unchanged = before?.ingress === ingress && before.translation.uses.hold(cluster);
  if (unchanged) return before;
  const translation = translateIngress(ingress, cluster);
  if (translation.face === undefined) return { ingress, translation, good: undefined };
  return { ingress, translation, good: translation.loadBalancer === undefined ? before?.good : translation };
}

/** Those that a load balancer routes to. One that a sound Ingress uses follows it, even where a broken one uses it too. */
function syncBackendServices(
  entries: Iterable<Entry>,
  before: ReadonlyMap<BackendServiceId, LiveBackendService>,
): Map<BackendServiceId, LiveBackendService> {
  const live = new Map<BackendServiceId, LiveBackendService>();
  const kept = new Set<BackendServiceId>();
  for (const { translation, good } of entries) {
    for (const [id, built] of good?.backendServices ?? []) {
      if (good !== translation) kept.add(id);
      else live.set(id, syncBackendService(built, live.get(id) ?? before.get(id)));
    }
  }
  for (const id of kept) {
    const one = before.get(id);
    if (one !== undefined && !live.has(id)) live.set(id, one);
  }
  return live;
}

function statusesOf(entries: ReadonlyMap<string, Entry>): Map<string, IngressStatus> {
  const statuses = new Map<string, IngressStatus>();
  for (const [name, { translation, good }] of entries) {
    const { face, findings } = translation;
    if (face === undefined) continue;
    const failure = failureOf(findings, face === "holdfast");
    if (failure === undefined) statuses.set(name, { state: "served" });
    else statuses.set(name, { state: good === undefined ? "refused" : "kept", message: failure.message });
  }
  return statuses;
}
