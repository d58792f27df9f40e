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

interface Base<Kind extends string> {
  readonly kind: Kind;
  /** As written in the manifest, such as `extensions/v1beta1`. */
  readonly apiVersion: string;
  readonly metadata: ObjectMeta;
  readonly source: ObjectSource;
}

interface WithSpec<Kind extends string, Spec> extends Base<Kind> {
  readonly spec: Spec;
}

export type Namespace = WithSpec<"Namespace", Record<string, never>>;
export type Deployment = WithSpec<"Deployment", DeploymentSpec>;
export type Service = WithSpec<"Service", ServiceSpec>;
export type BackendConfig = WithSpec<"BackendConfig", BackendConfigSpec>;
export type Ingress = WithSpec<"Ingress", IngressSpec>;
export type KubernetesObject =
  | Namespace
  | Deployment
  | Service
  | BackendConfig
  | Ingress
  | Secret
  | EndpointSlice;

/** A Secret, of which only what a TLS certificate needs is kept. Never to be printed. */
export interface Secret extends Base<"Secret"> {
  /** Such as `kubernetes.io/tls`. */
  readonly type: string;
  readonly data: {
    /** PEM: a certificate, and those that lead from it to a root. */
    readonly "tls.crt"?: string;
    /** PEM */
    readonly "tls.key"?: string;
  };
}

/** A part of a Service's endpoints (`discovery.k8s.io/v1`). Which Service: its label `kubernetes.io/service-name`. */
export interface EndpointSlice extends Base<"EndpointSlice"> {
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
}

export interface SlicePort {
  /** The Service port's name; empty for a port without one. */
  readonly name: string;
  /** Where the pods listen; absent: every port. */
  readonly port?: number;
}

export interface SliceEndpoint {
  /** Only the first one counts, as Kubernetes has it. */
  readonly addresses: readonly string[];
  /** Not said means ready. */
  readonly ready: boolean;
  readonly terminating: boolean;
  /** The pod's name. */
  readonly pod?: string;
}

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
  readonly readinessProbe?: ReadinessProbe;
}

/** How Kubernetes finds out whether a container takes requests; with Kubernetes' defaults. */
export interface ReadinessProbe {
  readonly action: ProbeAction;
  /** Seconds; default 10. */
  readonly periodSec: number;
  /** Seconds; default 1. */
  readonly timeoutSec: number;
  /** Default 1. */
  readonly successThreshold: number;
  /** Default 3. */
  readonly failureThreshold: number;
}

/** What a probe does. `other`: runs a program, or asks over gRPC; only the kubelet can. */
export type ProbeAction =
  | {
      readonly type: "http";
      readonly path: string;
      /** A port's number, or its name in the container. */
      readonly port: number | string;
      readonly scheme: "HTTP" | "HTTPS";
      /** Another host to ask than the pod. */
      readonly host?: string;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly type: "tcp"; readonly port: number | string; readonly host?: string }
  | { readonly type: "other" };

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
  /** Absent: what the cluster has, which is taken for IPv4. */
  readonly ipFamilies?: readonly ("IPv4" | "IPv6")[];
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  /** A containerPort's number or name; default: the same as `port`. */
  readonly targetPort: number | string;
  readonly protocol: "TCP" | "UDP" | "SCTP";
}

/** As written; GKE's own schema knows types only, so the values may be anything. */
export interface BackendConfigSpec {
  readonly sessionAffinity?: { readonly affinityType?: string; readonly affinityCookieTtlSec?: number };
  readonly timeoutSec?: number;
  readonly connectionDraining?: { readonly drainingTimeoutSec?: number };
  readonly healthCheck?: BackendConfigHealthCheck;
  /** `Name:value` each. */
  readonly customRequestHeaders?: { readonly headers?: readonly string[] };
  readonly customResponseHeaders?: { readonly headers?: readonly string[] };
  readonly iap?: { readonly enabled: boolean };
  readonly cdn?: { readonly enabled: boolean };
  readonly securityPolicy?: { readonly name: string };
  readonly logging?: { readonly enable?: boolean; readonly sampleRate?: number };
  /** Fields that this API version doesn't have, dotted, such as `sessionAffinity.type`: Kubernetes drops them. */
  readonly unknownFields?: readonly string[];
}

export interface BackendConfigHealthCheck {
  readonly checkIntervalSec?: number;
  readonly timeoutSec?: number;
  readonly healthyThreshold?: number;
  readonly unhealthyThreshold?: number;
  readonly type?: string;
  readonly port?: number;
  readonly requestPath?: string;
}

export interface IngressSpec {
  readonly ingressClassName?: string;
  readonly defaultBackend?: IngressBackend;
  readonly rules: readonly IngressRule[];
  readonly tls?: readonly IngressTls[];
}

export interface IngressTls {
  /** Name of a Secret in the Ingress's namespace. */
  readonly secretName?: string;
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
