import type { TextPosition } from "./objects.ts";

/**
 * Something a reader of the manifests should know. `error`: GKE would refuse the object and stop its sync, so it
 * is never served; `warning`: it is served, and likely not as meant; `info`: worth knowing.
 */
export interface Finding {
  /** Stable, such as `GKE-N01`; listed in docs/findings.md. */
  readonly code: string;
  readonly severity: "error" | "warning" | "info";
  /** Kind and `namespace/name`, such as `Service default/web`. */
  readonly object: string;
  /** What is wrong, in GKE's own words where it has some. */
  readonly message: string;
  /** What to write instead. */
  readonly fix?: string;
  readonly at?: TextPosition;
}
