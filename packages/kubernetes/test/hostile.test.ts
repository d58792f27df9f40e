import { type Random, seededRandom, testSeed } from "@holdfast/broker/testing";
import { EndpointIndex, IngressSync, type RoutingModel, translate, UrlMapMatcher } from "@holdfast/routing";
import { expect, it } from "vitest";
import { readManifests } from "../src/mod.ts";

const PORT = { service: { name: "web", port: { number: 80 } } };

/** Sound objects, which together use nearly every field that is read. */
const SOUND: readonly object[] = [
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: "web",
      annotations: {
        "cloud.google.com/neg": '{"ingress": true, "exposed_ports": {"80": {}}}',
        "cloud.google.com/backend-config": '{"ports": {"http": "config"}, "default": "config"}',
        "cloud.google.com/app-protocols": '{"http": "HTTP"}',
      },
    },
    spec: {
      type: "ClusterIP",
      selector: { app: "web" },
      ports: [{ name: "http", port: 80, targetPort: "main", protocol: "TCP" }],
      sessionAffinity: "None",
      ipFamilies: ["IPv4"],
    },
  },
  {
    apiVersion: "cloud.google.com/v1",
    kind: "BackendConfig",
    metadata: { name: "config" },
    spec: {
      sessionAffinity: { affinityType: "GENERATED_COOKIE", affinityCookieTtlSec: 3600 },
      timeoutSec: 60,
      connectionDraining: { drainingTimeoutSec: 60 },
      customRequestHeaders: { headers: ["X-A:1", "X-B:{client_region}"] },
      customResponseHeaders: { headers: ["X-C:1"] },
      healthCheck: { requestPath: "/ready", port: 3000, checkIntervalSec: 10, timeoutSec: 5, type: "HTTP" },
      logging: { enable: true, sampleRate: 0.5 },
      cdn: { enabled: false },
      iap: { enabled: false },
    },
  },
  {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web" },
    spec: {
      selector: { matchLabels: { app: "web" } },
      template: {
        metadata: { labels: { app: "web" } },
        spec: {
          containers: [
            {
              name: "web",
              image: "web",
              ports: [{ name: "main", containerPort: 3000 }],
              readinessProbe: { httpGet: { path: "/healthz", port: "main" }, periodSeconds: 5 },
            },
          ],
        },
      },
    },
  },
  {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "cert" },
    type: "kubernetes.io/tls",
    data: { "tls.crt": "c2hoIQ==", "tls.key": "c2hoIQ==" },
  },
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "web-a", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 3000 }],
    endpoints: [
      { addresses: ["10.0.0.1"], conditions: { ready: true }, targetRef: { kind: "Pod", name: "w" } },
    ],
  },
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: {
      name: "site",
      annotations: {
        "kubernetes.io/ingress.class": "holdfast",
        "kubernetes.io/ingress.allow-http": "true",
        "holdfast.dev/affinity": "cookie",
        "holdfast.dev/cookie-ttl": "12h",
        "holdfast.dev/session-affinity": "true",
      },
    },
    spec: {
      tls: [{ secretName: "other" }],
      defaultBackend: PORT,
      rules: [
        { host: "*.example.com", http: { paths: [{ path: "/a/*", backend: PORT }] } },
        { host: "a.example.com", http: { paths: [{ path: "/a", pathType: "Prefix", backend: PORT }] } },
      ],
    },
  },
];

const HOSTILE: readonly unknown[] = [
  null,
  "",
  " ",
  "\u0000\u001b[31m\u202e",
  "__proto__",
  "constructor",
  "web",
  "*",
  "/*",
  "/a/*/b?c#d",
  "gce",
  "gce-internal",
  "cert",
  "null",
  "[]",
  '{"__proto__": {"ingress": true}}',
  '{"ingress": {"a": 1}, "exposed_ports": [1]}',
  "{".repeat(2_000),
  "9".repeat(400),
  "a".repeat(10_000),
  "1s".repeat(5_000),
  0,
  -1,
  80,
  65_536,
  2 ** 53,
  1e308,
  0.5,
  true,
  [],
  [[]],
  {},
  { __proto__: null, constructor: { name: 1 } },
];

/** The same with a few of its values replaced, removed or doubled. */
function damaged(value: unknown, random: Random): unknown {
  if (random.below(14) === 0) return random.pick(HOSTILE);
  if (Array.isArray(value)) {
    const items = value.map((item) => damaged(item, random));
    return random.below(8) === 0 ? [...items, ...items] : items;
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(() => random.below(30) > 0);
  return Object.fromEntries(
    entries.map(([key, one]) => [key, key === "kind" || key === "apiVersion" ? one : damaged(one, random)]),
  );
}

/** What the data plane relies on. */
function expectSound(model: RoutingModel): void {
  for (const { urlMap, certificates, affinities } of model.loadBalancers) {
    const ids = urlMap.hosts.flatMap(({ paths }) => paths.map(({ backend }) => backend));
    if (urlMap.defaultBackend !== undefined) ids.push(urlMap.defaultBackend);
    for (const id of [...ids, ...(affinities?.keys() ?? [])])
      expect(model.backendServices.has(id)).toBe(true);
    for (const { paths } of urlMap.hosts) {
      for (const { path } of paths) expect(path).toMatch(/^\/[^*]*\*?$/);
    }
    expect(certificates?.length).not.toBe(0);
    new UrlMapMatcher(urlMap).match("a.example.com", "/a/b");
  }
  for (const { timeoutSec, drainingTimeoutSec, healthCheck, ...rest } of model.backendServices.values()) {
    expect(timeoutSec).toBeGreaterThan(0);
    expect(drainingTimeoutSec).toBeGreaterThanOrEqual(0);
    for (const seconds of [healthCheck.intervalSec, healthCheck.timeoutSec]) {
      expect(seconds).toBeGreaterThanOrEqual(1);
      expect(seconds).toBeLessThanOrEqual(300);
    }
    expect(healthCheck.path).toMatch(/^\/[\x21-\x7e]*$/);
    for (const { name, value } of [...rest.requestHeaders, ...rest.responseHeaders]) {
      expect(`${name}${value}`).not.toMatch(/[\r\n\0]/);
    }
  }
}

it("makes of damaged manifests a sound model, or findings, and never fails", async () => {
  const random = seededRandom(testSeed());
  const sync = new IngressSync();
  const index = new EndpointIndex();
  let served = 0;
  for (let round = 0; round < 300; round += 1) {
    const text = SOUND.map((object) => JSON.stringify(damaged(object, random))).join("\n---\n");
    const { objects, problems } = await readManifests(["-"], { stdin: text });
    const { model, findings } = translate(objects);
    expectSound(model);
    const refused = new Set(findings.flatMap(({ ingress }) => ingress ?? []));
    for (const { name } of model.loadBalancers) expect(refused).not.toContain(name);
    served += model.loadBalancers.length;
    const synced = sync.sync(objects);
    expectSound(synced.model);
    index.setBackendServices(synced.model.backendServices);
    index.setSlices(objects.filter((object) => object.kind === "EndpointSlice"));
    for (const id of synced.model.backendServices.keys()) {
      for (const { address, port } of index.endpointsOf(id)) {
        expect(address).toMatch(/^[0-9.]+$/);
        expect(port).toBeGreaterThan(0);
      }
    }
    const said = JSON.stringify([problems, findings, synced.events, [...synced.statuses]]);
    expect(said).not.toMatch(/c2hoIQ|shh!/);
    const shown = [...problems, ...findings].flatMap(({ message, fix }) => [message, fix]);
    for (const one of [...shown, ...synced.events.map(({ message }) => message)]) {
      expect(one).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }
  }
  expect(served).toBeGreaterThan(0);
});
