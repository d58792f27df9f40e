import type { Finding, Severity, TextPosition } from "@holdfast/routing";

/** Everything that the lab itself may find in the manifests, and how grave it is. An error refuses the whole lab. */
export const LAB_FINDINGS = {
  /** Nobody said how to run the image. */
  IMAGE_UNKNOWN: "error",
  /** The manifests ask for more processes than a lab runs. */
  PODS_TOO_MANY: "error",
  /** A pod's second container and those after it do not run. */
  CONTAINER_NOT_RUN: "warning",
  /** The container's own command gives way to the built-in program. */
  COMMAND_NOT_USED: "warning",
  /** A variable comes from something that only a cluster has. */
  ENV_UNAVAILABLE: "warning",
  /** A command was given for an image that no Deployment has. */
  IMAGE_FLAG_NOT_USED: "warning",
  /** Nothing is behind a Service that an Ingress routes to. */
  SERVICE_WITHOUT_PODS: "warning",
  /** The lab gives a variable another value than the manifest does. */
  ENV_OVERRIDDEN: "info",
  /** The lab does a Deployment's work itself. */
  LAB_STANDS_IN: "info",
} as const satisfies Record<string, Severity>;

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
  return { code, severity: LAB_FINDINGS[code], ...about };
}
