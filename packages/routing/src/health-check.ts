import type { HealthCheck } from "./model.ts";

/** What ingress-gce sets up for a NEG when neither a readiness probe nor a BackendConfig says more. */
export const DEFAULT_HEALTH_CHECK: HealthCheck = {
  protocol: "HTTP",
  path: "/",
  port: "serving",
  intervalSec: 15,
  timeoutSec: 15,
  healthyThreshold: 1,
  unhealthyThreshold: 2,
  passing: "200",
  origin: "default",
};
