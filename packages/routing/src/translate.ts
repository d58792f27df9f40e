import { BACKEND_CONFIG_ANNOTATION, BETA_BACKEND_CONFIG_ANNOTATION } from "./annotations.ts";
import {
  type BuiltBackendService,
  buildBackendService,
  type PortReference,
  portText,
} from "./backend-service.ts";
import { type Finding, type FindingCode, finding } from "./finding.ts";
import { CLASS_ANNOTATION, ingressClass } from "./ingress-class.ts";
import type { BackendService, BackendServiceId, Face, LoadBalancer, RoutingModel } from "./model.ts";
import {
  type BackendConfig,
  formatPosition,
  type Ingress,
  type KubernetesObject,
  nameOf,
  type Service,
  type ServicePort,
} from "./objects.ts";
import { buildUrlMap, type ResolveBackend } from "./url-map.ts";

export interface Translation {
  readonly model: RoutingModel;
  /** In the order of the objects they were found from, each once. */
  readonly findings: readonly Finding[];
}

/**
 * Kubernetes objects to the routing model, as GKE's Ingress controller has it. Pure: the same objects always give
 * the same model. An Ingress with an error is left out of the model whole, since GKE syncs nothing of it; so is one
 * whose class GKE ignores.
 */
export function translate(objects: readonly KubernetesObject[]): Translation {
  const cluster = new Cluster(objects);
  const findings = new Findings();
  const loadBalancers: LoadBalancer[] = [];
  const backendServices = new Map<BackendServiceId, BackendService>();
  const hosts = new Map<string, string>();
  for (const ingress of cluster.ingresses) {
    const face = checkClass(ingress, findings);
    if (face === undefined) continue;
    checkMetadata(ingress, findings);
    const used = new Map<BackendServiceId, BackendService>();
    const problems: Finding[] = [];
    const { urlMap, findings: ofMap } = buildUrlMap(ingress, resolver(ingress, cluster, used, problems));
    const name = nameOf(ingress);
    const all = [...problems, ...ofMap];
    const refused = all.some(({ severity }) => severity === "error");
    findings.add(all.map((one) => (one.severity === "error" ? { ...one, ingress: name } : one)));
    if (refused) continue;
    loadBalancers.push({ name, face, urlMap, plainHttp: true, sessionAffinity: false });
    for (const [id, backendService] of used) backendServices.set(id, backendService);
    for (const { host } of urlMap.hosts) {
      const earlier = hosts.get(host) ?? name;
      hosts.set(host, earlier);
      if (earlier === name || host === "*") continue;
      report(findings, ingress, "GKE-P07", ["spec", "rules"], `host ${host} is in Ingress ${earlier} too`);
    }
  }
  return { model: { loadBalancers, backendServices }, findings: findings.list };
}

/** The objects by what refers to them. */
class Cluster {
  readonly ingresses: Ingress[] = [];
  readonly #services = new Map<string, Service>();
  readonly #configs = new Map<string, BackendConfig>();
  readonly #ports = new Map<
    Service,
    { byName: Map<string, ServicePort>; byNumber: Map<number, ServicePort> }
  >();
  readonly #built = new Map<string, BuiltBackendService>();

  constructor(objects: readonly KubernetesObject[]) {
    for (const object of objects) {
      if (object.kind === "Ingress") this.ingresses.push(object);
      else if (object.kind === "Service") this.#services.set(nameOf(object), object);
      else if (object.kind === "BackendConfig") this.#configs.set(nameOf(object), object);
    }
  }

  service(name: string): Service | undefined {
    return this.#services.get(name);
  }

  /** A port's name, where the Ingress gives one, counts before its number. */
  port(service: Service, reference: PortReference): ServicePort | undefined {
    let ports = this.#ports.get(service);
    if (ports === undefined) {
      // The first of several wins, as in GKE's search; hence the reversed order.
      const reversed = service.spec.ports.toReversed();
      ports = {
        byName: new Map(reversed.map((port) => [port.name ?? "", port])),
        byNumber: new Map(reversed.map((port) => [port.port, port])),
      };
      this.#ports.set(service, ports);
    }
    if (reference.name !== undefined) return ports.byName.get(reference.name);
    return reference.number === undefined ? undefined : ports.byNumber.get(reference.number);
  }

  backendService(service: Service, port: ServicePort, reference: PortReference): BuiltBackendService {
    const key = `${nameOf(service)} ${portText(reference)}`;
    const built = this.#built.get(key) ?? buildBackendService(service, port, reference, this.#configs);
    this.#built.set(key, built);
    return built;
  }
}

/** Findings in order, without repetition: a Service used by many paths is reported once. */
class Findings {
  readonly list: Finding[] = [];
  readonly #seen = new Set<string>();

  add(findings: readonly Finding[]): void {
    for (const one of findings) {
      const key = JSON.stringify([one.code, one.object, one.ingress, one.message, formatPosition(one.at)]);
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      this.list.push(one);
    }
  }
}

function report(
  findings: Findings,
  ingress: Ingress,
  code: FindingCode,
  path: readonly (string | number)[],
  message: string,
): void {
  findings.add([
    finding(code, { object: `Ingress ${nameOf(ingress)}`, message, at: ingress.source.locate(path) }),
  ]);
}

function checkClass(ingress: Ingress, findings: Findings): Face | undefined {
  const annotation = ["metadata", "annotations", CLASS_ANNOTATION];
  const field = ["spec", "ingressClassName"];
  const found = ingressClass(ingress);
  if (found.type === "ignored") {
    const message =
      found.by === "annotation"
        ? `GKE ignores this Ingress: its class is "${found.name}"`
        : `GKE ignores this Ingress: it reads the annotation ${CLASS_ANNOTATION}, not spec.ingressClassName ("${found.name}")`;
    const [code, path] =
      found.by === "annotation" ? (["GKE-C01", annotation] as const) : (["GKE-C02", field] as const);
    report(findings, ingress, code, path, message);
    return undefined;
  }
  if (found.face === "gce-envoy") {
    const message = `class "${found.name}" is one of GKE's Envoy balancers: its cookie is GCILB`;
    report(findings, ingress, "GKE-C06", annotation, message);
  }
  if (ingress.spec.ingressClassName !== undefined && ingress.metadata.annotations[CLASS_ANNOTATION]) {
    report(findings, ingress, "GKE-C03", field, "class annotation and spec.ingressClassName are both set");
  }
  return found.face;
}

function checkMetadata(ingress: Ingress, findings: Findings): void {
  if (ingress.apiVersion !== "networking.k8s.io/v1") {
    const message = `apiVersion ${ingress.apiVersion} is gone from Kubernetes since 1.22`;
    report(findings, ingress, "GKE-C05", ["apiVersion"], message);
  }
  for (const key of [BACKEND_CONFIG_ANNOTATION, BETA_BACKEND_CONFIG_ANNOTATION]) {
    if (ingress.metadata.annotations[key] === undefined) continue;
    const message = `${key} is read from Services only`;
    report(findings, ingress, "GKE-B03", ["metadata", "annotations", key], message);
  }
}

function resolver(
  ingress: Ingress,
  cluster: Cluster,
  used: Map<BackendServiceId, BackendService>,
  findings: Finding[],
): ResolveBackend {
  const seen = new Set<BuiltBackendService>();
  return (backend, path) => {
    const name = `${ingress.metadata.namespace}/${backend.name}`;
    const missing = (message: string, field: string, fix: string) => {
      const at = ingress.source.locate([...path, field]);
      findings.push(finding("GKE-P08", { object: `Ingress ${nameOf(ingress)}`, message, fix, at }));
      return undefined;
    };
    const service = cluster.service(name);
    if (service === undefined) {
      const fix = `Add a Service "${backend.name}" to namespace "${ingress.metadata.namespace}", or correct the name.`;
      return missing(`could not find service "${name}"`, "name", fix);
    }
    const port = cluster.port(service, backend.port);
    if (port === undefined) {
      const ports = service.spec.ports
        .slice(0, 10)
        .map((one) => (one.name ? `${one.port} (${one.name})` : one.port));
      const fix = `Name a port of the Service; it has: ${ports.join(", ") || "none"}.`;
      return missing(`could not find port "${portText(backend.port)}" in service "${name}"`, "port", fix);
    }
    const built = cluster.backendService(service, port, backend.port);
    if (!seen.has(built)) findings.push(...built.findings);
    seen.add(built);
    used.set(built.backendService.id, built.backendService);
    return built.backendService.id;
  };
}
