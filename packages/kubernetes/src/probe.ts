import type { ProbeAction, ReadinessProbe } from "@holdfast/routing";
import { fields, list, oneOf, optional, portOrName, string, wholeNumber } from "./field.ts";

const count = optional(wholeNumber(0, 2 ** 31 - 1, "a whole number from 0"));

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
  periodSeconds: count,
  timeoutSeconds: count,
  successThreshold: count,
  failureThreshold: count,
}).transform(
  (probe): ReadinessProbe => ({
    action: probe.httpGet ?? probe.tcpSocket ?? { type: "other" },
    periodSec: probe.periodSeconds || 10,
    timeoutSec: probe.timeoutSeconds || 1,
    successThreshold: probe.successThreshold || 1,
    failureThreshold: probe.failureThreshold || 3,
  }),
);
