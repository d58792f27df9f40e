import type { AppProtocol } from "./annotations.ts";
import { type Finding, type FindingCode, finding } from "./finding.ts";
import type { Face, HealthCheck } from "./model.ts";
import {
  type BackendConfig,
  type BackendConfigHealthCheck,
  type Container,
  type Deployment,
  nameOf,
  type ReadinessProbe,
  type ServicePort,
} from "./objects.ts";

/** How the balancer reaches the pods: themselves (NEG) or through their nodes (instance groups). */
export type Reach = "neg" | "instance-group";

const NEG: HealthCheck = {
  protocol: "HTTP",
  path: "/",
  port: "serving",
  intervalSec: 15,
  timeoutSec: 15,
  healthyThreshold: 1,
  unhealthyThreshold: 2,
  passing: "200",
  origin: "default",
};

const INSTANCE_GROUP: HealthCheck = { ...NEG, intervalSec: 60, timeoutSec: 60, unhealthyThreshold: 10 };

/** A connection is enough, so that a server which has nothing at `/` is found healthy too. */
const HOLDFAST: HealthCheck = {
  ...NEG,
  protocol: "TCP",
  intervalSec: 5,
  timeoutSec: 2,
  passing: "2xx-3xx",
};

/** The Compute API's bounds. */
const MAX_SEC = 300;
const MAX_THRESHOLD = 10;

/** What a health check is made for. */
export interface CheckedPort {
  readonly face: Face;
  readonly reach: Reach;
  readonly port: ServicePort;
  readonly protocol: AppProtocol;
  /** The Deployments whose pods the Service selects, the oldest first. */
  readonly deployments: readonly Deployment[];
}

/**
 * The health check as it is made when nothing of it is there yet, before a BackendConfig has its say: from a readiness
 * probe, or the default (ingress-gce `pkg/translator`, `pkg/healthchecks`).
 */
export function newHealthCheck(checked: CheckedPort): HealthCheck {
  const { face, reach, protocol, deployments } = checked;
  const holdfast = face === "holdfast";
  const byDefault = holdfast ? HOLDFAST : { ...(reach === "neg" ? NEG : INSTANCE_GROUP), protocol };
  for (const deployment of deployments) {
    for (const container of deployment.spec.template.containers) {
      const { readinessProbe } = container;
      if (readinessProbe === undefined) continue;
      const adopted = holdfast
        ? adoptFreely(byDefault, readinessProbe, container, checked)
        : adoptAsGke(byDefault, readinessProbe, container, checked);
      if (adopted !== undefined) return adopted;
    }
  }
  return byDefault;
}

/**
 * GKE adopts an HTTP probe without a host, with no header but `Host`, of the scheme of the Service port's protocol,
 * and only where the container declares the Service's `targetPort` and the probe asks that same port. Its thresholds
 * are not adopted.
 */
function adoptAsGke(
  byDefault: HealthCheck,
  probe: ReadinessProbe,
  container: Container,
  { reach, port, protocol }: CheckedPort,
): HealthCheck | undefined {
  const { action } = probe;
  if (action.type !== "http" || action.host !== undefined) return undefined;
  const [header, ...more] = action.headers;
  if (more.length > 0 || (header !== undefined && header.name !== "Host")) return undefined;
  if (action.scheme !== (protocol === "HTTP" ? "HTTP" : "HTTPS")) return undefined;
  const declared = declaredPort(container, port.targetPort);
  if (declared === undefined) return undefined;
  if (action.port !== (typeof action.port === "number" ? declared.containerPort : declared.name))
    return undefined;
  return {
    ...byDefault,
    path: absolute(action.path),
    ...(header === undefined ? {} : { host: header.value }),
    // Nodes are many and ask on behalf of every pod, so GKE asks them less often.
    intervalSec: Math.min(probe.periodSec + (reach === "neg" ? 0 : INSTANCE_GROUP.intervalSec), MAX_SEC),
    timeoutSec: Math.min(probe.timeoutSec, MAX_SEC),
    origin: "readinessProbe",
  };
}

/** Face `holdfast` adopts what a balancer can do: HTTP and TCP probes of the pod's own, with their thresholds. */
function adoptFreely(
  byDefault: HealthCheck,
  probe: ReadinessProbe,
  container: Container,
  { port }: CheckedPort,
): HealthCheck | undefined {
  const { action } = probe;
  if (action.type === "other" || action.host !== undefined) return undefined;
  const asked = declaredPort(container, action.port)?.containerPort ?? action.port;
  // A name that the container doesn't have is a port of another container's, or a mistake.
  if (typeof asked === "string") return undefined;
  const served = declaredPort(container, port.targetPort)?.containerPort ?? port.targetPort;
  const common: HealthCheck = {
    ...byDefault,
    port: asked === served ? "serving" : asked,
    intervalSec: Math.min(probe.periodSec, MAX_SEC),
    timeoutSec: Math.min(probe.timeoutSec, MAX_SEC),
    healthyThreshold: probe.successThreshold,
    unhealthyThreshold: probe.failureThreshold,
    origin: "readinessProbe",
  };
  if (action.type === "tcp") return common;
  const host = action.headers.find(({ name }) => name.toLowerCase() === "host")?.value;
  return {
    ...common,
    protocol: action.scheme,
    path: absolute(action.path),
    ...(host === undefined ? {} : { host }),
  };
}

function declaredPort(container: Container, port: number | string): Container["ports"][number] | undefined {
  return container.ports.find(({ name, containerPort }) =>
    typeof port === "number" ? containerPort === port : name === port,
  );
}

/** GCE wants a path that begins with a slash. */
function absolute(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

/**
 * What is left of a new health check where there is one already: "Once a healthcheck is created, it will basically not
 * change" (ingress-gce `mergeUserSettings`). A later readiness probe is not picked up, nor is a change from instance
 * groups to NEGs.
 */
export function keepHealthCheck(live: HealthCheck, made: HealthCheck): HealthCheck {
  const { host: _, ...rest } = made;
  return {
    ...rest,
    path: live.path,
    ...(live.host === undefined ? {} : { host: live.host }),
    intervalSec: live.intervalSec,
    timeoutSec: live.timeoutSec,
    healthyThreshold: live.healthyThreshold,
    unhealthyThreshold: live.unhealthyThreshold,
    origin: live.origin,
  };
}

/** A BackendConfig's fields always win, each by itself. */
export function applyHealthCheck(
  check: HealthCheck,
  declared: BackendConfigHealthCheck | undefined,
): HealthCheck {
  if (declared === undefined) return check;
  const { type, port, requestPath, checkIntervalSec, timeoutSec, healthyThreshold, unhealthyThreshold } =
    declared;
  // Asking for a path is asking for HTTP.
  const protocol =
    type === undefined && requestPath !== undefined && check.protocol === "TCP" ? "HTTP" : type;
  return {
    ...check,
    ...(isProtocol(protocol) ? { protocol } : {}),
    ...(port === undefined ? {} : { port }),
    ...(requestPath === undefined ? {} : { path: absolute(requestPath) }),
    ...(checkIntervalSec === undefined ? {} : { intervalSec: checkIntervalSec }),
    ...(timeoutSec === undefined ? {} : { timeoutSec }),
    ...(healthyThreshold === undefined ? {} : { healthyThreshold }),
    ...(unhealthyThreshold === undefined ? {} : { unhealthyThreshold }),
    origin: "BackendConfig",
  };
}

function isProtocol(type: string | undefined): type is HealthCheck["protocol"] {
  return type === "HTTP" || type === "HTTPS" || type === "HTTP2" || type === "TCP";
}

/**
 * What is wrong with a BackendConfig's health check. The text on the protocol is ingress-gce's; the bounds are those of
 * the Compute API.
 *
 * @param result the health check with the BackendConfig's fields
 */
export function checkHealthCheck(config: BackendConfig, result: HealthCheck, face: Face): Finding[] {
  const findings: Finding[] = [];
  const declared = config.spec.healthCheck;
  if (declared === undefined) return findings;
  const refuse = (code: FindingCode, field: string, message: string) => {
    const at = config.source.locate(["spec", "healthCheck", field]);
    findings.push(finding(code, { object: `BackendConfig ${nameOf(config)}`, message, at }));
  };
  const { type, port, requestPath } = declared;
  const protocols = face === "holdfast" ? ["HTTP", "HTTPS", "HTTP2", "TCP"] : ["HTTP", "HTTPS", "HTTP2"];
  if (type !== undefined && !protocols.includes(type)) {
    const wanted = protocols.map((one) => `"${one}"`).join(",");
    refuse("GKE-H02", "type", `Protocol ${JSON.stringify(type)} is not valid, must be one of [${wanted}]`);
  }
  if (port !== undefined && (port < 1 || port > 65_535)) {
    refuse("GKE-H03", "port", `healthCheck.port is ${port}, should be between 1 and 65535`);
  }
  if (requestPath !== undefined && !/^[\x21-\x7e]{0,2048}$/.test(requestPath)) {
    refuse("GKE-H03", "requestPath", "healthCheck.requestPath is not the path of a URL");
  }
  for (const [field, max] of [
    ["checkIntervalSec", MAX_SEC],
    ["timeoutSec", MAX_SEC],
    ["healthyThreshold", MAX_THRESHOLD],
    ["unhealthyThreshold", MAX_THRESHOLD],
  ] as const) {
    const value = declared[field];
    if (value !== undefined && (value < 1 || value > max)) {
      refuse("GKE-H03", field, `healthCheck.${field} is ${value}, should be between 1 and ${max}`);
    }
  }
  if (findings.length === 0 && result.timeoutSec > result.intervalSec && face !== "holdfast") {
    refuse(
      "GKE-H03",
      declared.timeoutSec === undefined ? "checkIntervalSec" : "timeoutSec",
      `healthCheck.timeoutSec is ${result.timeoutSec}, should be at most checkIntervalSec, which is ${result.intervalSec}`,
    );
  }
  return findings;
}
