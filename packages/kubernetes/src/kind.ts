import type { KubernetesObject, ObjectSource } from "@holdfast/routing";
import { z } from "zod";
import { backendConfigSpec } from "./backend-config.ts";
import { deploymentSpec } from "./deployment.ts";
import { endpointSlice } from "./endpoint-slice.ts";
import { fields } from "./field.ts";
import { ingressSpecV1, ingressSpecV1beta1, pathInV1beta1 } from "./ingress.ts";
import { clusterMetadata, metadata } from "./metadata.ts";
import { secret } from "./secret.ts";
import { serviceSpec } from "./service.ts";

/** How one kind is read in one API version. */
export interface KindReader {
  /** The object, in its v1 shape, or what is wrong with its fields. */
  read(
    apiVersion: string,
    value: unknown,
    source: ObjectSource,
  ):
    | { readonly ok: true; readonly object: KubernetesObject }
    | { readonly ok: false; readonly error: z.ZodError };
  /** What it holds is never shown, not even what is wrong with it. */
  readonly confidential?: boolean;
  /** Where a field of the v1 shape is written in a manifest of this version. */
  written?(path: readonly (string | number)[]): (string | number)[];
}

function reader(
  kind: KubernetesObject["kind"],
  schema: z.ZodType<object>,
  how: Omit<KindReader, "read"> = {},
): KindReader {
  return {
    read(apiVersion, value, source) {
      const result = schema.safeParse(value);
      if (!result.success) return { ok: false, error: result.error };
      // The table below pairs each kind with its own schema, which the compiler can't follow through a generic.
      const object = { kind, apiVersion, ...result.data, source } as unknown as KubernetesObject;
      return { ok: true, object };
    },
    ...how,
  };
}

const anySpec = z
  .unknown()
  .optional()
  .transform(() => ({}));
const ingressV1beta1 = reader("Ingress", fields({ metadata, spec: ingressSpecV1beta1 }), {
  written: pathInV1beta1,
});

/** The kinds that are read, and in which API versions. */
const KINDS: Readonly<Record<string, Readonly<Record<string, KindReader>>>> = {
  Namespace: { v1: reader("Namespace", fields({ metadata: clusterMetadata, spec: anySpec })) },
  Deployment: { "apps/v1": reader("Deployment", fields({ metadata, spec: deploymentSpec })) },
  Service: { v1: reader("Service", fields({ metadata, spec: serviceSpec })) },
  Secret: { v1: reader("Secret", secret, { confidential: true }) },
  EndpointSlice: { "discovery.k8s.io/v1": reader("EndpointSlice", endpointSlice) },
  BackendConfig: {
    "cloud.google.com/v1": reader("BackendConfig", fields({ metadata, spec: backendConfigSpec("v1") })),
    "cloud.google.com/v1beta1": reader(
      "BackendConfig",
      fields({ metadata, spec: backendConfigSpec("v1beta1") }),
    ),
  },
  Ingress: {
    "networking.k8s.io/v1": reader("Ingress", fields({ metadata, spec: ingressSpecV1 })),
    "networking.k8s.io/v1beta1": ingressV1beta1,
    "extensions/v1beta1": ingressV1beta1,
  },
};

/**
 * How to read a kind. `other`: a kind of no concern here; that includes kinds of the same name in a group that is
 * not Kubernetes' own, such as Knative's Service.
 */
export type FoundKind =
  | { readonly type: "known"; readonly reader: KindReader }
  | { readonly type: "version"; readonly supported: readonly string[] }
  | { readonly type: "other" };

export function findKind(kind: string, apiVersion: string): FoundKind {
  const versions = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (versions === undefined) return { type: "other" };
  const reader = Object.hasOwn(versions, apiVersion) ? versions[apiVersion] : undefined;
  if (reader !== undefined) return { type: "known", reader };
  const supported = Object.keys(versions);
  const group = groupOf(apiVersion);
  const ours =
    !group.includes(".") || group.endsWith(".k8s.io") || supported.some((one) => groupOf(one) === group);
  return ours ? { type: "version", supported } : { type: "other" };
}

function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf("/");
  return slash === -1 ? "" : apiVersion.slice(0, slash);
}
