import { randomUUID } from "node:crypto";
import { extname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Ingress, IngressError, type IngressEvent } from "@holdfast/ingress";
import { type BackendService, endpointsOf, type RoutingModel, translate } from "@holdfast/routing";
import { type DeploymentPlan, planDeployments } from "./deployment.ts";
import { LabError } from "./errors.ts";
import type { BuiltInImage } from "./images.ts";
import { type LabOptions, resolveOptions } from "./options.ts";
import { Pod, type PodOptions, type PodStatus } from "./pod.ts";
import { PodAddresses } from "./pod-addresses.ts";
import { expandReferences, lentEnvironment, podEnvironment } from "./pod-environment.ts";
import { PodHealth } from "./pod-health.ts";
import { podName, templateHash } from "./pod-name.ts";

/** Where a load balancer listens. GKE gives each Ingress an address of its own; here each has a port of its own. */
export interface Listener {
  /** `namespace/name` of its Ingress. */
  readonly loadBalancer: string;
  readonly host: string;
  readonly port: number;
}

/** A running lab. */
export interface Lab {
  readonly model: RoutingModel;
  readonly listeners: readonly Listener[];
  /** All pods as they are now, in the manifests' order. */
  pods(): PodStatus[];
  /** The pods behind a backend service as they are now. */
  podsOf(backend: BackendService): PodStatus[];
  /**
   * Ends the ingress and every pod: SIGTERM first, SIGKILL after `graceMs`. Resolves when no process is left. Idempotent.
   */
  close(): Promise<void>;
}

const SERVE_HOSTNAME: BuiltInImage = {
  type: "node",
  argv: [fileURLToPath(new URL(`./serve-hostname${extname(import.meta.url)}`, import.meta.url))],
};

/**
 * Runs manifests on this machine: every replica of a Deployment as a process, behind an ingress that does what the
 * manifests say. Resolves when every pod is ready, or it was said why it isn't: those whose health check fails are
 * reported as `unhealthy`, those on which nothing listens after `readyTimeoutMs` as `late`; they run on. When it rejects, nothing is left running.
 *
 * @throws LabError `OPTION_INVALID`, `MANIFESTS_REFUSED`, `PORT_IN_USE`, `LISTEN_FAILED`, `POD_ADDRESS_MISSING`, `LAB_CLOSED`
 */
export async function startLab(given: LabOptions): Promise<Lab> {
  const options = resolveOptions(given);
  const { model, findings: routingFindings } = translate(options.objects);
  const builtIn = new Map([["serve_hostname", SERVE_HOSTNAME], ...Object.entries(options.builtIn)]);
  const plan = planDeployments(options.objects, model, {
    images: { builtIn, flags: new Map(Object.entries(options.images)) },
    podEnv: options.podEnv,
    cwd: resolve(options.cwd),
  });
  const findings = [...routingFindings, ...plan.findings];
  const errors = findings.filter(({ severity }) => severity === "error");
  if (errors.length > 0) {
    const first = errors.map(({ object, message }) => `${object}: ${message}`).join("; ");
    throw new LabError("MANIFESTS_REFUSED", first, { findings });
  }
  for (const finding of findings) options.onEvent({ type: "finding", finding });
  const lab = new RunningLab(options, model);
  try {
    await lab.start(plan.deployments);
  } catch (error) {
    await lab.close();
    throw error;
  }
  return lab;
}

class RunningLab implements Lab {
  readonly model: RoutingModel;
  readonly listeners: Listener[] = [];
  readonly #options: Required<LabOptions>;
  readonly #ingress: Ingress;
  readonly #health: PodHealth;
  readonly #addresses: PodAddresses;
  readonly #pods: Pod[] = [];
  #onChange: () => void = () => {};
  #closed: Promise<void> | undefined;

  constructor(options: Required<LabOptions>, model: RoutingModel) {
    this.#options = options;
    this.model = model;
    this.#addresses = new PodAddresses(options.podNetwork);
    const onEvent = (event: IngressEvent) => options.onEvent({ type: "ingress", event });
    this.#ingress = new Ingress({ onEvent });
    this.#health = new PodHealth({
      model,
      onEvent,
      onEndpoints: (id, endpoints) => this.#ingress.setEndpoints(id, endpoints),
      onChange: () => this.#judge(),
    });
  }

  async start(plans: readonly DeploymentPlan[]): Promise<void> {
    const { signal } = this.#options;
    this.#ingress.apply(this.model);
    await this.#listen();
    for (const plan of plans) await this.#createPods(plan);
    this.#updateEndpoints();
    if (!signal.aborted) for (const pod of this.#pods) pod.start();
    await this.#awaitReady(signal);
    if (signal.aborted) throw new LabError("LAB_CLOSED", "before its pods were ready");
  }

  pods(): PodStatus[] {
    return this.#pods.map((pod) => pod.status());
  }

  podsOf(backend: BackendService): PodStatus[] {
    const pods = this.#pods.map((pod) => pod.asBackend());
    const names = new Set(endpointsOf(backend, pods).map(({ pod }) => pod));
    return this.pods().filter(({ name, namespace }) => namespace === backend.namespace && names.has(name));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#health.close();
    await Promise.all([
      this.#ingress.close({ graceMs: this.#options.graceMs }),
      ...this.#pods.map((pod) => pod.close()),
    ]);
    // Not before the pods are gone, lest another lab be given their addresses.
    await this.#addresses.close();
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#options;
    // One that serves neither HTTP nor HTTPS has no frontend, on GKE either.
    const served = this.model.loadBalancers.filter((one) => one.plainHttp || one.certificates);
    for (const [index, { name }] of served.entries()) {
      const wanted = port === 0 ? 0 : port + index;
      if (wanted > 65_535) {
        throw new LabError("LISTEN_FAILED", `Ingress ${name}: there is no port ${wanted}`, {
          fix: `choose a lower --port: ${served.length} Ingresses need one each, from it upwards`,
        });
      }
      try {
        const bound = await this.#ingress.listen({ loadBalancer: name, host, port: wanted });
        this.listeners.push({ loadBalancer: name, ...bound });
      } catch (error) {
        if (!(error instanceof IngressError)) throw error;
        const code = error.code === "PORT_IN_USE" ? "PORT_IN_USE" : "LISTEN_FAILED";
        throw new LabError(code, `Ingress ${name}: ${error.message}`, { cause: error });
      }
    }
  }

  async #createPods(plan: DeploymentPlan): Promise<void> {
    const { deployment, container, port } = plan;
    const { graceMs, onEvent, podEnv } = this.#options;
    const { template, replicas } = deployment.spec;
    const lent = lentEnvironment(process.env);
    const labels = { ...template.labels, "pod-template-hash": templateHash(deployment) };
    for (let replica = 0; replica < replicas; replica++) {
      const name = podName(deployment, new Set(this.#pods.map((pod) => pod.options.name)));
      const address = await this.#addresses.allot(plan.containerPorts);
      const identity = { name, uid: randomUUID(), ip: address.ip, labels, port, ports: address.ports };
      const env = podEnvironment(deployment, container, identity, podEnv, lent);
      const variables = new Map(Object.entries(env));
      const args = plan.args.map((argument) => expandReferences(argument, variables));
      const { command } = plan;
      this.#pods.push(
        new Pod({
          name,
          namespace: deployment.metadata.namespace,
          deployment: deployment.metadata.name,
          address,
          port,
          ports: portsOf(plan),
          labels,
          command: command.type === "node" ? { type: "node", argv: [...command.argv, ...args] } : command,
          cwd: plan.cwd,
          env,
          readyPorts: plan.readyPorts,
          graceMs: Math.min(graceMs, template.terminationGracePeriodSeconds * 1000),
          onAccepting: () => this.#updateEndpoints(),
          onEvent: (event) => {
            if (event.type === "pod") this.#updateEndpoints();
            onEvent(event);
            if (event.type === "pod") this.#onChange();
          },
        }),
      );
    }
  }

  #updateEndpoints(): void {
    if (this.#closed) return;
    this.#health.set(this.#pods.map((pod) => pod.asBackend()));
    this.#judge();
  }

  #judge(): void {
    if (this.#closed) return;
    const sick = this.#health.sick();
    for (const pod of this.#pods) pod.judge(sick.get(`${pod.options.namespace}/${pod.options.name}`));
  }

  async #awaitReady(signal: AbortSignal): Promise<void> {
    const { onEvent, readyTimeoutMs } = this.#options;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#onChange = () => {};
        resolve();
      };
      const timer = setTimeout(done, readyTimeoutMs);
      signal.addEventListener("abort", done);
      this.#onChange = () => {
        if (this.#pods.every(({ told }) => told)) done();
      };
      this.#onChange();
      if (signal.aborted) done();
    });
    if (signal.aborted) return;
    for (const pod of this.#pods) {
      if (pod.accepting) pod.tellUnhealthy();
      else onEvent({ type: "pod", state: "late", pod: pod.status(), waitedMs: readyTimeoutMs });
    }
  }
}

/** Those that the container declares, with their names, and those that are used without being declared. */
function portsOf({ container, containerPorts }: DeploymentPlan): PodOptions["ports"] {
  const declared = new Set(container.ports.map(({ containerPort }) => containerPort));
  const others = containerPorts.filter((port) => !declared.has(port));
  return [...container.ports, ...others.map((containerPort) => ({ containerPort }))];
}
