export { eventJson, formatEvent } from "./access-log.ts";
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
export type { ListenOptions } from "./ingress.ts";
export { Ingress } from "./ingress.ts";
export type { IngressOptions } from "./options.ts";
