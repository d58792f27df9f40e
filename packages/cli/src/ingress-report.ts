import { eventJson, formatEvent, type IngressEvent, type WorkerExitedEvent } from "@holdfast/ingress";
import { printable, type SyncEvent } from "@holdfast/routing";
import { type Complaint, formatComplaint } from "./complaint.ts";
import { urlOf } from "./lab-report.ts";
import type { TextStreams } from "./lab-text.ts";
import { formatTable } from "./table.ts";

/** An address of a load balancer. */
export interface OpenAddress {
  readonly loadBalancer: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** What is served since the manifests were read last. */
export interface Served {
  readonly addresses: readonly OpenAddress[];
  readonly loadBalancers: number;
  readonly backendServices: number;
  readonly endpoints: number;
  /** Ingresses that have an error, and are served as they were before. */
  readonly kept: readonly string[];
}

/** What `holdfast ingress` tells; once for people and once for programs. */
export interface IngressReport {
  complaint(complaint: Complaint): void;
  /** What GKE's controller would say of an object. */
  synced(event: SyncEvent): void;
  /** Of the health checks; what requests do is in the log. */
  event(event: IngressEvent): void;
  workerExited(event: WorkerExitedEvent): void;
  ready(ready: {
    readonly ms: number;
    readonly workers: number;
    readonly admin: { host: string; port: number };
  }): void;
  served(served: Served): void;
  /** The manifests can't be read, and everything is served on as before. */
  kept(): void;
  closing(graceMs: number): void;
}

/** `holdfast ingress` for people: what is wrong on standard error, so that standard output is the log alone. */
export function textIngressReport({ err, errStyle }: Pick<TextStreams, "err" | "errStyle">): IngressReport {
  return {
    complaint: (complaint) => err(formatComplaint(complaint, errStyle)),
    synced: ({ object, type, reason, message }) => {
      if (type === "Warning") err(errStyle("yellow", `${object}: ${type} ${reason}: ${printable(message)}`));
    },
    event: (event) => err(formatEvent(event)),
    workerExited: (event) => err(errStyle("yellow", describeExit(event))),
    served: ({ addresses, loadBalancers, backendServices, endpoints, kept }) => {
      const rows = addresses.map((address) => [address.loadBalancer, httpUrlOf(address)]);
      for (const line of formatTable(["INGRESS", "ADDRESS"], rows)) err(line);
      const counts = [
        counted(loadBalancers, "Ingress", "Ingresses"),
        counted(backendServices, "backend service", "backend services"),
        counted(endpoints, "endpoint", "endpoints"),
      ];
      err(`Serving ${counts.join(", ")}.`);
      for (const name of kept) err(errStyle("yellow", `Ingress ${name} is served as it was before.`));
    },
    ready: ({ ms, workers, admin }) => {
      const processes = workers === 1 ? "one process" : `${workers} workers`;
      err(
        errStyle(
          "bold",
          `Ready in ${(ms / 1000).toFixed(1)} s: ${processes}; ${urlOf(admin)}/metrics, /readyz`,
        ),
      );
    },
    kept: () => err(errStyle("yellow", "Everything is served on as before.")),
    closing: (graceMs) => err(`Draining, for ${graceMs / 1000} s at most.`),
  };
}

/** `holdfast ingress --json`: one JSON object a line, each with a `type`. */
export function jsonIngressReport(write: (line: string) => void): IngressReport {
  const tell = (type: string, fields: object = {}): void => write(JSON.stringify({ type, ...fields }));
  return {
    complaint: ({ severity, ...rest }) =>
      severity === "error" ? tell("error", rest) : tell("finding", { severity, ...rest }),
    synced: ({ type, ...rest }) => tell("kubernetes-event", { eventType: type, ...rest }),
    event: (event) => write(eventJson(event)),
    workerExited: (event) => tell(event.type, event),
    served: ({ addresses, ...counts }) =>
      tell("served", {
        ...counts,
        addresses: addresses.map((address) => ({ ...address, url: httpUrlOf(address) })),
      }),
    ready: ({ ms, workers, admin }) => tell("ready", { ms: Math.round(ms), workers, admin: urlOf(admin) }),
    kept: () => tell("kept"),
    closing: (graceMs) => tell("closing", { graceMs }),
  };
}

function httpUrlOf(address: OpenAddress): string {
  return address.tls ? urlOf(address).replace("http:", "https:") : urlOf(address);
}

function describeExit({ pid, code, signal, restartInMs }: WorkerExitedEvent): string {
  const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  return `worker ${pid ?? ""} ${how}; starts again in ${restartInMs / 1000} s`;
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
