import type { BackendServiceId } from "@holdfast/routing";

/** What an ingress has open at a moment. */
export interface IngressStatus {
  readonly listeners: readonly ListenerStatus[];
  readonly endpoints: readonly EndpointStatus[];
  /** Upgraded connections that are open or being opened. */
  readonly upgrades: number;
  /** Connections to endpoints that are open or being opened, idle ones included. */
  readonly upstreamConnections: number;
}

export interface ListenerStatus {
  readonly loadBalancer: string;
  readonly tls: boolean;
  /** Client connections that are open. */
  readonly open: number;
  /** Client connections that were accepted, ever. */
  readonly accepted: number;
}

export interface EndpointStatus {
  readonly backendService: BackendServiceId;
  readonly pod: string;
  /** ip:port */
  readonly endpoint: string;
  readonly healthy: boolean;
  /** Passed over for now. */
  readonly down: boolean;
  /** Requests and upgraded connections that are open on it. */
  readonly open: number;
}
