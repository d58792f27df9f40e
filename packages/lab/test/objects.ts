import type { BackendConfig, Container, Deployment, Ingress, ObjectSource, Service } from "@holdfast/routing";

/** Objects as a reader hands them on, for tests that are not about reading. */
export function deployment(
  name: string,
  given: {
    readonly container?: Partial<Container>;
    readonly others?: readonly Container[];
    readonly replicas?: number;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly file?: string;
  } = {},
): Deployment {
  const container = {
    name: "app",
    image: "k8s.gcr.io/serve_hostname:v1.4",
    ports: [],
    env: [],
    ...given.container,
  };
  return {
    kind: "Deployment",
    apiVersion: "apps/v1",
    metadata: meta(name),
    spec: {
      replicas: given.replicas ?? 1,
      selector: { app: name },
      template: {
        labels: { app: name },
        annotations: given.annotations ?? {},
        terminationGracePeriodSeconds: 30,
        containers: [container, ...(given.others ?? [])],
      },
    },
    source: source(given.file),
  };
}

/** A Service with a NEG, and with the BackendConfig of this name where one is given. */
export function service(name: string, targetPort: number | string, config?: string): Service {
  const neg = { "cloud.google.com/neg": '{"ingress": true}' };
  const annotations = config
    ? { ...neg, "cloud.google.com/backend-config": JSON.stringify({ default: config }) }
    : neg;
  return {
    kind: "Service",
    apiVersion: "v1",
    metadata: { ...meta(name), annotations },
    spec: { type: "ClusterIP", selector: { app: name }, ports: [{ protocol: "TCP", port: 80, targetPort }] },
    source: source(),
  };
}

export function backendConfig(name: string, affinityType: string): BackendConfig {
  return {
    kind: "BackendConfig",
    apiVersion: "cloud.google.com/v1",
    metadata: meta(name),
    spec: { sessionAffinity: { affinityType } },
    source: source(),
  };
}

export function ingress(name: string, backend: string): Ingress {
  return {
    kind: "Ingress",
    apiVersion: "networking.k8s.io/v1",
    metadata: meta(name),
    spec: { defaultBackend: { service: { name: backend, port: { number: 80 } } }, rules: [] },
    source: source(),
  };
}

function meta(name: string) {
  return { name, namespace: "default", labels: {}, annotations: {} };
}

function source(file = "test.yaml"): ObjectSource {
  return { file, line: 1, locate: () => ({ file, line: 1, column: 1 }) };
}
