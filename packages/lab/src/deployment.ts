import { dirname, resolve } from "node:path";
import {
  type BackendService,
  type Container,
  type Deployment,
  type KubernetesObject,
  nameOf,
  type RoutingModel,
  type Service,
  selects,
} from "@holdfast/routing";
import { type LabFinding, labFinding } from "./finding.ts";
import { flagFor, type ImageSources, type PodCommand, resolveImage } from "./images.ts";
import { environmentFindings } from "./pod-environment.ts";

/** How the pods of one Deployment are run. */
export interface DeploymentPlan {
  readonly deployment: Deployment;
  readonly container: Container;
  readonly command: PodCommand;
  /** What follows a built-in image's own arguments, its `$(VAR)` references not yet replaced. */
  readonly args: readonly string[];
  readonly cwd: string;
  /** The containerPort that `PORT` stands for. */
  readonly port: number;
  /** Every port that a pod of it may listen on. */
  readonly containerPorts: readonly number[];
  readonly readyPorts: readonly number[];
}

/** The manifests as the lab understands them. With an error among the findings nothing may be started. */
export interface LabPlan {
  readonly deployments: readonly DeploymentPlan[];
  readonly findings: readonly LabFinding[];
}

export interface PlanOptions {
  readonly images: ImageSources;
  readonly podEnv: Readonly<Record<string, string>>;
  /** Where `--image` commands run, and what relative file names start from. */
  readonly cwd: string;
}

/** All the pods of a lab; each is a process, and a laptop has only so many. */
const MAX_PODS = 200;

const DEFAULT_PORT = 8080;

/** Decides how each Deployment is run, and finds what can't be or will not be as the manifest has it. */
export function planDeployments(
  objects: readonly KubernetesObject[],
  model: RoutingModel,
  options: PlanOptions,
): LabPlan {
  const deployments: DeploymentPlan[] = [];
  const findings: LabFinding[] = [];
  const services = objects.filter((object) => object.kind === "Service");
  const declared = objects.filter((object) => object.kind === "Deployment");
  for (const deployment of declared) {
    const container = deployment.spec.template.containers[0];
    if (!container) continue;
    const resolution = resolveImage(container, deployment, options.images);
    if (resolution.type === "unknown") {
      findings.push(resolution.finding);
    } else if (resolution.type === "hosted") {
      findings.push(hosted(deployment, container, resolution.standIn));
    } else {
      const fromBuiltIn = resolution.from === "builtIn";
      findings.push(...containerFindings(deployment, container, fromBuiltIn));
      findings.push(...environmentFindings(deployment, container, options.podEnv));
      deployments.push({
        deployment,
        container,
        command: resolution.command,
        args: fromBuiltIn ? (container.args ?? []) : [],
        cwd: resolution.from === "flag" ? options.cwd : manifestFolder(deployment, options.cwd),
        ...portsOf(deployment, container, model, services),
      });
    }
  }
  findings.push(...tooMany(deployments), ...unusedFlags(objects, options.images.flags));
  findings.push(...withoutPods(declared, model));
  return { deployments, findings };
}

function portsOf(
  deployment: Deployment,
  container: Container,
  model: RoutingModel,
  services: readonly Service[],
): Pick<DeploymentPlan, "port" | "containerPorts" | "readyPorts"> {
  const declared = container.ports.map((port) => port.containerPort);
  const targets = services
    .filter((service) => service.metadata.namespace === deployment.metadata.namespace)
    .filter((service) => selects(service.spec.selector, deployment.spec.template.labels))
    .flatMap((service) => service.spec.ports.map((port) => port.targetPort))
    .filter((target) => typeof target === "number");
  const routed = backendsOf(deployment, model)
    .map(({ targetPort }) => containerPort(targetPort, container))
    .filter((port) => port !== undefined);
  const probed = backendsOf(deployment, model)
    .map(({ healthCheck }) => healthCheck.port)
    .filter((port) => port !== "serving");
  const port = declared[0] ?? targets[0] ?? DEFAULT_PORT;
  const readyPorts = routed.length > 0 ? routed : declared.slice(0, 1);
  return {
    port,
    containerPorts: [...new Set([port, ...declared, ...routed, ...probed])],
    readyPorts: [...new Set(readyPorts)],
  };
}

function backendsOf(deployment: Deployment, model: RoutingModel): BackendService[] {
  return [...model.backendServices.values()].filter(
    (backend) =>
      backend.namespace === deployment.metadata.namespace &&
      selects(backend.selector, deployment.spec.template.labels),
  );
}

function containerPort(target: number | string, container: Container): number | undefined {
  if (typeof target === "number") return target;
  return container.ports.find((port) => port.name === target)?.containerPort;
}

/** Relative paths in a manifest start from its own folder; one from standard input has none. */
function manifestFolder(deployment: Deployment, cwd: string): string {
  return resolve(cwd, dirname(deployment.source.file));
}

function hosted(deployment: Deployment, container: Container, standIn: string): LabFinding {
  const message = `not run: ${standIn} stands in for ${container.image}`;
  return labFinding("LAB_STANDS_IN", { object: `Deployment ${nameOf(deployment)}`, message });
}

function containerFindings(deployment: Deployment, container: Container, builtIn: boolean): LabFinding[] {
  const findings: LabFinding[] = [];
  const object = `Deployment ${nameOf(deployment)}`;
  const containers = ["spec", "template", "spec", "containers"];
  const others = deployment.spec.template.containers.slice(1).map(({ name }) => name);
  if (others.length > 0) {
    const message = `only the first container (${container.name}) runs in the lab, not ${others.join(", ")}`;
    const at = deployment.source.locate([...containers, 1]);
    findings.push(labFinding("CONTAINER_NOT_RUN", { object, message, at }));
  }
  if (builtIn && container.command) {
    const message = `${container.image} is built into the lab, which runs its own program and not the container's command`;
    const at = deployment.source.locate([...containers, 0, "command"]);
    findings.push(labFinding("COMMAND_NOT_USED", { object, message, at }));
  }
  return findings;
}

function tooMany(deployments: readonly DeploymentPlan[]): LabFinding[] {
  const pods = deployments.reduce((sum, { deployment }) => sum + deployment.spec.replicas, 0);
  const largest = deployments.toSorted((a, b) => b.deployment.spec.replicas - a.deployment.spec.replicas)[0];
  if (pods <= MAX_PODS || !largest) return [];
  return [
    labFinding("PODS_TOO_MANY", {
      object: `Deployment ${nameOf(largest.deployment)}`,
      message: `the manifests ask for ${pods} pods; a lab runs at most ${MAX_PODS}, each a process of its own`,
      fix: "lower spec.replicas",
      at: largest.deployment.source.locate(["spec", "replicas"]),
    }),
  ];
}

function unusedFlags(objects: readonly KubernetesObject[], flags: ReadonlyMap<string, string>): LabFinding[] {
  const used = new Set<string>();
  for (const object of objects) {
    if (object.kind !== "Deployment") continue;
    for (const { image } of object.spec.template.containers) {
      const flag = flagFor(image, flags);
      if (flag) used.add(flag.name);
    }
  }
  return [...flags.keys()]
    .filter((name) => !used.has(name))
    .map((name) =>
      labFinding("IMAGE_FLAG_NOT_USED", {
        object: `--image ${name}`,
        message: `no Deployment has the image ${name}`,
        fix: "write the name as the manifest does, with or without its tag",
      }),
    );
}

function withoutPods(deployments: readonly Deployment[], model: RoutingModel): LabFinding[] {
  const behind = new Set(deployments.flatMap((deployment) => backendsOf(deployment, model)));
  return [...model.backendServices.values()]
    .filter((backend) => !behind.has(backend))
    .map((backend) =>
      labFinding("SERVICE_WITHOUT_PODS", {
        object: `Service ${backend.namespace}/${backend.service}`,
        message:
          "no Deployment in these manifests has pods that its selector picks; requests to it will fail",
        fix: "add a Deployment whose pod template has the labels of spec.selector",
      }),
    );
}
