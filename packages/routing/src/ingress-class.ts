import type { Face } from "./model.ts";
import type { Ingress } from "./objects.ts";

/** The annotation that GKE reads; it does not read `spec.ingressClassName`. */
export const CLASS_ANNOTATION = "kubernetes.io/ingress.class";

/** Our own class, by annotation or by `spec.ingressClassName`. */
export const HOLDFAST_CLASS = "holdfast";

/** Which Ingresses are taken, and with whose ways. */
export type IngressClass =
  | { readonly type: "taken"; readonly name: string; readonly face: Face }
  | { readonly type: "ignored"; readonly by: "annotation" | "field"; readonly name: string };

const FACES: ReadonlyMap<string, Face> = new Map([
  ["gce", "gce"],
  ["gce-internal", "gce-envoy"],
  ["gce-regional-external", "gce-envoy"],
  [HOLDFAST_CLASS, "holdfast"],
]);

/**
 * The class of an Ingress, as GKE's controller sees it (ingress-gce `pkg/utils/utils.go` `IsGCEIngress`): the
 * annotation decides, letter by letter; without one the Ingress is GKE's only if it has no `ingressClassName` at all.
 * The class `holdfast` may be named by the field too.
 */
export function ingressClass(ingress: Ingress): IngressClass {
  const annotation = ingress.metadata.annotations[CLASS_ANNOTATION] ?? "";
  const field = ingress.spec.ingressClassName;
  if (annotation !== "") {
    const face = FACES.get(annotation);
    if (face === undefined) return { type: "ignored", by: "annotation", name: annotation };
    return { type: "taken", name: annotation, face };
  }
  if (field === undefined) return { type: "taken", name: "gce", face: "gce" };
  if (field === HOLDFAST_CLASS) return { type: "taken", name: field, face: "holdfast" };
  return { type: "ignored", by: "field", name: field };
}
