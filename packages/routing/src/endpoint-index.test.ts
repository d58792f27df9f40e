import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { describe, expect, it } from "vitest";
import { ingress, service, slice, to } from "../test/objects.ts";
import { EndpointIndex } from "./endpoint-index.ts";
import { endpointsOf, type Pod } from "./endpoints.ts";
import type { BackendService, BackendServiceId } from "./model.ts";
import type { Service, SliceEndpoint } from "./objects.ts";
import { translate } from "./translate.ts";

const HOLDFAST = { "kubernetes.io/ingress.class": "holdfast" };

function backends(...services: Service[]): ReadonlyMap<BackendServiceId, BackendService> {
  const paths = services.flatMap(({ metadata, spec }) =>
    spec.ports.map(({ port }) => ({
      path: `/${metadata.name}-${port}`,
      backend: to(metadata.name, port),
    })),
  );
  return translate([...services, ingress({ rules: [{ paths }] })]).model.backendServices;
}

function at(address: string, change: Partial<SliceEndpoint> = {}): SliceEndpoint {
  return { addresses: [address], ready: true, terminating: false, pod: `pod-${address}`, ...change };
}

function index(...services: Service[]): EndpointIndex {
  const made = new EndpointIndex();
  made.setBackendServices(backends(...services));
  return made;
}

function pod(name: string, labels: Record<string, string>, change: Partial<Pod> = {}): Pod {
  return {
    name,
    namespace: "default",
    labels,
    address: `10.1.0.${name.replace(/\D/g, "") || "1"}`,
    ports: [{ containerPort: 3000, port: 3000 }],
    healthy: true,
    ...change,
  };
}

describe("endpoints out of EndpointSlices", () => {
  it("are those of all slices of the Service, ready or not, and none that is terminating", () => {
    const one = index(service("web"));
    one.setSlice(slice("a", "web", [at("10.0.0.1"), at("10.0.0.2", { ready: false })]));
    one.setSlice(slice("b", "web", [at("10.0.0.3", { terminating: true }), at("10.0.0.4")]));
    one.setSlice(slice("c", "api", [at("10.0.0.5")]));
    expect(one.endpointsOf("default/web:80")).toEqual([
      { address: "10.0.0.1", port: 3000, pod: "pod-10.0.0.1", healthy: true },
      { address: "10.0.0.2", port: 3000, pod: "pod-10.0.0.2", healthy: false },
      { address: "10.0.0.4", port: 3000, pod: "pod-10.0.0.4", healthy: true },
    ]);
  });

  it("listen where the slice's port of the Service port's name is, not where the Service says", () => {
    const two = service("web", {
      ports: [
        { name: "http", port: 80, targetPort: "main", protocol: "TCP" },
        { name: "admin", port: 81, targetPort: 9, protocol: "TCP" },
      ],
    });
    const one = index(two);
    const ports = [
      { name: "admin", port: 4001 },
      { name: "http", port: 4000 },
    ];
    one.setSlice(slice("a", "web", [at("10.0.0.1")], { ports }));
    expect(one.endpointsOf("default/web:80")).toMatchObject([{ port: 4000 }]);
    expect(one.endpointsOf("default/web:81")).toMatchObject([{ port: 4001 }]);
    one.setSlice(slice("a", "web", [at("10.0.0.1")], { ports: [{ name: "other", port: 1 }] }));
    expect(one.endpointsOf("default/web:80")).toEqual([]);
  });

  it("belong to a port without a name by the empty name, and to a port not said by the Service's", () => {
    const one = index(service("web", { ports: [{ port: 80, targetPort: 3000, protocol: "TCP" }] }));
    one.setSlice(slice("a", "web", [at("10.0.0.1")], { ports: [{ name: "", port: 3001 }] }));
    expect(one.endpointsOf("default/web:80")).toMatchObject([{ port: 3001 }]);
    one.setSlice(slice("a", "web", [at("10.0.0.1")], { ports: [{ name: "" }] }));
    expect(one.endpointsOf("default/web:80")).toMatchObject([{ port: 3000 }]);
  });

  it("are taken once, and as ready where one of two slices says so", () => {
    const one = index(service("web"));
    one.setSlice(slice("a", "web", [at("10.0.0.1", { ready: false }), at("10.0.0.1")]));
    one.setSlice(slice("b", "web", [at("10.0.0.1", { ready: false })]));
    expect(one.endpointsOf("default/web:80")).toMatchObject([{ address: "10.0.0.1", healthy: true }]);
  });

  it("are of IPv4 unless the Service has IPv6 alone", () => {
    const six = service("six", { ipFamilies: ["IPv6"] });
    const site = ingress(
      {
        rules: [
          {
            paths: [
              { path: "/a", backend: to("web") },
              { path: "/b", backend: to("six") },
            ],
          },
        ],
      },
      HOLDFAST,
    );
    const one = new EndpointIndex();
    one.setBackendServices(translate([service("web"), six, site]).model.backendServices);
    for (const name of ["web", "six"]) {
      one.setSlice(slice(`${name}-4`, name, [at("10.0.0.1")]));
      one.setSlice(slice(`${name}-6`, name, [at("fd00::1")], { addressType: "IPv6" }));
    }
    expect(one.endpointsOf("default/web:80@holdfast")).toMatchObject([{ address: "10.0.0.1" }]);
    expect(one.endpointsOf("default/six:80@holdfast")).toMatchObject([{ address: "fd00::1" }]);
  });

  it.each([
    ["a name", "web.example.com", "IPv4"],
    ["nothing", undefined, "IPv4"],
    ["an address of the other family", "::1", "IPv4"],
    ["a name that is said to be one", "web.example.com", "FQDN"],
    ["an address with a port", "10.0.0.1:80", "IPv4"],
  ] as const)("are never %s", (_what, address, addressType) => {
    const one = index(service("web"));
    const addresses = address === undefined ? [] : [address];
    one.setSlice(slice("a", "web", [at("", { addresses })], { addressType }));
    expect(one.endpointsOf("default/web:80")).toEqual([]);
  });

  it("leave out a slice of another namespace, and one that names no Service", () => {
    const one = index(service("web"));
    const other = slice("a", "web", [at("10.0.0.1")]);
    one.setSlice({ ...other, metadata: { ...other.metadata, namespace: "shop" } });
    one.setSlice({ ...other, metadata: { ...other.metadata, labels: {} } });
    expect(one.endpointsOf("default/web:80")).toEqual([]);
  });
});

describe("a change", () => {
  it("of a slice names its Service's backend services alone, of every face", () => {
    const site = ingress({ defaultBackend: to("web") }, HOLDFAST);
    const both = new Map([
      ...backends(service("web"), service("api")),
      ...translate([service("web"), site]).model.backendServices,
    ]);
    const one = new EndpointIndex();
    expect(one.setBackendServices(both)).toEqual(
      new Set(["default/web:80", "default/api:80", "default/web:80@holdfast"]),
    );
    const first = slice("a", "web", [at("10.0.0.1")]);
    const web = new Set(["default/web:80", "default/web:80@holdfast"]);
    expect(one.setSlice(first)).toEqual(web);
    expect(one.setSlice(first)).toEqual(new Set());
    expect(one.setSlice(slice("a", "api", [at("10.0.0.1")]))).toEqual(new Set([...web, "default/api:80"]));
    expect(one.setSlice(slice("x", "nobody", []))).toEqual(new Set());
    expect(one.deleteSlice("default/a")).toEqual(new Set(["default/api:80"]));
    expect(one.deleteSlice("default/a")).toEqual(new Set());
    expect(one.endpointsOf("default/api:80")).toEqual([]);
  });

  it("of all slices names those whose slices came, went or changed", () => {
    const one = index(service("web"), service("api"), service("db"));
    const [a, b, c] = ["web", "api", "db"].map((name) => slice(name, name, [at("10.0.0.1")]));
    if (!a || !b || !c) throw new Error("three slices");
    expect(one.setSlices([a, b])).toEqual(new Set(["default/web:80", "default/api:80"]));
    expect(one.setSlices([a, c])).toEqual(new Set(["default/api:80", "default/db:80"]));
    expect(one.setSlices([a, c])).toEqual(new Set());
  });

  it("of the model names what is new or means other pods, and not what has other settings", () => {
    const before = backends(service("web"), service("api"));
    const one = new EndpointIndex();
    one.setBackendServices(before);
    one.setSlice(slice("a", "web", [at("10.0.0.1")]));
    const web = before.get("default/web:80");
    const api = before.get("default/api:80");
    if (!web || !api) throw new Error("two backend services");
    const after = new Map([
      [web.id, { ...web, timeoutSec: 99 }],
      [api.id, { ...api, portName: "other" }],
      ...backends(service("new")),
    ]);
    expect(one.setBackendServices(after)).toEqual(new Set(["default/api:80", "default/new:80"]));
    expect(one.endpointsOf("default/web:80")).toHaveLength(1);
    one.setBackendServices(new Map());
    expect(one.endpointsOf("default/web:80")).toEqual([]);
    expect(one.setSlice(slice("a", "web", []))).toEqual(new Set());
  });

  it("of a pod names the backend services that select it, before or after", () => {
    const one = index(service("web"), service("api"));
    expect(one.setPod(pod("p1", { app: "web" }))).toEqual(new Set(["default/web:80"]));
    expect(one.endpointsOf("default/web:80")).toMatchObject([{ address: "10.1.0.1", pod: "p1" }]);
    expect(one.setPod(pod("p1", { app: "api" }))).toEqual(new Set(["default/web:80", "default/api:80"]));
    expect(one.endpointsOf("default/web:80")).toEqual([]);
    expect(one.setPod(pod("p2", { other: "x" }))).toEqual(new Set());
    expect(one.setPod(pod("p3", { app: "web" }, { namespace: "shop" }))).toEqual(new Set());
    expect(one.deletePod("default/p1")).toEqual(new Set(["default/api:80"]));
    expect(one.deletePod("default/p1")).toEqual(new Set());
  });

  it("touches no other slice, however many there are", () => {
    const one = index(...Array.from({ length: 200 }, (_, number) => service(`s${number}`)));
    const touched: string[] = [];
    for (let number = 0; number < 200; number += 1) {
      const made = slice(`s${number}`, `s${number}`, []);
      const watched = { ...made };
      Object.defineProperty(watched, "endpoints", {
        get: () => {
          touched.push(made.metadata.name);
          return made.endpoints;
        },
      });
      one.setSlice(watched);
    }
    for (const id of one.setSlice(slice("s7", "s7", [at("10.0.0.1")]))) one.endpointsOf(id);
    expect(touched).toEqual([]);
    one.endpointsOf("default/s8:80");
    expect(touched).toEqual(["s8"]);
  });
});

it("holds the same as looking at all pods anew, whatever comes and goes", () => {
  const random = seededRandom(testSeed());
  const keys = ["app", "tier", "version"];
  const labels = () =>
    Object.fromEntries(keys.filter(() => random.below(2) === 0).map((key) => [key, `v${random.below(2)}`]));
  const services = () =>
    backends(
      ...Array.from({ length: 6 }, (_, number) =>
        service(`s${number}`, { selector: random.below(4) === 0 ? {} : labels() }),
      ),
    );
  const one = new EndpointIndex();
  const pods = new Map<string, Pod>();
  const known = new Map<string, string>();
  let model = services();
  const look = (ids: Iterable<string>) => {
    for (const id of ids) known.set(id, JSON.stringify(one.endpointsOf(id)));
  };
  look(one.setBackendServices(model));
  for (let step = 0; step < 400; step += 1) {
    const name = `p${random.below(12)}`;
    if (random.below(20) === 0) {
      model = services();
      look(one.setBackendServices(model));
    } else if (random.below(3) === 0) {
      pods.delete(`default/${name}`);
      look(one.deletePod(`default/${name}`));
    } else {
      const made = pod(name, labels(), { healthy: random.below(2) === 0 });
      pods.delete(`default/${name}`);
      pods.set(`default/${name}`, made);
      look(one.setPod(made));
    }
    for (const [id, backend] of model) {
      expect(known.get(id)).toBe(JSON.stringify(one.endpointsOf(id)));
      const byAddress = (a: { pod: string }, b: { pod: string }) => (a.pod < b.pod ? -1 : 1);
      expect(one.endpointsOf(id).sort(byAddress)).toEqual(
        endpointsOf(backend, [...pods.values()]).sort(byAddress),
      );
    }
  }
});
