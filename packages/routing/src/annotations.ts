import type { Service } from "./objects.ts";

export const NEG_ANNOTATION = "cloud.google.com/neg";
export const BACKEND_CONFIG_ANNOTATION = "cloud.google.com/backend-config";
export const BETA_BACKEND_CONFIG_ANNOTATION = "beta.cloud.google.com/backend-config";
const ALPHA_APP_PROTOCOLS_ANNOTATION = "service.alpha.kubernetes.io/app-protocols";
const APP_PROTOCOLS_ANNOTATION = "cloud.google.com/app-protocols";

/** What a Service says about its NEGs. `invalid` counts as none in GKE's translator, without a word. */
export type NegAnnotation =
  | { readonly type: "absent" }
  | { readonly type: "invalid" }
  | {
      readonly type: "present";
      readonly ingress: boolean;
      /** Service port, and the name given to its NEG (empty: a generated one). */
      readonly exposedPorts: ReadonlyMap<number, string>;
    };

/** Which BackendConfigs a Service names; `key` is the annotation that was read. */
export type BackendConfigAnnotation =
  | { readonly type: "absent" }
  | { readonly type: "invalid"; readonly key: string; readonly message: string }
  | {
      readonly type: "present";
      readonly key: string;
      readonly default: string;
      /** By the name or the number of the Service's port. */
      readonly ports: ReadonlyMap<string, string>;
    };

export type AppProtocol = "HTTP" | "HTTPS" | "HTTP2";

export type AppProtocolsAnnotation =
  | { readonly type: "present"; readonly key: string; readonly byPortName: ReadonlyMap<string, AppProtocol> }
  | { readonly type: "invalid"; readonly key: string; readonly message: string };

/** Reads `cloud.google.com/neg` as ingress-gce does (`pkg/negannotation/negannotation.go`). */
export function readNegAnnotation(service: Service): NegAnnotation {
  const text = service.metadata.annotations[NEG_ANNOTATION];
  if (text === undefined) return { type: "absent" };
  const fields = goObject(text);
  const ingress = fields?.get("ingress") ?? false;
  const ports = goMap(fields?.get("exposed_ports"));
  if (fields === undefined || typeof ingress !== "boolean" || ports === undefined) return { type: "invalid" };
  const exposedPorts = new Map<number, string>();
  for (const [key, value] of ports) {
    const name = value === null ? "" : isObject(value) ? (goFields(value).get("name") ?? "") : undefined;
    if (!/^[0-9]{1,9}$/.test(key) || typeof name !== "string") return { type: "invalid" };
    exposedPorts.set(Number(key), name);
  }
  return { type: "present", ingress, exposedPorts };
}

/**
 * Reads the backend-config annotation (ingress-gce `pkg/annotations/service.go` `GetBackendConfigs`): the beta key
 * counts only where the other one is absent; an empty or broken value does not fall back to it.
 */
export function readBackendConfigAnnotation(service: Service): BackendConfigAnnotation {
  const { annotations } = service.metadata;
  const key =
    annotations[BACKEND_CONFIG_ANNOTATION] === undefined
      ? BETA_BACKEND_CONFIG_ANNOTATION
      : BACKEND_CONFIG_ANNOTATION;
  const text = annotations[key];
  if (text === undefined) return { type: "absent" };
  const fields = goObject(text);
  const byDefault = fields?.get("default") ?? "";
  const ports = goMap(fields?.get("ports"));
  const invalid = { type: "invalid", key, message: "BackendConfig annotation is invalid json" } as const;
  if (fields === undefined || typeof byDefault !== "string" || ports === undefined) return invalid;
  const names = new Map<string, string>();
  for (const [port, name] of ports) {
    if (name !== null && typeof name !== "string") return invalid;
    names.set(port, name ?? "");
  }
  if (byDefault === "" && names.size === 0) {
    return { type: "invalid", key, message: "no BackendConfig's found in annotation" };
  }
  return { type: "present", key, default: byDefault, ports: names };
}

/** Reads the app-protocols annotation; the alpha key comes first, as in ingress-gce. */
export function readAppProtocols(service: Service): AppProtocolsAnnotation {
  const { annotations } = service.metadata;
  const key =
    annotations[ALPHA_APP_PROTOCOLS_ANNOTATION] === undefined
      ? APP_PROTOCOLS_ANNOTATION
      : ALPHA_APP_PROTOCOLS_ANNOTATION;
  const byPortName = new Map<string, AppProtocol>();
  const text = annotations[key];
  if (text === undefined) return { type: "present", key, byPortName };
  const protocols = parse(text);
  if (!isObject(protocols)) return { type: "invalid", key, message: "the annotation is not a JSON object" };
  for (const [name, protocol] of Object.entries(protocols)) {
    if (protocol !== "HTTP" && protocol !== "HTTPS" && protocol !== "HTTP2") {
      return { type: "invalid", key, message: `invalid port application protocol: ${String(protocol)}` };
    }
    byPortName.set(name, protocol);
  }
  return { type: "present", key, byPortName };
}

/**
 * The fields of a JSON object as Go's decoder would fill a struct: field names in any letter case, the last one
 * wins, null leaves a field alone. `null` itself is an empty struct. Undefined: Go would report an error.
 */
function goObject(text: string): Map<string, unknown> | undefined {
  const value = parse(text);
  if (value === null) return new Map();
  return isObject(value) ? goFields(value) : undefined;
}

function goFields(value: object): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [name, field] of Object.entries(value)) {
    if (field !== null) fields.set(name.toLowerCase(), field);
  }
  return fields;
}

function goMap(value: unknown): [string, unknown][] | undefined {
  if (value === undefined) return [];
  return isObject(value) ? Object.entries(value) : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
