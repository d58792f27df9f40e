import type { BackendServiceId, Endpoint, RoutingModel } from "@holdfast/routing";
import type { ListenOptions, UnlistenOptions } from "../ingress.ts";
import type { IngressOptions } from "../options.ts";
import type { LogFormat } from "./log-writer.ts";

/** What serves: an ingress in this process, or in several worker processes that share every address. */
export interface DataPlane {
  /** As `Ingress.apply`. @throws IngressError `MODEL_INVALID` */
  apply(model: RoutingModel): void;
  /** As `Ingress.setEndpoints`. @throws IngressError `BACKEND_SERVICE_UNKNOWN`, `ENDPOINT_INVALID`, `ENDPOINTS_TOO_MANY` */
  setEndpoints(backendService: BackendServiceId, endpoints: readonly Endpoint[]): void;
  /** As `Ingress.listen`. */
  listen(options: ListenOptions): Promise<{ host: string; port: number }>;
  /** As `Ingress.unlisten`. */
  unlisten(options: UnlistenOptions): Promise<void>;
  /** What each process has counted, for `metricsText`. */
  metrics(): Promise<readonly (readonly object[])[]>;
  /** As `Ingress.close`. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

export interface DataPlaneSettings {
  /** Of every process' ingress; what is a function can't be sent to one. */
  readonly ingress: Omit<IngressOptions, "onEvent" | "askOthers">;
  /** How events are written to standard output. */
  readonly log: LogFormat;
}
