import type { ProbeAction, ReadinessProbe } from "@holdfast/routing";
import { anyWholeNumber, fields, list, oneOf, optional, portOrName, string } from "./field.ts";

const httpGet = fields({
  path: optional(string),
  port: portOrName,
  scheme: optional(oneOf(["HTTP", "HTTPS"])),
  host: optional(string),
  httpHeaders: list(fields({ name: string, value: string })),
}).transform(
  ({ path, port, scheme, host, httpHeaders }): ProbeAction => ({
    type: "http",
    path: path || "/",
    port,
    scheme: scheme ?? "HTTP",
    ...(host === undefined || host === "" ? {} : { host }),
    headers: httpHeaders,
  }),
);

const tcpSocket = fields({ port: portOrName, host: optional(string) }).transform(
  ({ port, host }): ProbeAction => ({
    type: "tcp",
    port,
    ...(host === undefined || host === "" ? {} : { host }),
  }),
);

/** A container's readiness probe; Kubernetes takes 0 for "not set". */
export const readinessProbe = fields({
  httpGet: optional(httpGet),
  tcpSocket: optional(tcpSocket),
  periodSeconds: optional(anyWholeNumber()),
  timeoutSeconds: optional(anyWholeNumber()),
  successThreshold: optional(anyWholeNumber()),
  failureThreshold: optional(anyWholeNumber()),
}).transform(
  (probe): ReadinessProbe => ({
    action: probe.httpGet ?? probe.tcpSocket ?? { type: "other" },
    periodSec: probe.periodSeconds || 10,
    timeoutSec: probe.timeoutSeconds || 1,
    successThreshold: probe.successThreshold || 1,
    failureThreshold: probe.failureThreshold || 3,
  }),
);
