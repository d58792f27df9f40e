import type { Lab, PodStatus } from "@holdfast/lab";
import type { BackendService } from "@holdfast/routing";

/** One line of a load balancer's URL map: what comes to this host and path goes to this backend service. */
export interface Rule {
  readonly host: string;
  readonly path: string;
  readonly backend: BackendService;
  readonly pods: readonly PodStatus[];
}

/** The rules of a load balancer as a person reads them, its default backend last. */
export function rulesOf(lab: Lab, loadBalancer: string): Rule[] {
  const urlMap = lab.model.loadBalancers.find(({ name }) => name === loadBalancer)?.urlMap;
  if (!urlMap) return [];
  const written = urlMap.hosts.flatMap(({ host, paths }) =>
    paths.map(({ path, backend }) => ({ host, path, id: backend })),
  );
  const all = urlMap.defaultBackend
    ? [...written, { host: "*", path: "(default)", id: urlMap.defaultBackend }]
    : written;
  return all.flatMap(({ host, path, id }) => {
    const backend = lab.model.backendServices.get(id);
    return backend ? [{ host, path, backend, pods: lab.podsOf(backend) }] : [];
  });
}
