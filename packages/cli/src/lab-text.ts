import { formatEvent } from "@holdfast/ingress";
import type { Lab, LabEvent, PodExit, PodStatus } from "@holdfast/lab";
import { type Affinity, type BackendService, formatPosition, printable } from "@holdfast/routing";
import { formatComplaint } from "./complaint.ts";
import { type LabReady, type LabReport, urlOf } from "./lab-report.ts";
import { rulesOf } from "./lab-rules.ts";
import { readableLog } from "./readable-log.ts";
import type { Style } from "./style.ts";
import { formatTable } from "./table.ts";

/** Where the lines for people go: the report itself, and what is wrong. */
export interface TextStreams {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
  readonly outStyle: Style;
  readonly errStyle: Style;
}

/** `holdfast lab` for people. */
export function textReport(streams: TextStreams, verbose: boolean): LabReport {
  const { out, err, outStyle, errStyle } = streams;
  /** The pods that were said to be unhealthy, so that their recovery is told too. */
  const unhealthy = new Set<string>();
  return {
    mended: ({ at, what }) => out(`${outStyle("green", "mended")} ${formatPosition(at)} ${printable(what)}`),
    passedOver: ({ kind, name, at }) =>
      out(outStyle("dim", `passed over ${formatPosition(at)} ${kind} ${name}: the lab has no use for it`)),
    complaint: (complaint) => err(formatComplaint(complaint, errStyle)),
    event: (event) => {
      const recovered = event.type === "pod" && event.state === "ready" && unhealthy.delete(event.pod.name);
      if (event.type === "pod" && event.state === "unhealthy") unhealthy.add(event.pod.name);
      tellEvent(event, streams, verbose, recovered);
    },
    ready: (ready) => {
      for (const line of describeReady(ready, outStyle)) out(line);
    },
    closing: () => out("Ending all pods."),
  };
}

function tellEvent(
  event: LabEvent,
  { out, err, outStyle, errStyle }: TextStreams,
  verbose: boolean,
  recovered: boolean,
): void {
  switch (event.type) {
    case "finding":
      if (event.finding.severity === "info") out(formatComplaint(event.finding, outStyle));
      else err(formatComplaint(event.finding, errStyle));
      break;
    case "log":
      out(
        `${outStyle("cyan", event.pod)} ${outStyle("dim", "|")} ${verbose ? event.line : readableLog(event.line)}`,
      );
      break;
    case "ingress":
      if (verbose) out(outStyle("dim", formatEvent(event.event)));
      break;
    case "pod": {
      const line = describePod(event, verbose, recovered);
      if (line !== undefined) out(`${outStyle("cyan", event.pod.name)} ${outStyle("yellow", line)}`);
      break;
    }
  }
}

/** What a person wants to know of a pod. How it first got up is told by the table. */
function describePod(
  event: LabEvent & { readonly type: "pod" },
  verbose: boolean,
  recovered: boolean,
): string | undefined {
  const { pid, restarts } = event.pod;
  switch (event.state) {
    case "started":
      return verbose ? `started (pid ${pid})` : undefined;
    case "ready":
      if (restarts > 0 || recovered) return `is ready again (pid ${pid})`;
      return verbose ? `is ready (pid ${pid})` : undefined;
    case "unhealthy":
      return `is unhealthy, so ${event.pod.unhealthy?.backendService} sends it no requests: ${whyUnhealthy(event.pod)}`;
    case "late":
      return `is not ready after ${event.waitedMs / 1000} s: nothing listens on ${event.pod.address}:${event.pod.port}`;
    case "exited":
      if (event.restartInMs === undefined) return undefined;
      return `${describeExit(event.exit)}; starts again in ${event.restartInMs / 1000} s`;
  }
}

function whyUnhealthy({ unhealthy }: PodStatus): string {
  return printable(unhealthy?.cause ?? "its health check has no answer yet");
}

function describeExit({ code, signal, failure }: PodExit): string {
  if (failure !== undefined) return `could not be started: ${failure}`;
  return signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
}

function describeReady({ lab, ms }: LabReady, style: Style): string[] {
  const lines: string[] = [];
  for (const listener of lab.listeners) {
    const rules = rulesOf(lab, listener.loadBalancer);
    lines.push(
      "",
      `${style("bold", `Ingress ${listener.loadBalancer}`)}  ${style("underline", urlOf(listener))}`,
    );
    const rows = rules.map(({ host, path, backend, affinity, pods }) => [
      host,
      path,
      serviceOf(backend),
      describeAffinity(affinity),
      `${pods.filter(({ ready }) => ready).length} of ${pods.length} ready`,
    ]);
    lines.push(...indent(formatTable(["HOST", "PATH", "SERVICE", "AFFINITY", "PODS"], rows)));
  }
  const pods = lab.pods();
  if (pods.length > 0) {
    const rows = pods.map((pod) => describeStatus(pod, servicesOf(lab, pod)));
    lines.push("", ...formatTable(["POD", "SERVICE", "ADDRESS", "PID", "STATE"], rows));
  }
  const [first] = lab.listeners;
  const open = first ? ` Open ${urlOf(first)}` : " No Ingress: nothing to open.";
  const late = pods.filter(({ ready }) => !ready).length;
  const seconds = `${(ms / 1000).toFixed(1)} s`;
  const state =
    late === 0 ? `Ready in ${seconds}.` : `After ${seconds} ${late} of ${pods.length} pods are not ready.`;
  return [...lines, "", style("bold", state + open)];
}

function describeStatus(pod: PodStatus, services: string): string[] {
  const { name, address, port, pid, ready, unhealthy } = pod;
  return [
    name,
    services,
    `${address}:${port}`,
    pid === undefined ? "-" : String(pid),
    ready ? "ready" : unhealthy ? `unhealthy: ${whyUnhealthy(pod)}` : "not ready",
  ];
}

/** The backend services that a pod is behind. */
function servicesOf(lab: Lab, pod: PodStatus): string {
  const services = [...lab.model.backendServices.values()].filter((backend) =>
    lab.podsOf(backend).some(({ name, namespace }) => name === pod.name && namespace === pod.namespace),
  );
  return [...new Set(services.map(serviceOf))].join(", ") || "-";
}

function serviceOf({ namespace, service, port }: BackendService): string {
  return `${namespace}/${service}:${port}`;
}

/** 0 seconds is a cookie for as long as the browser's session. */
function describeAffinity(affinity: Affinity): string {
  if (affinity.type === "NONE" || affinity.type === "CLIENT_IP") return affinity.type;
  const { ttlSec } = affinity.type === "PINNED_COOKIE" ? affinity.cookie : affinity;
  return `${affinity.type} ${ttlSec === 0 ? "(session)" : `(${ttlSec} s)`}`;
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
