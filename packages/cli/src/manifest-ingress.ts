import { isDeepStrictEqual } from "node:util";
import { type DataPlane, HealthMonitor, IngressError, type Readiness } from "@holdfast/ingress";
import { readManifests } from "@holdfast/kubernetes";
import { type Endpoint, EndpointIndex, IngressSync, type RoutingModel } from "@holdfast/routing";
import { AddressPlan, type AddressPlanOptions, type PlannedAddress } from "./address-plan.ts";
import { type Complaint, complaintOf } from "./complaint.ts";
import { EXIT, type ExitCode } from "./errors.ts";
import type { IngressReport, OpenAddress } from "./ingress-report.ts";

export interface ManifestIngressOptions extends AddressPlanOptions {
  /** As `readManifests` takes them. */
  readonly paths: readonly string[];
  readonly stdin: string;
  readonly host: string;
  /** Milliseconds that open connections are given when an address or everything ends. */
  readonly graceMs: number;
  readonly plane: DataPlane;
  readonly report: IngressReport;
}

const NOTHING_TO_SERVE: Complaint = {
  severity: "error",
  code: "NO_INGRESS",
  message: "there is no Ingress to serve",
  fix: "name manifests with an Ingress of class gce or holdfast",
};

/**
 * Keeps a data plane as manifests say: reads them, checks the endpoints' health, listens for each load balancer. An
 * Ingress with an error is served on as it was; files that can't be read change nothing; and the report says why.
 */
export class ManifestIngress {
  readonly #options: ManifestIngressOptions;
  readonly #addressPlan: AddressPlan;
  readonly #monitor: HealthMonitor;
  readonly #sync = new IngressSync();
  readonly #open = new Map<string, OpenAddress>();
  /** The load that is under way, and the one that is to follow it. */
  #loading: Promise<ExitCode> | undefined;
  #again: Promise<ExitCode> | undefined;
  #model: RoutingModel | undefined;
  #draining = false;

  constructor(options: ManifestIngressOptions) {
    this.#options = options;
    this.#addressPlan = new AddressPlan(options);
    this.#monitor = new HealthMonitor({
      onEndpoints: (id, endpoints) => options.plane.setEndpoints(id, endpoints),
      onEvent: (event) => options.report.event(event),
    });
  }

  /**
   * Reads the manifests and serves what they say. Loads that are asked for while one is under way are one.
   *
   * @returns `OK`; else why nothing has changed: `MISUSE` for a path that doesn't exist, or `NO`
   */
  load(): Promise<ExitCode> {
    if (this.#loading) {
      this.#again ??= this.#loading.then(() => {
        this.#again = undefined;
        return this.load();
      });
      return this.#again;
    }
    this.#loading = this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /** Whether a client that is sent here is served. */
  readiness(): Readiness {
    if (this.#draining) return { ready: false, reason: "draining: it is about to end" };
    if (!this.#model) return { ready: false, reason: "no manifests were served yet" };
    if (this.#open.size === 0) return { ready: false, reason: "no Ingress is listened for" };
    return { ready: true };
  }

  /** Takes no more clients, and lets those that are there end. */
  async close(): Promise<void> {
    this.#draining = true;
    await this.#loading;
    this.#monitor.close();
    await this.#options.plane.close({ graceMs: this.#options.graceMs });
  }

  async #load(): Promise<ExitCode> {
    const { paths, stdin, plane, report } = this.#options;
    const read = await readManifests(paths, { stdin });
    for (const problem of read.problems) report.complaint({ severity: "error", ...problem });
    if (read.problems.length > 0) {
      return read.problems.some(({ code }) => code === "PATH_NOT_FOUND") ? EXIT.MISUSE : EXIT.NO;
    }
    const { model, findings, events, statuses } = this.#sync.sync(read.objects);
    for (const finding of findings) report.complaint(finding);
    for (const event of events) report.synced(event);
    if (model.loadBalancers.length === 0 && !this.#model) {
      if (findings.length === 0) report.complaint(NOTHING_TO_SERVE);
      return EXIT.NO;
    }
    if (this.#draining) return EXIT.OK;
    // A file that was only touched is no reason to send everything to every worker.
    if (!isDeepStrictEqual(model, this.#model)) {
      try {
        plane.apply(model);
      } catch (error) {
        if (!(error instanceof IngressError)) throw error;
        report.complaint(complaintOf(error));
        return EXIT.NO;
      }
      this.#model = model;
      this.#monitor.apply(model);
    }
    const index = new EndpointIndex();
    index.setBackendServices(model.backendServices);
    for (const object of read.objects) if (object.kind === "EndpointSlice") index.setSlice(object);
    const endpoints = [...model.backendServices.keys()].map((id) => [id, index.endpointsOf(id)] as const);
    for (const [id, some] of endpoints) this.#setEndpoints(id, some);
    const all = await this.#listen(this.#addressPlan.plan(model.loadBalancers));
    report.served({
      addresses: [...this.#open.values()],
      loadBalancers: model.loadBalancers.length,
      backendServices: model.backendServices.size,
      endpoints: endpoints.reduce((sum, [, { length }]) => sum + length, 0),
      kept: [...statuses].filter(([, { state }]) => state === "kept").map(([name]) => name),
    });
    return all ? EXIT.OK : EXIT.NO;
  }

  #setEndpoints(id: string, endpoints: readonly Endpoint[]): void {
    try {
      this.#monitor.setEndpoints(id, endpoints);
    } catch (error) {
      if (!(error instanceof IngressError)) throw error;
      this.#options.report.complaint(complaintOf(error));
    }
  }

  /** @returns whether every address is open now */
  async #listen(planned: readonly PlannedAddress[]): Promise<boolean> {
    const { plane, host, graceMs, report } = this.#options;
    const names = new Set(planned.map(nameOf));
    for (const [name, { loadBalancer, tls }] of [...this.#open]) {
      if (names.has(name)) continue;
      this.#open.delete(name);
      await plane.unlisten({ loadBalancer, tls, graceMs });
    }
    let all = true;
    for (const address of planned) {
      if (this.#open.has(nameOf(address))) continue;
      const { loadBalancer, tls } = address;
      try {
        if (address.port > 65_535)
          throw new IngressError("LISTEN_FAILED", `there is no port ${address.port}`);
        this.#open.set(nameOf(address), { loadBalancer, tls, ...(await plane.listen({ ...address, host })) });
      } catch (error) {
        if (!(error instanceof IngressError)) throw error;
        all = false;
        report.complaint({ ...complaintOf(error), object: `Ingress ${loadBalancer}` });
      }
    }
    return all;
  }
}

function nameOf({ loadBalancer, tls }: { readonly loadBalancer: string; readonly tls: boolean }): string {
  return tls ? `${loadBalancer} (TLS)` : loadBalancer;
}
