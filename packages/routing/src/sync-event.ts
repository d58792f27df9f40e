import type { Finding, FindingCode } from "./finding.ts";
import type { IngressTranslation } from "./ingress-translation.ts";

/** What Kubernetes would show as an Event, in the words of GKE's controller (ingress-gce `pkg/events`). */
export interface SyncEvent {
  /** Kind and `namespace/name` of the object that it is about. */
  readonly object: string;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** How an Ingress is served. */
export interface IngressStatus {
  /**
   * `served`: as its manifest says. `kept`: as it was before its manifest had an error. `refused`: not at all, for it
   * has an error and was never served.
   */
  readonly state: "served" | "kept" | "refused";
  /** What is wrong, as the Warning says it; absent when it is served. */
  readonly message?: string;
}

/** Where GKE's controller would find an error out, unless it is while it translates the Ingress. */
const PHASES: ReadonlyMap<FindingCode, "negs" | "backends" | "load balancer"> = new Map([
  ["GKE-D01", "backends"],
  ["GKE-H02", "backends"],
  ["GKE-H03", "backends"],
  ["GKE-L03", "load balancer"],
  ["GKE-L05", "load balancer"],
  ["GKE-N02", "negs"],
  ["GKE-N03", "negs"],
  ["GKE-N09", "negs"],
  ["GKE-R01", "backends"],
  ["GKE-T05", "backends"],
]);

/** Events of what doesn't keep an Ingress from being served. */
const WARNINGS: ReadonlyMap<FindingCode, string> = new Map([
  ["GKE-L01", "Sync"],
  ["GKE-L02", "Sync"],
  ["GKE-L06", "WillNotConfigureFrontend"],
]);

/** The events of one sync of an Ingress, in the order of GKE's controller, which stops at the first Warning of its own. */
export function eventsOf({ name, face, findings }: IngressTranslation): SyncEvent[] {
  if (face === undefined) return [];
  const object = `Ingress ${name}`;
  const events: SyncEvent[] = [{ object, type: "Normal", reason: "Sync", message: "Scheduled for sync" }];
  for (const one of findings) {
    // The NEG controller works by itself, and reports to the Service.
    if (phaseOf(one) !== "negs") continue;
    const service = one.object.replace(/^Service /, "");
    const message = `error processing service "${service}": ${one.message}`;
    events.push({ object: one.object, type: "Warning", reason: "ProcessServiceFailed", message });
  }
  const failure = failureOf(findings, face === "holdfast");
  if (failure !== undefined) return [...events, { object, type: "Warning", ...failure }];
  for (const { code, message } of findings) {
    const reason = WARNINGS.get(code);
    if (reason !== undefined) events.push({ object, type: "Warning", reason, message });
  }
  return events;
}

/** Why an Ingress is not served as it says; undefined when it is. */
export function failureOf(
  findings: readonly Finding[],
  holdfast: boolean,
): Pick<SyncEvent, "reason" | "message"> | undefined {
  const errors = findings.filter(({ severity }) => severity === "error");
  const [first] = errors;
  if (first === undefined) return undefined;
  const translation = errors.filter((one) => phaseOf(one) === "translation");
  if (translation.length > 0) {
    const message = `Translation failed: invalid ingress spec: ${joined(translation)}`;
    return { reason: "Translate", message };
  }
  const backends = errors.filter((one) => phaseOf(one) !== "load balancer");
  const routine = backends.length > 0 ? "backend syncing" : "load balancer syncing";
  const what = joined(backends.length > 0 ? backends : errors);
  const message = holdfast
    ? `Error syncing: ${what}`
    : `Error syncing to GCP: error running ${routine} routine: ${what}`;
  return { reason: "Sync", message };
}

function phaseOf({
  code,
  severity,
}: Finding): "translation" | "negs" | "backends" | "load balancer" | "none" {
  if (severity !== "error") return "none";
  return PHASES.get(code) ?? "translation";
}

function joined(errors: readonly Finding[]): string {
  return [...new Set(errors.map(({ message }) => message))].join("; ");
}
