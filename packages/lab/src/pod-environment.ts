import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import { type Container, type Deployment, type EnvVar, nameOf } from "@holdfast/routing";
import { type LabFinding, labFinding } from "./finding.ts";

/** What a pod's environment is made of, beside its container. */
export interface PodIdentity {
  readonly name: string;
  readonly uid: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The containerPort that `PORT` stands for. */
  readonly port: number;
  /** What stands for each containerPort on this machine. */
  readonly ports: ReadonlyMap<number, number>;
}

/**
 * Tells `pod-listen.cjs` where a Node program that listens on all addresses is to listen instead: the pod's address,
 * then `containerPort:port` for each port that another one stands for.
 */
const LISTEN_VARIABLE = "POD_LISTEN";

const LISTEN_PROGRAM = fileURLToPath(new URL("./pod-listen.cjs", import.meta.url));

/** Where a reference to another variable is written `$(NAME)`, and `$$(NAME)` means the text `$(NAME)`. */
const REFERENCE = /\$\$|\$\(([^()]*)\)/g;
const MAP_FIELD = /^metadata\.(labels|annotations)\['([^']+)'\]$/;

/**
 * The environment of one pod: what the lab's own environment lends, the pod's name and address, the container's
 * `env` with its `$(VAR)` references replaced, and above them all what the caller gives every pod (`podEnv`).
 */
export function podEnvironment(
  deployment: Deployment,
  container: Container,
  pod: PodIdentity,
  podEnv: Readonly<Record<string, string>>,
  lent: Readonly<Record<string, string>>,
): Record<string, string> {
  const ownPort = pod.ports.get(pod.port) ?? pod.port;
  const identity = {
    PORT: String(ownPort),
    HOSTNAME: pod.name,
    POD_NAME: pod.name,
    POD_IP: pod.ip,
    POD_NAMESPACE: deployment.metadata.namespace,
  };
  const declared = new Map<string, string>();
  for (const variable of container.env) {
    const value = podEnv[variable.name] ?? variableValue(variable, deployment, pod, declared);
    if (value !== undefined) declared.set(variable.name, value);
  }
  // Where another port stands for the containerPort, a PORT from the manifest would name one that can't be had.
  if (ownPort !== pod.port) declared.delete("PORT");
  const environment: Record<string, string> = {
    ...lent,
    ...identity,
    ...Object.fromEntries(declared),
    ...podEnv,
  };
  // In NODE_OPTIONS a quoted path is read as JSON writes it. `--require` and not `--import`, which old Nodes refuse.
  const nodeOptions =
    `--require ${JSON.stringify(LISTEN_PROGRAM)} ${environment.NODE_OPTIONS ?? ""}`.trimEnd();
  return { ...environment, NODE_OPTIONS: nodeOptions, [LISTEN_VARIABLE]: listenAt(pod) };
}

/** What the lab's own environment lends to every pod: all but what belongs to the lab and to how it was started. */
export function lentEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const lent: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && !/^(HOLDFAST_|npm_|NODE_OPTIONS$|NODE_CHANNEL_|PORT$|HOST$)/i.test(name))
      lent[name] = value;
  }
  return lent;
}

/** Replaces `$(NAME)` as Kubernetes does: an unknown name stays as it is written. */
export function expandReferences(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(REFERENCE, (match, name: string | undefined) =>
    name === undefined ? "$" : (variables.get(name) ?? match),
  );
}

/**
 * What a person should know about a container's `env`: variables that the lab can't fill (`ENV_UNAVAILABLE`, one each)
 * and variables that the lab sets itself (`ENV_OVERRIDDEN`, all in one).
 */
export function environmentFindings(
  deployment: Deployment,
  container: Container,
  podEnv: Readonly<Record<string, string>>,
): LabFinding[] {
  const object = `Deployment ${nameOf(deployment)}`;
  const env = ["spec", "template", "spec", "containers", 0, "env"];
  const overridden = container.env.filter(({ name }) => Object.hasOwn(podEnv, name)).map(({ name }) => name);
  const findings = container.env.flatMap((variable, index): LabFinding[] => {
    const from = overridden.includes(variable.name) ? undefined : unavailable(variable);
    if (from === undefined) return [];
    const message = `${variable.name} comes from ${from}, which the lab does not have; the variable is not set`;
    const fix = `for the lab, give ${variable.name} a literal value`;
    return [
      labFinding("ENV_UNAVAILABLE", { object, message, fix, at: deployment.source.locate([...env, index]) }),
    ];
  });
  if (overridden.length === 0) return findings;
  const message = `the lab sets ${[...new Set(overridden)].join(" and ")} itself; the manifest's is not used`;
  return [...findings, labFinding("ENV_OVERRIDDEN", { object, message, at: deployment.source.locate(env) })];
}

function unavailable(variable: EnvVar): string | undefined {
  if (variable.type === "reference") {
    return variable.kind === "resource"
      ? `the resource field ${variable.from}`
      : `${variable.kind} ${variable.from}`;
  }
  if (variable.type === "field" && !isKnownField(variable.fieldPath))
    return `the field ${variable.fieldPath}`;
  return undefined;
}

function variableValue(
  variable: EnvVar,
  deployment: Deployment,
  pod: PodIdentity,
  declared: ReadonlyMap<string, string>,
): string | undefined {
  if (variable.type === "value") return expandReferences(variable.value, declared);
  return variable.type === "field" ? fieldValue(variable.fieldPath, deployment, pod) : undefined;
}

/** The downward API's fields, by path (Kubernetes, "Downward API": information available via `fieldRef`). */
const FIELDS: Readonly<Record<string, (deployment: Deployment, pod: PodIdentity) => string>> = {
  "metadata.name": (_, pod) => pod.name,
  "metadata.namespace": (deployment) => deployment.metadata.namespace,
  "metadata.uid": (_, pod) => pod.uid,
  "spec.nodeName": () => hostname(),
  "spec.serviceAccountName": (deployment) => deployment.spec.template.serviceAccountName ?? "default",
  "status.podIP": (_, pod) => pod.ip,
  "status.podIPs": (_, pod) => pod.ip,
  "status.hostIP": () => "127.0.0.1",
  "status.hostIPs": () => "127.0.0.1",
};

function isKnownField(path: string): boolean {
  return Object.hasOwn(FIELDS, path) || MAP_FIELD.test(path);
}

function fieldValue(path: string, deployment: Deployment, pod: PodIdentity): string | undefined {
  if (Object.hasOwn(FIELDS, path)) return FIELDS[path]?.(deployment, pod);
  const [, map, key = ""] = MAP_FIELD.exec(path) ?? [];
  if (map === undefined) return undefined;
  const values = map === "labels" ? pod.labels : deployment.spec.template.annotations;
  // A label or annotation that isn't there is an empty string in Kubernetes, not an error.
  return Object.hasOwn(values, key) ? values[key] : "";
}

function listenAt(pod: PodIdentity): string {
  const replaced = [...pod.ports].filter(([containerPort, port]) => containerPort !== port);
  return [pod.ip, ...replaced.map(([containerPort, port]) => `${containerPort}:${port}`)].join(" ");
}
