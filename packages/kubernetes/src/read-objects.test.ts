import { Buffer } from "node:buffer";
import { expect, it } from "vitest";
import { readManifests } from "./read-manifests.ts";

async function read(text: string) {
  return await readManifests(["-"], { stdin: text });
}

const encoded = (text: string) => Buffer.from(text).toString("base64");

it("keeps of a Secret its certificate and key, decoded, and nothing else", async () => {
  const { objects, problems } = await read(`
apiVersion: v1
kind: Secret
metadata: { name: cert, namespace: shop, annotations: { kubectl.kubernetes.io/last-applied-configuration: all } }
type: kubernetes.io/tls
immutable: true
data: { tls.crt: "${encoded("certificate")}", tls.key: "${encoded("from data")}", ca.crt: "${encoded("ca")}" }
stringData: { tls.key: from stringData }
`);
  expect(problems).toEqual([]);
  expect(objects).toMatchObject([{ kind: "Secret", metadata: { name: "cert", namespace: "shop" } }]);
  expect(objects[0]?.metadata.annotations).toEqual({});
  const [secret] = objects;
  expect(secret?.kind === "Secret" && [secret.type, secret.data]).toEqual([
    "kubernetes.io/tls",
    { "tls.crt": "certificate", "tls.key": "from stringData" },
  ]);
});

it("reads a Secret whose base64 is broken into lines, and one without data", async () => {
  const { objects, problems } = await read(`
apiVersion: v1
kind: Secret
metadata: { name: a }
data:
  tls.crt: |
    ${encoded("certificate").slice(0, 8)}
    ${encoded("certificate").slice(8)}
---
apiVersion: v1
kind: Secret
metadata: { name: b }
`);
  expect(problems).toEqual([]);
  expect(objects).toMatchObject([{ data: { "tls.crt": "certificate" } }, { type: "Opaque", data: {} }]);
});

it.each([
  ["what is no base64", 'data: { tls.key: "s3cret-%" }'],
  ["base64 of a wrong length", "data: { tls.key: s3cre }"],
  ["a number", "data: { tls.key: 31337 }"],
  ["a list", "data: [s3cret]"],
  ["data that is a text", "data: s3cret"],
])("says that a Secret holds %s without showing it", async (_what, field) => {
  const { objects, problems } = await read(
    `apiVersion: v1\nkind: Secret\nmetadata: { name: cert }\n${field}\n`,
  );
  expect(objects).toEqual([]);
  expect(problems).toMatchObject([{ code: "FIELD_INVALID", at: { line: 4 } }]);
  expect(problems[0]?.message).toContain("Secret cert");
  expect(JSON.stringify(problems)).not.toMatch(/s3cre|31337/);
});

it.each([
  'data:\n  tls.key: "s3cret" s3cret\n',
  "data:\n  tls.key: s3cret\n   s3cret: x\n",
  "data:\n  - s3cret\n  tls.key: s3cret\n",
  "data: { tls.key: s3cret\n",
  "data: 'tls.key: s3cret\n",
  "data: @s3cret\n",
])("does not show the text of a broken Secret: %j", async (field) => {
  const { problems } = await read(`apiVersion: v1\nkind: Secret\nmetadata: { name: cert }\n${field}`);
  expect(problems).toHaveLength(1);
  expect(JSON.stringify(problems)).not.toContain("s3cret");
});

it("reads an EndpointSlice, and what it leaves out as Kubernetes means it", async () => {
  const { objects, problems } = await read(`
apiVersion: v1
kind: List
items:
  - apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata: { name: web-abc, namespace: shop, labels: { kubernetes.io/service-name: web } }
    addressType: IPv4
    ports: [{ name: http, port: 3000, protocol: TCP }, { port: null }]
    endpoints:
      - addresses: [10.0.0.1]
        conditions: { ready: true, serving: true, terminating: false }
        targetRef: { kind: Pod, name: web-1, namespace: shop }
      - addresses: [10.0.0.2]
        conditions: { ready: false, terminating: true }
        targetRef: { kind: Node, name: n }
      - { addresses: [10.0.0.3], conditions: null }
`);
  expect(problems).toEqual([]);
  expect(objects).toMatchObject([
    {
      kind: "EndpointSlice",
      metadata: { namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 3000 }, { name: "" }],
      endpoints: [
        { addresses: ["10.0.0.1"], ready: true, terminating: false, pod: "web-1" },
        { addresses: ["10.0.0.2"], ready: false, terminating: true },
        { addresses: ["10.0.0.3"], ready: true, terminating: false },
      ],
    },
  ]);
});

it("reads a container's readiness probe with Kubernetes' defaults", async () => {
  const probes = [
    "{ httpGet: { port: http } }",
    "{ httpGet: { path: /healthz, port: 3000, scheme: HTTPS, host: a, httpHeaders: [{ name: Host, value: b }] }, periodSeconds: 5, timeoutSeconds: 2, successThreshold: 1, failureThreshold: 4 }",
    "{ tcpSocket: { port: 3000 }, periodSeconds: 0 }",
    "{ exec: { command: [true] } }",
  ];
  const { objects, problems } = await read(`
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
${probes.map((probe, index) => `        - { name: c${index}, image: web, readinessProbe: ${probe} }`).join("\n")}
`);
  expect(problems).toEqual([]);
  const [deployment] = objects;
  const containers = deployment?.kind === "Deployment" ? deployment.spec.template.containers : [];
  const defaults = { periodSec: 10, timeoutSec: 1, successThreshold: 1, failureThreshold: 3 };
  expect(containers.map(({ readinessProbe }) => readinessProbe)).toEqual([
    { action: { type: "http", path: "/", port: "http", scheme: "HTTP", headers: [] }, ...defaults },
    {
      action: {
        type: "http",
        path: "/healthz",
        port: 3000,
        scheme: "HTTPS",
        host: "a",
        headers: [{ name: "Host", value: "b" }],
      },
      periodSec: 5,
      timeoutSec: 2,
      successThreshold: 1,
      failureThreshold: 4,
    },
    { action: { type: "tcp", port: 3000 }, ...defaults },
    { action: { type: "other" }, ...defaults },
  ]);
});

it.each([
  ["v1", ["cookieTtl", "sessionAffinity.type", "healthCheck.path"]],
  ["v1beta1", ["cookieTtl", "sessionAffinity.type", "healthCheck.path", "logging", "cdn.cacheMode"]],
])("names the fields that a BackendConfig of %s doesn't have", async (version, unknownFields) => {
  const { objects, problems } = await read(`
apiVersion: cloud.google.com/${version}
kind: BackendConfig
metadata: { name: a }
spec:
  cookieTtl: 3
  sessionAffinity: { type: CLIENT_IP, affinityCookieTtlSec: 3 }
  healthCheck: { path: /healthz, port: 3000 }
  logging: { enable: true, sampleRate: 0.5 }
  cdn: { enabled: true, cacheMode: X }
  customRequestHeaders: { headers: ["X-A:1"] }
`);
  expect(problems).toEqual([]);
  const [config] = objects;
  expect(config?.kind === "BackendConfig" && config.spec).toEqual({
    sessionAffinity: { affinityCookieTtlSec: 3 },
    healthCheck: { port: 3000 },
    ...(version === "v1" ? { logging: { enable: true, sampleRate: 0.5 } } : {}),
    cdn: { enabled: true },
    customRequestHeaders: { headers: ["X-A:1"] },
    unknownFields,
  });
});

it("keeps the Secrets that an Ingress names for TLS, in order, in every version", async () => {
  const { objects, problems } = await read(
    ["networking.k8s.io/v1", "networking.k8s.io/v1beta1", "extensions/v1beta1"]
      .map(
        (apiVersion, index) => `
apiVersion: ${apiVersion}
kind: Ingress
metadata: { name: i${index} }
spec: { tls: [{ hosts: [a.example.com], secretName: b }, { secretName: a }, {}] }
`,
      )
      .join("---\n"),
  );
  expect(problems).toEqual([]);
  for (const object of objects) {
    expect(object).toMatchObject({ spec: { tls: [{ secretName: "b" }, { secretName: "a" }, {}] } });
  }
});
