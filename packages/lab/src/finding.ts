import type { Finding, Severity, TextPosition } from "@holdfast/routing";

interface LabFindingRow {
  readonly severity: Severity;
  readonly meaning: string;
  readonly fix: string;
}

/**
 * Everything that the lab itself may find in the manifests, as docs/findings.md lists it. An error refuses the whole
 * lab.
 */
export const LAB_FINDINGS = {
  IMAGE_UNKNOWN: {
    severity: "error",
    meaning: "Nobody said how to run the image.",
    fix: "Add `--image NAME=COMMAND`, or the annotation `holdfast.dev/command` to the pod template.",
  },
  PODS_TOO_MANY: {
    severity: "error",
    meaning: "The manifests ask for more pods than a lab runs (200).",
    fix: "Lower `replicas`, or run fewer Deployments.",
  },
  CONTAINER_NOT_RUN: {
    severity: "warning",
    meaning: "A pod has more than one container; only the first runs.",
    fix: "None needed if the pod works without the others.",
  },
  COMMAND_NOT_USED: {
    severity: "warning",
    meaning: "The image is built into the lab, which runs its own program and not the container's `command`.",
    fix: "None needed; `args` are passed on.",
  },
  ENV_UNAVAILABLE: {
    severity: "warning",
    meaning: "A variable comes from something that only a cluster has; it is left unset.",
    fix: "Write its value in the manifest, if the program needs it.",
  },
  IMAGE_FLAG_NOT_USED: {
    severity: "warning",
    meaning: "A command was given for an image that no Deployment has.",
    fix: "Correct the image's name in `--image`.",
  },
  SERVICE_WITHOUT_PODS: {
    severity: "warning",
    meaning: "An Ingress routes to a Service that selects no pod of these manifests; requests to it fail.",
    fix: "Add a Deployment whose pod template has the labels of `spec.selector`.",
  },
  ENV_OVERRIDDEN: {
    severity: "info",
    meaning: "The lab gives a variable another value than the manifest does.",
    fix: "None needed.",
  },
  LAB_STANDS_IN: {
    severity: "info",
    meaning: "The lab does a Deployment's work itself, so the Deployment isn't run.",
    fix: "None needed.",
  },
} as const satisfies Record<string, LabFindingRow>;

export type LabFindingCode = keyof typeof LAB_FINDINGS;

/** What a person should know about the manifests, found by the routing rules or by the lab. */
export interface LabFinding extends Partial<Pick<Finding, "fix" | "at">> {
  readonly code: Finding["code"] | LabFindingCode;
  readonly severity: Severity;
  /** Kind and `namespace/name`, such as `Deployment default/chat`. */
  readonly object: string;
  readonly message: string;
}

/** A finding of the lab's own, with its code's severity. */
export function labFinding(
  code: LabFindingCode,
  about: {
    readonly object: string;
    readonly message: string;
    readonly fix?: string;
    readonly at?: TextPosition;
  },
): LabFinding {
  return { code, severity: LAB_FINDINGS[code].severity, ...about };
}
