import type {
  BackendConfig,
  Container,
  Deployment,
  EndpointSlice,
  Ingress,
  IngressSpec,
  ObjectMeta,
  ObjectSource,
  Secret,
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

/** A Deployment whose pods Service `name` selects. */
export function deployment(name: string, container: Partial<Container> = {}): Deployment {
  return {
    kind: "Deployment",
    apiVersion: "apps/v1",
    metadata: metadata(name),
    spec: {
      replicas: 1,
      selector: { app: name },
      template: {
        labels: { app: name, version: "1" },
        annotations: {},
        terminationGracePeriodSeconds: 30,
        containers: [
          {
            name: "main",
            image: "main",
            ports: [{ name: "main", containerPort: 3000 }],
            env: [],
            ...container,
          },
        ],
      },
    },
    source,
  };
}

export function secret(name: string, data: Secret["data"]): Secret {
  return {
    kind: "Secret",
    apiVersion: "v1",
    metadata: metadata(name),
    type: "kubernetes.io/tls",
    data,
    source,
  };
}

/** A slice of Service `of`, whose port is named `http` and is 3000 at the pods. */
export function slice(
  name: string,
  of: string,
  endpoints: EndpointSlice["endpoints"],
  change: Partial<EndpointSlice> = {},
): EndpointSlice {
  return {
    kind: "EndpointSlice",
    apiVersion: "discovery.k8s.io/v1",
    metadata: { ...metadata(name), labels: { "kubernetes.io/service-name": of } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 3000 }],
    endpoints,
    source,
    ...change,
  };
}
