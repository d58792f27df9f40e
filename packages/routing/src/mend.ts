import { NEG_ANNOTATION, readNegAnnotation } from "./annotations.ts";
import { ingressClass } from "./ingress-class.ts";
import { type KubernetesObject, nameOf, type Service, type TextPosition } from "./objects.ts";

/** One change made in memory to what a manifest says; the file stays as it is. */
export interface Mend {
  /** Kind and `namespace/name`; absent where the text was mended before it was an object. */
  readonly object?: string;
  /** What was changed, as a sentence. */
  readonly what: string;
  readonly before: string;
  readonly after: string;
  readonly at: TextPosition;
}

const INGRESS_NEG = '{"ingress": true}';

/**
 * Makes the changes that are safe to make without asking: the NEG annotation of a Service that an Ingress uses, where
 * GKE would refuse it (`GKE-N01` of a ClusterIP Service, `GKE-N02`). Gives new objects; the ones given stay as
 * they are, and those without a mend are handed back themselves.
 */
export function mend(objects: readonly KubernetesObject[]): {
  readonly objects: readonly KubernetesObject[];
  readonly mends: readonly Mend[];
} {
  const used = usedServices(objects);
  const mends: Mend[] = [];
  const mended = objects.map((object) => {
    if (object.kind !== "Service" || !used.has(nameOf(object)) || !needsMend(object)) return object;
    mends.push({
      object: `Service ${nameOf(object)}`,
      what: `annotation ${NEG_ANNOTATION}: a NEG for the Ingress, with a generated name`,
      before: object.metadata.annotations[NEG_ANNOTATION] ?? "",
      after: INGRESS_NEG,
      at: object.source.locate(["metadata", "annotations", NEG_ANNOTATION]),
    });
    const annotations = { ...object.metadata.annotations, [NEG_ANNOTATION]: INGRESS_NEG };
    return { ...object, metadata: { ...object.metadata, annotations } };
  });
  return { objects: mended, mends };
}

function needsMend(service: Service): boolean {
  const neg = readNegAnnotation(service);
  if (neg.type !== "present") return false;
  if (!neg.ingress) return service.spec.type === "ClusterIP";
  return [...neg.exposedPorts.values()].some((name) => name !== "");
}

function usedServices(objects: readonly KubernetesObject[]): Set<string> {
  const used = new Set<string>();
  for (const object of objects) {
    if (object.kind !== "Ingress") continue;
    const found = ingressClass(object);
    if (found.type === "ignored" || found.face === "holdfast") continue;
    const { defaultBackend, rules } = object.spec;
    const backends = rules.flatMap(({ paths }) => paths ?? []).map(({ backend }) => backend);
    for (const { service } of defaultBackend === undefined ? backends : [...backends, defaultBackend]) {
      if (service !== undefined) used.add(`${object.metadata.namespace}/${service.name}`);
    }
  }
  return used;
}
