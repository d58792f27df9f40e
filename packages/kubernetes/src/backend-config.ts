import type { BackendConfigSpec } from "@holdfast/routing";
import { anyWholeNumber, fields, optional, string } from "./field.ts";

/**
 * The spec of a BackendConfig, `cloud.google.com/v1` and `v1beta1` alike. Types only: as with GKE's own schema, a
 * wrong value is found where it is used.
 */
export const backendConfigSpec = optional(
  fields({
    sessionAffinity: optional(
      fields({ affinityType: optional(string), affinityCookieTtlSec: optional(anyWholeNumber()) }).transform(
        present,
      ),
    ),
    timeoutSec: optional(anyWholeNumber()),
    connectionDraining: optional(
      fields({ drainingTimeoutSec: optional(anyWholeNumber()) }).transform(present),
    ),
  }).transform(present),
).transform((value): BackendConfigSpec => value ?? {});

/** The object without its undefined fields. */
function present<Value extends object>(
  value: Value,
): { [Key in keyof Value]?: Exclude<Value[Key], undefined> } {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof Value]?: Exclude<Value[Key], undefined> };
}
