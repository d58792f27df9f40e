import { BACKEND_CONFIG_ANNOTATION, BETA_BACKEND_CONFIG_ANNOTATION } from "./annotations.ts";
import { type BuiltBackendService, portText } from "./backend-service.ts";
import type { Cluster } from "./cluster.ts";
import { type Finding, type FindingCode, finding } from "./finding.ts";
import { buildFrontend } from "./frontend.ts";
import { type IngressAffinity, readHoldfastAnnotations } from "./holdfast-annotations.ts";
import { CLASS_ANNOTATION, ingressClass } from "./ingress-class.ts";
import type { Affinity, BackendServiceId, Face, LoadBalancer } from "./model.ts";
import { type Ingress, nameOf } from "./objects.ts";
import { buildUrlMap, type ResolveBackend } from "./url-map.ts";
import { Uses } from "./uses.ts";

/** What belongs on a Service; the last two are made up, after the name that a FrontendConfig has. */
const MISPLACED: ReadonlySet<string> = new Set([
  BACKEND_CONFIG_ANNOTATION,
  BETA_BACKEND_CONFIG_ANNOTATION,
  "cloud.google.com/v1.BackendConfig",
  "cloud.google.com/v1beta1.BackendConfig",
]);
/** Settings of ingress-nginx, in its name and in the one it had before. */
const OF_NGINX = /^nginx\.ingress\.kubernetes\.io\/|^ingress\.kubernetes\.io\/(?:affinity|session-cookie-)/;

/** What is made of one Ingress. */
export interface IngressTranslation {
  /** `namespace/name` */
  readonly name: string;
  /** Absent: nobody's business here, by its class. */
  readonly face?: Face;
  /** Absent where the Ingress has an error, or isn't taken. */
  readonly loadBalancer?: LoadBalancer;
  /** Those that the load balancer routes to. */
  readonly backendServices: ReadonlyMap<BackendServiceId, BuiltBackendService>;
  readonly findings: readonly Finding[];
  readonly uses: Uses;
}

/** One Ingress by itself: an error anywhere in it, or in what it refers to, refuses all of it, as on GKE. */
export function translateIngress(ingress: Ingress, cluster: Cluster): IngressTranslation {
  const name = nameOf(ingress);
  const uses = new Uses();
  const findings: Finding[] = [];
  const backendServices = new Map<BackendServiceId, BuiltBackendService>();
  const taken = checkClass(ingress, findings);
  if (taken === undefined) return { name, backendServices, findings, uses };
  const { face } = taken;
  checkMetadata(ingress, findings);
  const annotations = readHoldfastAnnotations(ingress, face);
  const problems: Finding[] = [];
  const resolve = resolver(ingress, face, cluster, { uses, used: backendServices, findings: problems });
  const { urlMap, findings: ofMap } = buildUrlMap(ingress, face, resolve);
  const { frontend, findings: ofFrontend } = buildFrontend(ingress, taken.name, cluster, uses);
  for (const one of [...annotations.findings, ...problems, ...ofMap, ...ofFrontend]) {
    findings.push(one.severity === "error" ? { ...one, ingress: name } : one);
  }
  if (findings.some(({ severity }) => severity === "error")) {
    return { name, face, backendServices: new Map(), findings, uses };
  }
  const affinities = face === "holdfast" ? affinitiesOf(backendServices, annotations.affinity) : new Map();
  const loadBalancer: LoadBalancer = {
    name,
    face,
    urlMap,
    ...frontend,
    ...(affinities.size === 0 ? {} : { affinities }),
    sessionAffinity: annotations.affinity.sessionAffinity,
  };
  return { name, face, loadBalancer, backendServices, findings, uses };
}

function report(
  findings: Finding[],
  ingress: Ingress,
  code: FindingCode,
  path: readonly (string | number)[],
  message: string,
): void {
  const object = `Ingress ${nameOf(ingress)}`;
  findings.push(finding(code, { object, message, at: ingress.source.locate(path) }));
}

function checkClass(
  ingress: Ingress,
  findings: Finding[],
): { readonly name: string; readonly face: Face } | undefined {
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
  return found;
}

function checkMetadata(ingress: Ingress, findings: Finding[]): void {
  if (ingress.apiVersion !== "networking.k8s.io/v1") {
    const message = `apiVersion ${ingress.apiVersion} is gone from Kubernetes since 1.22`;
    report(findings, ingress, "GKE-C05", ["apiVersion"], message);
  }
  for (const key of Object.keys(ingress.metadata.annotations)) {
    const path = ["metadata", "annotations", key];
    if (MISPLACED.has(key)) {
      report(findings, ingress, "GKE-B03", path, `${key} is not read from an Ingress`);
    } else if (OF_NGINX.test(key)) {
      report(findings, ingress, "GKE-C04", path, `${key} has no effect on an Ingress of this class`);
    }
  }
}

function resolver(
  ingress: Ingress,
  face: Face,
  cluster: Cluster,
  into: {
    readonly uses: Uses;
    readonly used: Map<BackendServiceId, BuiltBackendService>;
    readonly findings: Finding[];
  },
): ResolveBackend {
  const { uses, used, findings } = into;
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
      uses.look(cluster, (one) => one.service(name));
      const fix = `Add a Service "${backend.name}" to namespace "${ingress.metadata.namespace}", or correct the name.`;
      return missing(`could not find service "${name}"`, "name", fix);
    }
    const port = cluster.port(service, backend.port);
    if (port === undefined) {
      uses.look(cluster, (one) => one.service(name));
      const ports = service.spec.ports
        .slice(0, 10)
        .map((one) => (one.name ? `${one.port} (${one.name})` : one.port));
      const fix = `Name a port of the Service; it has: ${ports.join(", ") || "none"}.`;
      return missing(`could not find port "${portText(backend.port)}" in service "${name}"`, "port", fix);
    }
    const built = cluster.backendService(service, port, backend.port, face);
    if (!seen.has(built)) {
      findings.push(...built.findings);
      uses.add(built.uses);
    }
    seen.add(built);
    used.set(built.backendService.id, built);
    return built.backendService.id;
  };
}

/**
 * What the affinity of each backend service is in face `holdfast`, where it isn't the backend service's own: the
 * BackendConfig's, if it names one, else the annotation's. A cookie is our own kind of cookie either way.
 */
function affinitiesOf(
  backendServices: ReadonlyMap<BackendServiceId, BuiltBackendService>,
  { affinity, cookie, ttlGiven }: IngressAffinity,
): Map<BackendServiceId, Affinity> {
  const affinities = new Map<BackendServiceId, Affinity>();
  for (const [id, { backendService, declared }] of backendServices) {
    const given = declared?.sessionAffinity?.affinityType ?? "";
    if (given === "GENERATED_COOKIE") {
      const ttlSec = ttlGiven ? cookie.ttlSec : (declared?.sessionAffinity?.ttlSec ?? cookie.ttlSec);
      affinities.set(id, { type: "PINNED_COOKIE", cookie: { ...cookie, ttlSec } });
    } else if (given === "" && affinity === "cookie") {
      affinities.set(id, { type: "PINNED_COOKIE", cookie });
    } else if (given === "" && affinity === "client-ip" && backendService.affinity.type !== "CLIENT_IP") {
      affinities.set(id, { type: "CLIENT_IP" });
    }
  }
  return affinities;
}
