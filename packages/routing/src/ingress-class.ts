import type { Ingress } from "./objects.ts";

/** The annotation that GKE reads; it does not read `spec.ingressClassName`. */
export const CLASS_ANNOTATION = "kubernetes.io/ingress.class";

/**
 * Whether GKE's controller takes an Ingress (ingress-gce `pkg/utils/utils.go` `IsGCEIngress`): the class annotation
 * decides, letter by letter; without one the Ingress is taken only if it has no `ingressClassName` at all.
 * `envoy`: a class of GKE's Envoy balancers.
 */
export type IngressClass =
  | { readonly type: "gce" }
  | { readonly type: "envoy"; readonly name: string }
  | { readonly type: "ignored"; readonly by: "annotation" | "field"; readonly name: string };

export function ingressClass(ingress: Ingress): IngressClass {
  const annotation = ingress.metadata.annotations[CLASS_ANNOTATION] ?? "";
  const field = ingress.spec.ingressClassName;
  if (annotation === "gce") return { type: "gce" };
  if (annotation === "gce-internal" || annotation === "gce-regional-external") {
    return { type: "envoy", name: annotation };
  }
  if (annotation !== "") return { type: "ignored", by: "annotation", name: annotation };
  if (field !== undefined) return { type: "ignored", by: "field", name: field };
  return { type: "gce" };
}
