import { Cluster } from "./cluster.ts";
import { type Finding, finding } from "./finding.ts";
import { type IngressTranslation, translateIngress } from "./ingress-translation.ts";
import type { BackendService, BackendServiceId, LoadBalancer, RoutingModel } from "./model.ts";
import { formatPosition, type Ingress, type KubernetesObject } from "./objects.ts";

export interface Translation {
  readonly model: RoutingModel;
  /** In the order of the objects they were found from, each once. */
  readonly findings: readonly Finding[];
}

/**
 * Kubernetes objects to the routing model, as GKE's Ingress controller makes it when nothing is there yet; `IngressSync`
 * keeps it over time. Pure: the same objects always give the same model. An Ingress with an error is left out of the
 * model whole, since GKE syncs nothing of it; so is one whose class nobody here serves.
 */
export function translate(objects: readonly KubernetesObject[]): Translation {
  const cluster = new Cluster(objects);
  const loadBalancers: LoadBalancer[] = [];
  const backendServices = new Map<BackendServiceId, BackendService>();
  const translations = cluster.ingresses.map((ingress) => {
    const translation = translateIngress(ingress, cluster);
    if (translation.loadBalancer !== undefined) loadBalancers.push(translation.loadBalancer);
    for (const [id, { backendService }] of translation.backendServices)
      backendServices.set(id, backendService);
    return { ingress, translation };
  });
  return { model: { loadBalancers, backendServices }, findings: collectFindings(translations) };
}

/** The findings of all Ingresses, and those that come of their being together, each once. */
export function collectFindings(
  translations: Iterable<{ readonly ingress: Ingress; readonly translation: IngressTranslation }>,
): Finding[] {
  const findings = new Map<string, Finding>();
  const add = (one: Finding) => {
    const key = JSON.stringify([one.code, one.object, one.ingress, one.message, formatPosition(one.at)]);
    if (!findings.has(key)) findings.set(key, one);
  };
  const hosts = new Map<string, string>();
  for (const { ingress, translation } of translations) {
    const { name, loadBalancer } = translation;
    for (const one of translation.findings) add(one);
    for (const { host } of loadBalancer?.urlMap.hosts ?? []) {
      const earlier = hosts.get(host) ?? name;
      hosts.set(host, earlier);
      if (earlier === name || host === "*") continue;
      const at = ingress.source.locate(["spec", "rules"]);
      const message = `host ${host} is in Ingress ${earlier} too`;
      add(finding("GKE-P07", { object: `Ingress ${name}`, message, at }));
    }
  }
  return [...findings.values()];
}
