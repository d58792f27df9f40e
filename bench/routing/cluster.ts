import type { EndpointSlice, Ingress, KubernetesObject, ObjectSource, Service } from "@holdfast/routing";
import type { Size } from "./calls.ts";

const SOURCE: ObjectSource = {
  file: "cluster.yaml",
  line: 1,
  locate: () => ({ file: "cluster.yaml", line: 1, column: 1 }),
};

const NAMESPACE = "bench";

/** A cluster made up: as many Services as Ingresses, each Service with one slice of its share of the endpoints. */
export function makeCluster({ ingresses, rules, endpoints }: Size): {
  readonly objects: KubernetesObject[];
  readonly ingresses: Ingress[];
  readonly slices: EndpointSlice[];
} {
  const numbers = Array.from({ length: ingresses }, (_, number) => number);
  const services = numbers.map(makeService);
  const made = numbers.map((number) => makeIngress(number, rules, ingresses));
  const slices = numbers.map((number) => makeSlice(number, Math.ceil(endpoints / ingresses)));
  return { objects: [...services, ...made, makeConfig(), ...slices], ingresses: made, slices };
}

/** Ten paths of a host, each to the next Service. */
export function makeIngress(number: number, rules: number, services: number): Ingress {
  return {
    kind: "Ingress",
    apiVersion: "networking.k8s.io/v1",
    metadata: metadata(`ingress-${number}`),
    source: SOURCE,
    spec: {
      rules: Array.from({ length: rules }, (_, rule) => ({
        host: hostOf(number, rule),
        paths: [
          {
            path: "/socket.io",
            pathType: "Prefix",
            backend: { service: { name: `service-${(number + rule) % services}`, port: { name: "http" } } },
          },
        ],
      })),
    },
  };
}

export function hostOf(number: number, rule: number): string {
  return `tenant-${number}-${rule}.example.com`;
}

export function makeSlice(number: number, count: number, ready = true): EndpointSlice {
  return {
    kind: "EndpointSlice",
    apiVersion: "discovery.k8s.io/v1",
    metadata: {
      ...metadata(`service-${number}-abcde`),
      labels: { "kubernetes.io/service-name": `service-${number}` },
    },
    source: SOURCE,
    addressType: "IPv4",
    ports: [{ name: "http", port: 3000 }],
    endpoints: Array.from({ length: count }, (_, index) => ({
      addresses: [`10.${number >> 8}.${number & 255}.${index + 1}`],
      ready: index > 0 || ready,
      terminating: false,
      pod: `service-${number}-${index}`,
    })),
  };
}

function makeService(number: number): Service {
  return {
    kind: "Service",
    apiVersion: "v1",
    metadata: metadata(`service-${number}`, {
      "cloud.google.com/neg": '{"ingress": true}',
      "cloud.google.com/backend-config": '{"default": "sticky"}',
    }),
    source: SOURCE,
    spec: {
      type: "ClusterIP",
      selector: { app: `service-${number}` },
      ports: [{ name: "http", port: 80, targetPort: 3000, protocol: "TCP" }],
    },
  };
}

function makeConfig(): KubernetesObject {
  return {
    kind: "BackendConfig",
    apiVersion: "cloud.google.com/v1",
    metadata: metadata("sticky"),
    source: SOURCE,
    spec: { sessionAffinity: { affinityType: "GENERATED_COOKIE" }, timeoutSec: 3_600 },
  };
}

function metadata(name: string, annotations: Record<string, string> = {}) {
  return { name, namespace: NAMESPACE, labels: {}, annotations };
}
