/**
 * Kubernetes objects as the rest of Holdfast sees them: only the fields that it uses, in their v1 shape, whatever
 * version the manifest was written in. Whoever reads objects (files, a cluster's watch) validates and normalises;
 * from here on they are trusted to have these types, and never changed.
 */

/** A place in a text: 1-based, as editors count. */
export interface TextPosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Where an object was read, so that a finding can point at the very field. */
export interface ObjectSource {
  readonly file: string;
  /** The object's first line, 1-based. */
  readonly line: number;
  /** The position of the value at `path` (of its nearest existing parent when the field is absent). */
  locate(path: readonly (string | number)[]): TextPosition;
}

/** `file:line:column`, as editors and terminals understand it; what is not known is left out. */
export function formatPosition(at: {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}): string {
  if (at.line === undefined) return at.file;
  return at.column === undefined ? `${at.file}:${at.line}` : `${at.file}:${at.line}:${at.column}`;
}

export interface ObjectMeta {
  readonly name: string;
  /** `default` where the manifest names none; empty for a Namespace, which lives in no namespace. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** `namespace/name`, by which objects of a kind refer to each other. */
export function nameOf(object: { readonly metadata: ObjectMeta }): string {
  return `${object.metadata.namespace}/${object.metadata.name}`;
}

interface Base<Kind extends string, Spec> {
  readonly kind: Kind;
  /** As written in the manifest, such as `extensions/v1beta1`. */
  readonly apiVersion: string;
  readonly metadata: ObjectMeta;
  readonly spec: Spec;
  readonly source: ObjectSource;
}

export type Namespace = Base<"Namespace", Record<string, never>>;
export type Deployment = Base<"Deployment", DeploymentSpec>;
export type Service = Base<"Service", ServiceSpec>;
export type BackendConfig = Base<"BackendConfig", BackendConfigSpec>;
export type Ingress = Base<"Ingress", IngressSpec>;
export type KubernetesObject = Namespace | Deployment | Service | BackendConfig | Ingress;

export interface DeploymentSpec {
  /** Default 1, as in Kubernetes. */
  readonly replicas: number;
  readonly selector: Readonly<Record<string, string>>;
  readonly template: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
    readonly serviceAccountName?: string;
    /** Seconds; default 30. */
    readonly terminationGracePeriodSeconds: number;
    readonly containers: readonly Container[];
  };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly ports: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly env: readonly EnvVar[];
}

/**
 * A container's environment variable: a literal, a downward-API field, or a source that lives outside the manifests.
 * `from` is `name/key` of the Secret or ConfigMap, or the resource's name. An `envFrom` is a reference whose name is
 * its prefix and `*`, and whose `from` has no key: it stands for every key of its source.
 */
export type EnvVar =
  | { readonly type: "value"; readonly name: string; readonly value: string }
  | { readonly type: "field"; readonly name: string; readonly fieldPath: string }
  | {
      readonly type: "reference";
      readonly name: string;
      readonly kind: "Secret" | "ConfigMap" | "resource";
      readonly from: string;
    };

export interface ServiceSpec {
  readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly ServicePort[];
  /** Read only by L4 balancers; no effect behind a GKE Ingress. */
  readonly sessionAffinity?: string;
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  /** A containerPort's number or name; default: the same as `port`. */
  readonly targetPort: number | string;
  readonly protocol: "TCP" | "UDP" | "SCTP";
}

export interface BackendConfigSpec {
  readonly sessionAffinity?: { readonly affinityType?: string; readonly affinityCookieTtlSec?: number };
  readonly timeoutSec?: number;
  readonly connectionDraining?: { readonly drainingTimeoutSec?: number };
}

export interface IngressSpec {
  readonly ingressClassName?: string;
  readonly defaultBackend?: IngressBackend;
  readonly rules: readonly IngressRule[];
}

export interface IngressRule {
  readonly host?: string;
  /** Absent where the rule has no `http`. */
  readonly paths?: readonly IngressPath[];
}

export interface IngressPath {
  readonly path?: string;
  readonly pathType?: string;
  readonly backend: IngressBackend;
}

/** `service` is absent where the manifest names a `resource` backend. */
export interface IngressBackend {
  readonly service?: {
    readonly name: string;
    readonly port: { readonly name?: string; readonly number?: number };
  };
}
