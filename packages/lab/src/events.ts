import type { IngressEvent } from "@holdfast/ingress";
import type { LabFinding } from "./finding.ts";
import type { PodStatus } from "./pod.ts";
import type { PodExit } from "./pod-process.ts";

/** What happens in a lab, in the order it happens. */
export type LabEvent =
  /** About the manifests: never an error, for those refuse the lab as a whole. */
  | { readonly type: "finding"; readonly finding: LabFinding }
  /** `unhealthy`: it accepts connections, but a balancer's health check fails, so that one sends it no requests. */
  | { readonly type: "pod"; readonly state: "started" | "ready" | "unhealthy"; readonly pod: PodStatus }
  /** The program ended; it is started again in `restartInMs`, or no more where that is absent. */
  | {
      readonly type: "pod";
      readonly state: "exited";
      readonly pod: PodStatus;
      readonly exit: PodExit;
      readonly restartInMs?: number;
    }
  /** The time for getting ready is over and nothing listens on this pod's port; it runs on. */
  | { readonly type: "pod"; readonly state: "late"; readonly pod: PodStatus; readonly waitedMs: number }
  /** A line that a pod's program wrote. */
  | {
      readonly type: "log";
      readonly pod: string;
      readonly stream: "stdout" | "stderr";
      readonly line: string;
    }
  | { readonly type: "ingress"; readonly event: IngressEvent };
