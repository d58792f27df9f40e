import {
  type AppProtocol,
  BACKEND_CONFIG_ANNOTATION,
  BETA_BACKEND_CONFIG_ANNOTATION,
  NEG_ANNOTATION,
  readAppProtocols,
  readBackendConfigAnnotation,
  readNegAnnotation,
} from "./annotations.ts";
import { readBackendConfig } from "./backend-config.ts";
import type { Cluster } from "./cluster.ts";
import { type Finding, type FindingCode, finding } from "./finding.ts";
import { applyHealthCheck, checkHealthCheck, newHealthCheck, type Reach } from "./health-check.ts";
import type { BackendService, BackendServiceId, Face, HealthCheck } from "./model.ts";
import {
  type BackendConfig,
  type BackendConfigHealthCheck,
  type IngressBackend,
  nameOf,
  type Service,
  type ServicePort,
} from "./objects.ts";
import { applySettings, backendSettings, type DeclaredSettings, newSettings } from "./settings.ts";
import { Uses } from "./uses.ts";

/** A port as an Ingress names it. */
export type PortReference = NonNullable<IngressBackend["service"]>["port"];

/** Which Service port is wanted, and for whom. */
export interface WantedBackend {
  readonly service: Service;
  readonly port: ServicePort;
  /** How the Ingress names the port, for GKE's messages. */
  readonly reference: PortReference;
  readonly face: Face;
}

/** A Service port made into a backend service; it stands only if no finding is an error. */
export interface BuiltBackendService {
  readonly face: Face;
  /** As it is when nothing of it is there yet. */
  readonly backendService: BackendService;
  /** What its BackendConfig says; absent where there is none. */
  readonly declared?: DeclaredSettings & { readonly healthCheck?: BackendConfigHealthCheck };
  /** The health check without the BackendConfig's say. */
  readonly ownHealthCheck: HealthCheck;
  readonly findings: readonly Finding[];
  readonly uses: Uses;
}

/**
 * One Service port as the balancer sees it, and what is wrong with it: NEG or Service type first, then the
 * protocol, then the BackendConfig, in the order of ingress-gce (`translator.go` `getServicePort`), which like this
 * one stops at the first error of a port.
 */
export function buildBackendService(wanted: WantedBackend, cluster: Cluster): BuiltBackendService {
  const { service, port, face } = wanted;
  const findings: Finding[] = [];
  const uses = new Uses();
  uses.look(cluster, (one) => one.service(nameOf(service)));
  const reach = face === "holdfast" ? "neg" : checkNeg(service, face, findings);
  const protocol = failed(findings) ? "HTTP" : checkProtocol(service, port, findings);
  const config = failed(findings) ? undefined : findBackendConfig(wanted, cluster, uses, findings);
  const deployments = uses.look(cluster, (one) => one.deployments(service));
  const ownHealthCheck = newHealthCheck({ face, reach, port, protocol, deployments });
  const healthCheck = applyHealthCheck(ownHealthCheck, config?.spec.healthCheck);
  const declared = config && declare(config, face, healthCheck, findings);
  const settings = backendSettings(applySettings(newSettings(face), declared, face));
  if (reach === "instance-group" && settings.affinity.type !== "NONE") {
    report(findings, service, "GKE-N04", {
      message: `${settings.affinity.type} affinity of a ${service.spec.type} Service without NEGs ends at the node; kube-proxy then picks any pod`,
      path: ["metadata", "annotations", NEG_ANNOTATION],
    });
  }
  if (service.spec.sessionAffinity === "ClientIP") {
    report(findings, service, "GKE-A06", {
      message: "sessionAffinity: ClientIP of the Service is not read behind an Ingress",
      path: ["spec", "sessionAffinity"],
    });
  }
  return {
    face,
    backendService: {
      id: backendServiceId(service, port, face),
      namespace: service.metadata.namespace,
      service: service.metadata.name,
      port: port.port,
      ...(port.name === undefined ? {} : { portName: port.name }),
      targetPort: port.targetPort,
      selector: service.spec.selector,
      ...(isIpv6Only(service) ? { ipFamily: "IPv6" } : {}),
      ...settings,
      healthCheck,
    },
    ...(declared === undefined ? {} : { declared }),
    ownHealthCheck,
    findings,
    uses,
  };
}

function backendServiceId(service: Service, port: ServicePort, face: Face): BackendServiceId {
  const id = `${nameOf(service)}:${port.port}`;
  return face === "gce" ? id : `${id}@${face}`;
}

function isIpv6Only(service: Service): boolean {
  const { ipFamilies } = service.spec;
  return ipFamilies !== undefined && !ipFamilies.includes("IPv4");
}

function declare(
  config: BackendConfig,
  face: Face,
  healthCheck: HealthCheck,
  findings: Finding[],
): NonNullable<BuiltBackendService["declared"]> {
  const { declared, findings: ofConfig } = readBackendConfig(config, face);
  findings.push(...ofConfig, ...checkHealthCheck(config, healthCheck, face));
  const own = config.spec.healthCheck;
  return own === undefined ? declared : { ...declared, healthCheck: own };
}

function failed(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === "error");
}

function report(
  findings: Finding[],
  service: Service,
  code: FindingCode,
  what: { readonly message: string; readonly path: readonly (string | number)[]; readonly fix?: string },
): void {
  findings.push(
    finding(code, {
      object: `Service ${nameOf(service)}`,
      message: what.message,
      at: service.source.locate(what.path),
      ...(what.fix === undefined ? {} : { fix: what.fix }),
    }),
  );
}

/**
 * Whether GKE reaches the Service's pods themselves, or its nodes. The Envoy balancers always reach the pods, and
 * refuse the same Services nevertheless.
 */
function checkNeg(service: Service, face: Face, findings: Finding[]): Reach {
  const reach = negOf(service, findings);
  if (face === "gce" && reach === "instance-group") return reach;
  if (isIpv6Only(service) && !failed(findings)) {
    report(findings, service, "GKE-N09", {
      message: "NEG is not supported for ipv6 only service",
      path: ["spec", "ipFamilies"],
    });
  }
  return "neg";
}

function negOf(service: Service, findings: Finding[]): Reach {
  const { type, ports } = service.spec;
  const neg = readNegAnnotation(service);
  const path = ["metadata", "annotations", NEG_ANNOTATION];
  const reachable = type === "NodePort" || type === "LoadBalancer";
  const wrongType = `service "${nameOf(service)}" is type "${type}", expected "NodePort" or "LoadBalancer" when not using NEGs`;
  switch (neg.type) {
    case "absent":
      if (reachable) return "instance-group";
      if (type === "ClusterIP") {
        report(findings, service, "GKE-N07", {
          message: `no ${NEG_ANNOTATION} annotation; a VPC-native GKE cluster adds {"ingress":true} by itself`,
          path,
        });
        return "neg";
      }
      report(findings, service, "GKE-N01", { message: wrongType, path });
      return "instance-group";
    case "invalid":
      report(findings, service, reachable ? "GKE-N08" : "GKE-N05", {
        message: reachable ? "NEG annotation is invalid." : `${wrongType} (NEG annotation is invalid.)`,
        path,
      });
      return "instance-group";
    case "present":
      break;
  }
  if (!neg.ingress && !reachable) {
    report(findings, service, "GKE-N01", { message: wrongType, path });
    return "instance-group";
  }
  if (!neg.ingress) return "instance-group";
  const numbers = new Set(ports.map(({ port }) => port));
  for (const [port, name] of neg.exposedPorts) {
    if (!numbers.has(port)) {
      report(findings, service, "GKE-N03", {
        message: `port ${port} specified in "${NEG_ANNOTATION}" doesn't exist in the service`,
        path,
      });
    } else if (name !== "") {
      report(findings, service, "GKE-N02", {
        message: `configuration for negs in service (${nameOf(service)}) is invalid, custom neg name cannot be used with ingress enabled`,
        path,
      });
    }
  }
  return "neg";
}

function checkProtocol(service: Service, port: ServicePort, findings: Finding[]): AppProtocol {
  const protocols = readAppProtocols(service);
  const path = ["metadata", "annotations", protocols.key];
  if (protocols.type === "invalid") {
    report(findings, service, "GKE-S05", {
      // GKE names the alpha key, whichever it read.
      message: `could not parse "service.alpha.kubernetes.io/app-protocols" annotation on service "${nameOf(service)}", err: ${protocols.message}`,
      path,
    });
    return "HTTP";
  }
  const protocol = protocols.byPortName.get(port.name ?? "") ?? "HTTP";
  if (protocol === "HTTP") return protocol;
  report(findings, service, "GKE-S01", {
    message: `port "${port.name ?? ""}" is declared as ${protocol}; it is spoken to in HTTP/1.1 here`,
    path,
  });
  return protocol;
}

function findBackendConfig(
  { service, port, reference }: WantedBackend,
  cluster: Cluster,
  uses: Uses,
  findings: Finding[],
): BackendConfig | undefined {
  const annotation = readBackendConfigAnnotation(service);
  if (annotation.type === "absent") return undefined;
  const path = ["metadata", "annotations", annotation.key];
  const refuse = (code: FindingCode, reason: string, fix?: string) => {
    const message = `error getting BackendConfig for port "${portText(reference)}" on service "${nameOf(service)}", err: ${reason}`;
    report(findings, service, code, { message, path, ...(fix === undefined ? {} : { fix }) });
    return undefined;
  };
  if (annotation.type === "invalid") return refuse("GKE-B02", annotation.message);
  checkBothKeys(service, annotation.key, findings);
  const name =
    annotation.ports.get(port.name ?? "") ?? annotation.ports.get(String(port.port)) ?? annotation.default;
  if (name === "") {
    report(findings, service, "GKE-B04", {
      message: `the annotation names no BackendConfig for port ${port.name ?? port.port}, so none applies`,
      path,
    });
    return undefined;
  }
  const { namespace } = service.metadata;
  const config = uses.look(cluster, (one) => one.backendConfig(`${namespace}/${name}`));
  if (config !== undefined) return config;
  return refuse(
    "GKE-B01",
    "no BackendConfig for service port exists.",
    `Add a BackendConfig "${name}" to namespace "${namespace}", or correct the name in the annotation.`,
  );
}

function checkBothKeys(service: Service, key: string, findings: Finding[]): void {
  const { annotations } = service.metadata;
  const beta = annotations[BETA_BACKEND_CONFIG_ANNOTATION];
  const path = ["metadata", "annotations", BETA_BACKEND_CONFIG_ANNOTATION];
  if (key === BETA_BACKEND_CONFIG_ANNOTATION) {
    report(findings, service, "GKE-B06", { message: `the annotation ${key} is the old name`, path });
  } else if (beta !== undefined && beta !== annotations[BACKEND_CONFIG_ANNOTATION]) {
    report(findings, service, "GKE-B05", {
      message: `${BETA_BACKEND_CONFIG_ANNOTATION} is not read, since ${BACKEND_CONFIG_ANNOTATION} is there`,
      path,
    });
  }
}

/** As Go prints the port that an Ingress names. */
export function portText(port: PortReference): string {
  return `&ServiceBackendPort{Name:${port.name ?? ""},Number:${port.number ?? 0},}`;
}
