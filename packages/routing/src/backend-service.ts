import {
  BACKEND_CONFIG_ANNOTATION,
  BETA_BACKEND_CONFIG_ANNOTATION,
  NEG_ANNOTATION,
  readAppProtocols,
  readBackendConfigAnnotation,
  readNegAnnotation,
} from "./annotations.ts";
import { type Finding, type FindingCode, finding } from "./finding.ts";
import { DEFAULT_HEALTH_CHECK } from "./health-check.ts";
import type { BackendService } from "./model.ts";
import {
  type BackendConfig,
  type IngressBackend,
  nameOf,
  type Service,
  type ServicePort,
} from "./objects.ts";
import { type BackendSettings, DEFAULT_SETTINGS, settingsOf } from "./settings.ts";

/** A port as an Ingress names it. */
export type PortReference = NonNullable<IngressBackend["service"]>["port"];

/** A Service port made into a backend service; it stands only if no finding is an error. */
export interface BuiltBackendService {
  readonly backendService: BackendService;
  readonly findings: readonly Finding[];
}

/**
 * One Service port as the balancer sees it, and what is wrong with it: NEG or Service type first, then the
 * protocol, then the BackendConfig, in the order of ingress-gce (`translator.go` `getServicePort`), which like this
 * one stops at the first error of a port.
 *
 * @param reference how the Ingress names the port, for GKE's messages
 * @param configs the BackendConfigs by `namespace/name`
 */
export function buildBackendService(
  service: Service,
  port: ServicePort,
  reference: PortReference,
  configs: ReadonlyMap<string, BackendConfig>,
): BuiltBackendService {
  const findings: Finding[] = [];
  const neg = checkNeg(service, findings);
  if (!failed(findings)) checkProtocol(service, port, findings);
  const settings = failed(findings)
    ? DEFAULT_SETTINGS
    : findSettings(service, port, reference, configs, findings);
  if (neg === "none" && settings.affinity.type !== "NONE") {
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
    backendService: {
      id: `${nameOf(service)}:${port.port}`,
      namespace: service.metadata.namespace,
      service: service.metadata.name,
      port: port.port,
      ...(port.name === undefined ? {} : { portName: port.name }),
      targetPort: port.targetPort,
      selector: service.spec.selector,
      ...settings,
      healthCheck: DEFAULT_HEALTH_CHECK,
      requestHeaders: [],
      responseHeaders: [],
    },
    findings,
  };
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

/** Whether the balancer reaches the Service's pods themselves, or its nodes. */
function checkNeg(service: Service, findings: Finding[]): "pods" | "none" {
  const { type, ports } = service.spec;
  const neg = readNegAnnotation(service);
  const path = ["metadata", "annotations", NEG_ANNOTATION];
  const reachable = type === "NodePort" || type === "LoadBalancer";
  const wrongType = `service "${nameOf(service)}" is type "${type}", expected "NodePort" or "LoadBalancer" when not using NEGs`;
  switch (neg.type) {
    case "absent":
      if (reachable) return "none";
      if (type === "ClusterIP") {
        report(findings, service, "GKE-N07", {
          message: `no ${NEG_ANNOTATION} annotation; a VPC-native GKE cluster adds {"ingress":true} by itself`,
          path,
        });
        return "pods";
      }
      report(findings, service, "GKE-N01", { message: wrongType, path });
      return "none";
    case "invalid":
      report(findings, service, reachable ? "GKE-N08" : "GKE-N05", {
        message: reachable ? "NEG annotation is invalid." : `${wrongType} (NEG annotation is invalid.)`,
        path,
      });
      return "none";
    case "present":
      break;
  }
  if (!neg.ingress && !reachable) {
    report(findings, service, "GKE-N01", { message: wrongType, path });
    return "none";
  }
  if (!neg.ingress) return "none";
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
  return "pods";
}

function checkProtocol(service: Service, port: ServicePort, findings: Finding[]): void {
  const protocols = readAppProtocols(service);
  const path = ["metadata", "annotations", protocols.key];
  if (protocols.type === "invalid") {
    report(findings, service, "GKE-S05", {
      // GKE names the alpha key, whichever it read.
      message: `could not parse "service.alpha.kubernetes.io/app-protocols" annotation on service "${nameOf(service)}", err: ${protocols.message}`,
      path,
    });
    return;
  }
  const protocol = protocols.byPortName.get(port.name ?? "") ?? "HTTP";
  if (protocol === "HTTP") return;
  report(findings, service, "GKE-S01", {
    message: `port "${port.name ?? ""}" is declared as ${protocol}; it is spoken to in HTTP/1.1 here`,
    path,
  });
}

function findSettings(
  service: Service,
  port: ServicePort,
  reference: PortReference,
  configs: ReadonlyMap<string, BackendConfig>,
  findings: Finding[],
): BackendSettings {
  const annotation = readBackendConfigAnnotation(service);
  if (annotation.type === "absent") return DEFAULT_SETTINGS;
  const path = ["metadata", "annotations", annotation.key];
  const refuse = (code: FindingCode, reason: string, fix?: string) => {
    const message = `error getting BackendConfig for port "${portText(reference)}" on service "${nameOf(service)}", err: ${reason}`;
    report(findings, service, code, { message, path, ...(fix === undefined ? {} : { fix }) });
    return DEFAULT_SETTINGS;
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
    return DEFAULT_SETTINGS;
  }
  const { namespace } = service.metadata;
  const config = configs.get(`${namespace}/${name}`);
  if (config === undefined) {
    return refuse(
      "GKE-B01",
      "no BackendConfig for service port exists.",
      `Add a BackendConfig "${name}" to namespace "${namespace}", or correct the name in the annotation.`,
    );
  }
  const { settings, findings: ofConfig } = settingsOf(config);
  findings.push(...ofConfig);
  return settings;
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
