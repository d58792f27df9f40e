import type { LabFinding } from "./finding.ts";

/** Every error of this package. The text says what went wrong; `LabError.message` says where and what to do. */
export const LAB_ERRORS = {
  /** An option of `startLab` has a wrong type, a value out of range, or a name that is not known. */
  OPTION_INVALID: "An option is not valid",
  /** The manifests can't be run as they are; `findings` says why, and nothing was started. */
  MANIFESTS_REFUSED: "The manifests can't be run",
  /** Another process listens on a port that a load balancer needs. */
  PORT_IN_USE: "The port is in use",
  /** The lab can't listen on the host or port asked for. */
  LISTEN_FAILED: "The lab can't listen",
  /** No address or port of this machine is left for a pod. */
  POD_ADDRESS_MISSING: "There is no address for a pod",
  /** The lab was closed before it was ready. */
  LAB_CLOSED: "The lab was closed",
} as const;

export type LabErrorCode = keyof typeof LAB_ERRORS;

export interface LabErrorOptions extends ErrorOptions {
  readonly findings?: readonly LabFinding[];
  readonly fix?: string;
}

/** An error with a stable code. None is retryable as it stands: something has to be changed first. */
export class LabError extends Error {
  override readonly name = "LabError";
  readonly code: LabErrorCode;
  readonly retryable = false;
  /** What was found in the manifests, for `MANIFESTS_REFUSED`; each with its place and fix where it has one. */
  readonly findings: readonly LabFinding[];
  /** What to do about it. */
  readonly fix: string | undefined;

  constructor(code: LabErrorCode, detail: string, options: LabErrorOptions = {}) {
    super(`${LAB_ERRORS[code]}: ${detail}`, options);
    this.code = code;
    this.findings = options.findings ?? [];
    this.fix = options.fix;
  }
}
