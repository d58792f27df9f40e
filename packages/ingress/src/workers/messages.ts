import type { BackendServiceId, Endpoint, RoutingModel } from "@holdfast/routing";
import type { ListenOptions, UnlistenOptions } from "../ingress.ts";
import type { DataPlaneSettings } from "./data-plane.ts";

/** What the primary process says to a worker. */
export type ToWorker =
  /** The first one. */
  | { readonly type: "start"; readonly settings: DataPlaneSettings; readonly graceMs: number }
  | { readonly type: "apply"; readonly model: RoutingModel }
  | {
      readonly type: "endpoints";
      readonly backendService: BackendServiceId;
      readonly endpoints: readonly Endpoint[];
    }
  | { readonly type: "listen"; readonly options: ListenOptions }
  | { readonly type: "unlisten"; readonly options: UnlistenOptions }
  | { readonly type: "close"; readonly graceMs: number }
  /** Answered with its snapshot. A worker that answers isn't stuck. */
  | { readonly type: "metrics" }
  /** Answered with the endpoint that gave the session id, if this worker saw it. */
  | { readonly type: "owner-of-session"; readonly backendService: BackendServiceId; readonly sid: string };

/** What a worker asks the primary process: as above, of all the other workers. */
export interface FromWorker {
  readonly type: "owner-of-session";
  readonly backendService: BackendServiceId;
  readonly sid: string;
}
