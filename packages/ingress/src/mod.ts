export { eventJson, formatEvent } from "./access-log.ts";
export type { AdminServerOptions, Readiness } from "./admin/admin-server.ts";
export { AdminServer } from "./admin/admin-server.ts";
export { metricsText } from "./admin/metric-family.ts";
export type { CookieKey } from "./affinity/cookie-keys.ts";
export { randomCookieKey } from "./affinity/cookie-keys.ts";
export { nodeToken } from "./affinity/session-id.ts";
export type { AskOthers } from "./affinity/session-search.ts";
export type { EndpointHealthStatus, HealthMonitorOptions } from "./endpoints/health-monitor.ts";
export { HealthMonitor } from "./endpoints/health-monitor.ts";
export type { IngressErrorCode } from "./errors.ts";
export { IngressError } from "./errors.ts";
export type {
  EndpointDownEvent,
  EndpointHealthyEvent,
  EndpointUnhealthyEvent,
  EndpointUpEvent,
  IngressEvent,
  Outcome,
  Reason,
  RefusedEvent,
  RequestEvent,
  UpgradeClosedEvent,
} from "./events.ts";
export type { ListenOptions, UnlistenOptions } from "./ingress.ts";
export { Ingress } from "./ingress.ts";
export type { IngressOptions } from "./options.ts";
export type { EndpointStatus, IngressStatus, ListenerStatus } from "./status.ts";
export type { DataPlane, DataPlaneSettings } from "./workers/data-plane.ts";
export { LocalDataPlane } from "./workers/local-data-plane.ts";
export type { LogFormat } from "./workers/log-writer.ts";
export type { WorkerExitedEvent, WorkerFleetOptions } from "./workers/worker-fleet.ts";
export { WorkerFleet } from "./workers/worker-fleet.ts";
