import type { LabEvent } from "@holdfast/lab";
import type { Complaint } from "./complaint.ts";
import { type LabReady, type LabReport, urlOf } from "./lab-report.ts";
import { rulesOf } from "./lab-rules.ts";

/** `holdfast lab --json`: one JSON object a line, on standard output, each with a `type`. */
export function jsonReport(write: (line: string) => void, verbose: boolean): LabReport {
  const tell = (type: string, fields: object = {}): void => write(JSON.stringify({ type, ...fields }));
  return {
    mended: (mend) => tell("mend", mend),
    passedOver: (object) => tell("passed-over", object),
    complaint: (complaint) => tellComplaint(tell, complaint),
    event: (event) => tellEvent(tell, event, verbose),
    ready: (ready) => tell("ready", describeReady(ready)),
    closing: () => tell("closing"),
  };
}

type Tell = (type: string, fields?: object) => void;

function tellComplaint(tell: Tell, { severity, ...rest }: Complaint): void {
  if (severity === "error") tell("error", rest);
  else tell("finding", { severity, ...rest });
}

function tellEvent(tell: Tell, event: LabEvent, verbose: boolean): void {
  switch (event.type) {
    case "finding":
      tellComplaint(tell, event.finding);
      break;
    case "pod": {
      const { type, state, pod, ...rest } = event;
      const { name, ...status } = pod;
      tell(type, { state, pod: name, ...status, ...rest });
      break;
    }
    case "log":
      tell("log", { pod: event.pod, stream: event.stream, line: event.line });
      break;
    case "ingress":
      if (verbose) tell("ingress", { event: event.event });
      break;
  }
}

function describeReady({ lab, ms, brokerUrl }: LabReady): object {
  return {
    ms: Math.round(ms),
    loadBalancers: lab.listeners.map((listener) => ({
      name: listener.loadBalancer,
      url: urlOf(listener),
      rules: rulesOf(lab, listener.loadBalancer).map(({ host, path, backend, affinity, pods }) => ({
        host,
        path,
        service: `${backend.namespace}/${backend.service}:${backend.port}`,
        affinity,
        pods: pods.map(({ name }) => name),
      })),
    })),
    pods: lab.pods(),
    broker: { url: brokerUrl },
  };
}
