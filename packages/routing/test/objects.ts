import type {
  BackendConfig,
  Ingress,
  IngressSpec,
  ObjectMeta,
  ObjectSource,
  Service,
  ServiceSpec,
} from "../src/mod.ts";

// Objects for the tests of the translation, written as short as what a test is about.

const source: ObjectSource = {
  file: "test.yaml",
  line: 1,
  locate: (path) => ({ file: `test.yaml#${path.join(".")}`, line: 1, column: 1 }),
};

function metadata(name: string, annotations: Record<string, string> = {}): ObjectMeta {
  return { name, namespace: "default", labels: {}, annotations };
}

export function service(
  name: string,
  spec: Partial<ServiceSpec> = {},
  annotations: Record<string, string> = { "cloud.google.com/neg": '{"ingress":true}' },
): Service {
  return {
    kind: "Service",
    apiVersion: "v1",
    metadata: metadata(name, annotations),
    spec: {
      type: "ClusterIP",
      selector: { app: name },
      ports: [{ name: "http", port: 80, targetPort: 3000, protocol: "TCP" }],
      ...spec,
    },
    source,
  };
}

export function backendConfig(name: string, spec: BackendConfig["spec"] = {}): BackendConfig {
  return { kind: "BackendConfig", apiVersion: "cloud.google.com/v1", metadata: metadata(name), spec, source };
}

export function ingress(spec: Partial<IngressSpec>, annotations: Record<string, string> = {}): Ingress {
  return {
    kind: "Ingress",
    apiVersion: "networking.k8s.io/v1",
    metadata: metadata("site", annotations),
    spec: { rules: [], ...spec },
    source,
  };
}

export function to(name: string, number = 80) {
  return { service: { name, port: { number } } };
}
