import type { Face } from "@holdfast/routing";
import type { Backend } from "../backend.ts";
import type { IngressEvent } from "../events.ts";
import type { ResolvedOptions } from "../options.ts";
import type { Clock } from "./clock.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";
import type { UpstreamPool } from "./upstream-pool.ts";

/** What all connections of a listener share. */
export interface RelayContext {
  readonly loadBalancer: string;
  /** Whether the listener's connections are of TLS. */
  readonly tls: boolean;
  readonly options: ResolvedOptions;
  readonly clock: Clock;
  readonly pool: UpstreamPool;
  /** Upgraded connections that are open or being opened, of all listeners. */
  readonly upgrades: { open: number };
  readonly trustedProxies: TrustedProxies;
  readonly onEvent: (event: IngressEvent) => void;
  /** The backend of a request by the routing model of this moment. */
  readonly route: (hostname: string, path: string) => Backend | undefined;
  /** Whose ways the load balancer has, by the model of this moment. */
  readonly face: () => Face;
  /** Nothing new is begun any more. */
  closing: boolean;
}
