import type { Lab, PodStatus } from "@holdfast/lab";
import type { Affinity, BackendService } from "@holdfast/routing";

/** One line of a load balancer's URL map: what comes to this host and path goes to this backend service. */
export interface Rule {
  readonly host: string;
  readonly path: string;
  readonly backend: BackendService;
  /** As this load balancer has it. */
  readonly affinity: Affinity;
  readonly pods: readonly PodStatus[];
}

/** The rules of a load balancer as a person reads them, its default backend last. */
export function rulesOf(lab: Lab, loadBalancer: string): Rule[] {
  const { urlMap, affinities } = lab.model.loadBalancers.find(({ name }) => name === loadBalancer) ?? {};
  if (!urlMap) return [];
  const written = urlMap.hosts.flatMap(({ host, paths }) =>
    paths.map(({ path, backend }) => ({ host, path, id: backend })),
  );
  const all = urlMap.defaultBackend
    ? [...written, { host: "*", path: "(default)", id: urlMap.defaultBackend }]
    : written;
  return all.flatMap(({ host, path, id }) => {
    const backend = lab.model.backendServices.get(id);
    if (!backend) return [];
    const affinity = affinities?.get(id) ?? backend.affinity;
    return [{ host, path, backend, affinity, pods: lab.podsOf(backend) }];
  });
}
