import type { BackendServiceId, Endpoint, RoutingModel } from "@holdfast/routing";
import { collectDefaultMetrics, Registry } from "prom-client";
import { IngressMetrics } from "../admin/ingress-metrics.ts";
import type { MetricFamily } from "../admin/metric-family.ts";
import { Ingress, type ListenOptions, type UnlistenOptions } from "../ingress.ts";
import type { IngressOptions } from "../options.ts";
import type { DataPlane, DataPlaneSettings } from "./data-plane.ts";
import { LogWriter } from "./log-writer.ts";

/** An ingress in this process, with its metrics and its log. */
export class LocalDataPlane implements DataPlane {
  readonly ingress: Ingress;
  readonly #metrics = new IngressMetrics();
  readonly #log: LogWriter | undefined;
  readonly #registry = new Registry();

  /** @throws IngressError `OPTION_INVALID` */
  constructor(settings: DataPlaneSettings, askOthers?: IngressOptions["askOthers"]) {
    this.#log = settings.log === "none" ? undefined : new LogWriter(settings.log);
    this.ingress = new Ingress({
      ...settings.ingress,
      ...(askOthers && { askOthers }),
      onEvent: (event) => {
        this.#metrics.observe(event);
        this.#log?.write(event);
      },
    });
    collectDefaultMetrics({ register: this.#registry });
  }

  apply(model: RoutingModel): void {
    this.ingress.apply(model);
  }

  setEndpoints(backendService: BackendServiceId, endpoints: readonly Endpoint[]): void {
    this.ingress.setEndpoints(backendService, endpoints);
  }

  listen(options: ListenOptions): Promise<{ host: string; port: number }> {
    return this.ingress.listen(options);
  }

  unlisten(options: UnlistenOptions): Promise<void> {
    return this.ingress.unlisten(options);
  }

  async metrics(): Promise<readonly (readonly object[])[]> {
    const own = this.#metrics.snapshot(this.ingress.status());
    return [[...own, droppedLines(this.#log?.dropped ?? 0), ...(await this.#registry.getMetricsAsJSON())]];
  }

  async close(options: { readonly graceMs: number }): Promise<void> {
    await this.ingress.close(options);
    await this.#log?.flush();
  }
}

function droppedLines(value: number): MetricFamily {
  return {
    name: "holdfast_ingress_log_lines_dropped_total",
    help: "Lines of the log that were dropped because their reader was too slow.",
    type: "counter",
    aggregator: "sum",
    values: [{ labels: {}, value }],
  };
}
