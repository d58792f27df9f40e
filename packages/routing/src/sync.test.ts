import { describe, expect, it } from "vitest";
import { backendConfig, deployment, ingress, service, slice, to } from "../test/objects.ts";
import { EndpointIndex } from "./endpoint-index.ts";
import type { BackendConfigSpec, Ingress, KubernetesObject, ReadinessProbe } from "./objects.ts";
import { IngressSync, type Synced } from "./sync.ts";

const CONFIG = { "cloud.google.com/backend-config": '{"default":"a"}' };
const NEG = { "cloud.google.com/neg": '{"ingress":true}' };
const CLASS = "kubernetes.io/ingress.class";
const ID = "default/web:80";

const configured = service("web", {}, { ...NEG, ...CONFIG });
const bare = service("web", {}, NEG);
const site = ingress({ defaultBackend: to("web") });

function named(name: string, one: Ingress): Ingress {
  return { ...one, metadata: { ...one.metadata, name } };
}

function backendOf({ model }: Synced, id = ID) {
  return model.backendServices.get(id);
}

/** What is served after each of these BackendConfigs in turn; `undefined`: none is referred to. */
function history(specs: readonly (BackendConfigSpec | undefined)[], one: Ingress = site) {
  const sync = new IngressSync();
  return specs
    .map((spec) => sync.sync(spec === undefined ? [bare, one] : [configured, backendConfig("a", spec), one]))
    .map(({ model }) => [...model.backendServices.values()][0]);
}

describe("affinity of GKE's classes over time", () => {
  const cookie60 = { affinityType: "GENERATED_COOKIE", affinityCookieTtlSec: 60 };
  it.each([
    ["absent", {}, { type: "GENERATED_COOKIE", ttlSec: 60 }],
    [
      "CLIENT_IP of 30 s",
      { sessionAffinity: { affinityType: "CLIENT_IP", affinityCookieTtlSec: 30 } },
      { type: "CLIENT_IP" },
    ],
    [
      "GENERATED_COOKIE without a time",
      { sessionAffinity: { affinityType: "GENERATED_COOKIE" } },
      { type: "GENERATED_COOKIE", ttlSec: 60 },
    ],
    [
      "GENERATED_COOKIE of 0",
      { sessionAffinity: { affinityType: "GENERATED_COOKIE", affinityCookieTtlSec: 0 } },
      { type: "GENERATED_COOKIE", ttlSec: 0 },
    ],
    [
      "NONE of 20 s",
      { sessionAffinity: { affinityType: "NONE", affinityCookieTtlSec: 20 } },
      { type: "NONE" },
    ],
    ["a time alone", { sessionAffinity: { affinityCookieTtlSec: 50 } }, { type: "NONE" }],
    ["an empty section", { sessionAffinity: {} }, { type: "NONE" }],
    ["no BackendConfig at all", undefined, { type: "GENERATED_COOKIE", ttlSec: 60 }],
  ] as [string, BackendConfigSpec | undefined, object][])(
    "from a cookie of 60 s, with %s",
    (_what, spec, affinity) => {
      const [, after, later] = history([{ sessionAffinity: cookie60 }, spec, spec]);
      expect(after?.affinity).toEqual(affinity);
      expect(later?.affinity).toEqual(affinity);
    },
  );

  it("keeps the time of an affinity that has no use for it, and of one without a type", () => {
    const cookie = { sessionAffinity: { affinityType: "GENERATED_COOKIE" } };
    const [, viaClientIp] = history([
      { sessionAffinity: { affinityType: "CLIENT_IP", affinityCookieTtlSec: 30 } },
      cookie,
    ]);
    expect(viaClientIp?.affinity).toEqual({ type: "GENERATED_COOKIE", ttlSec: 30 });
    const [none, viaNothing] = history([{ sessionAffinity: { affinityCookieTtlSec: 50 } }, cookie]);
    expect(none?.affinity).toEqual({ type: "NONE" });
    expect(viaNothing?.affinity).toEqual({ type: "GENERATED_COOKIE", ttlSec: 50 });
  });

  it("begins anew once no Ingress routes there any more", () => {
    const sync = new IngressSync();
    const config = backendConfig("a", { sessionAffinity: cookie60 });
    sync.sync([configured, config, site]);
    sync.sync([configured, config]);
    expect(backendOf(sync.sync([bare, site]))?.affinity).toEqual({ type: "NONE" });
  });
});

describe("the other settings of GKE's classes over time", () => {
  const all: BackendConfigSpec = {
    timeoutSec: 600,
    connectionDraining: { drainingTimeoutSec: 60 },
    customRequestHeaders: { headers: ["X-A:1"] },
    customResponseHeaders: { headers: ["X-B:2"] },
  };

  it("stay when they are taken out, apart from customResponseHeaders", () => {
    const [, after] = history([all, {}]);
    expect(after).toMatchObject({
      timeoutSec: 600,
      drainingTimeoutSec: 60,
      requestHeaders: [{ name: "X-A", value: "1" }],
      responseHeaders: [],
    });
  });

  it("stay all together when the annotation is removed", () => {
    const [before, after] = history([all, undefined]);
    expect(after).toEqual(before);
  });

  it("change when something else is said", () => {
    const [, after] = history([
      all,
      { timeoutSec: 0, connectionDraining: { drainingTimeoutSec: 0 }, customRequestHeaders: {} },
    ]);
    expect(after).toMatchObject({ timeoutSec: 30, drainingTimeoutSec: 0, requestHeaders: [] });
  });
});

describe("the health check over time", () => {
  const probe = (path: string): ReadinessProbe => ({
    action: { type: "http", path, port: 3000, scheme: "HTTP", headers: [] },
    periodSec: 7,
    timeoutSec: 3,
    successThreshold: 1,
    failureThreshold: 3,
  });
  const pods = (path: string) => deployment("web", { readinessProbe: probe(path) });

  it("does not follow a readiness probe that comes or changes later, in GKE's classes", () => {
    const sync = new IngressSync();
    sync.sync([bare, site]);
    expect(backendOf(sync.sync([bare, pods("/late"), site]))?.healthCheck).toMatchObject({
      path: "/",
      intervalSec: 15,
      origin: "default",
    });
    const other = new IngressSync();
    other.sync([bare, pods("/one"), site]);
    expect(backendOf(other.sync([bare, pods("/two"), site]))?.healthCheck.path).toBe("/one");
    expect(backendOf(other.sync([bare, site]))?.healthCheck).toMatchObject({ path: "/one", intervalSec: 7 });
  });

  it("keeps what it was through nodes when NEGs come", () => {
    const sync = new IngressSync();
    sync.sync([service("web", { type: "NodePort" }, {}), site]);
    const after = backendOf(sync.sync([service("web", { type: "NodePort" }, NEG), site]));
    expect(after?.healthCheck).toMatchObject({ intervalSec: 60, unhealthyThreshold: 10 });
  });

  it("follows the BackendConfig, and keeps what that said when it says it no more", () => {
    const [, after, later] = history([
      {},
      { healthCheck: { requestPath: "/ready", port: 3001, type: "HTTPS" } },
      {},
    ]);
    expect(after?.healthCheck).toMatchObject({ path: "/ready", port: 3001, protocol: "HTTPS" });
    expect(later?.healthCheck).toMatchObject({ path: "/ready", port: "serving", protocol: "HTTP" });
  });
});

describe("class holdfast over time", () => {
  it("serves what is declared, whatever was before", () => {
    const holdfast = ingress({ defaultBackend: to("web") }, { [CLASS]: "holdfast" });
    const [first, , last] = history(
      [
        {},
        {
          timeoutSec: 9,
          sessionAffinity: { affinityType: "CLIENT_IP" },
          healthCheck: { requestPath: "/ready" },
        },
        {},
      ],
      holdfast,
    );
    expect(last).toEqual(first);
  });
});

describe("an Ingress that was served and has an error now", () => {
  const broken = ingress({ defaultBackend: to("gone") });
  const config = backendConfig("a", { timeoutSec: 77 });

  it("is served on in full, and says why", () => {
    const sync = new IngressSync();
    const before = sync.sync([configured, config, site]);
    expect(before.statuses.get("default/site")).toEqual({ state: "served" });
    const after = sync.sync([configured, config, broken]);
    expect(after.model).toBe(before.model);
    expect(after.statuses.get("default/site")).toEqual({
      state: "kept",
      message: 'Translation failed: invalid ingress spec: could not find service "default/gone"',
    });
    expect(after.events).toEqual([
      {
        object: "Ingress default/site",
        type: "Normal",
        reason: "Sync",
        message: "Scheduled for sync",
      },
      {
        object: "Ingress default/site",
        type: "Warning",
        reason: "Translate",
        message: 'Translation failed: invalid ingress spec: could not find service "default/gone"',
      },
    ]);
  });

  it.each([
    ["its Service is deleted", [config, site]],
    ["its BackendConfig is deleted", [configured, site]],
    ["its BackendConfig becomes invalid", [configured, backendConfig("a", { timeoutSec: -1 }), site]],
    [
      "its Service loses its NEG",
      [service("web", {}, { ...CONFIG, ...{ "cloud.google.com/neg": "{}" } }), config, site],
    ],
  ] as [string, KubernetesObject[]][])("is served on as it was when %s", (_what, objects) => {
    const sync = new IngressSync();
    const { model } = sync.sync([configured, config, site]);
    const after = sync.sync(objects);
    expect(after.model).toBe(model);
    expect(after.statuses.get("default/site")?.state).toBe("kept");
    expect(sync.sync(objects).model).toBe(model);
    expect(sync.sync([configured, config, site]).statuses.get("default/site")).toEqual({ state: "served" });
  });

  it("touches no other Ingress, which follows its own changes", () => {
    const sync = new IngressSync();
    const other = named("other", ingress({ defaultBackend: to("api") }));
    const api = service("api");
    sync.sync([configured, config, site, api, other]);
    const after = sync.sync([
      configured,
      site,
      api,
      named("other", ingress({ defaultBackend: to("new") })),
      service("new"),
    ]);
    expect(after.model.loadBalancers.map(({ name, urlMap }) => [name, urlMap.defaultBackend])).toEqual([
      ["default/site", ID],
      ["default/other", "default/new:80"],
    ]);
    expect([...after.model.backendServices.keys()].sort()).toEqual(["default/new:80", ID]);
    expect(backendOf(after)?.timeoutSec).toBe(77);
  });

  it("shares its backend service with a sound Ingress, which decides over it", () => {
    const sync = new IngressSync();
    const two = named("two", site);
    sync.sync([configured, config, site, two]);
    const after = sync.sync([configured, backendConfig("a", { timeoutSec: 88 }), broken, two]);
    expect(after.statuses.get("default/site")?.state).toBe("kept");
    expect(backendOf(after)?.timeoutSec).toBe(88);
  });

  it("is refused if it was never served", () => {
    const after = new IngressSync().sync([broken]);
    expect(after.model.loadBalancers).toEqual([]);
    expect(after.statuses.get("default/site")?.state).toBe("refused");
  });

  it.each([
    ["nginx", undefined],
    [undefined, "gce"],
  ])("is gone when its class becomes %s by annotation, %s by field", (annotation, field) => {
    const sync = new IngressSync();
    sync.sync([bare, site]);
    const away = ingress(
      { defaultBackend: to("web"), ...(field === undefined ? {} : { ingressClassName: field }) },
      annotation === undefined ? {} : { [CLASS]: annotation },
    );
    const after = sync.sync([bare, away]);
    expect(after.model.loadBalancers).toEqual([]);
    expect(after.model.backendServices.size).toBe(0);
    expect(after.statuses.size).toBe(0);
    const back = sync.sync([bare, broken]);
    expect(back.model.loadBalancers).toEqual([]);
  });

  it("is gone when it is deleted", () => {
    const sync = new IngressSync();
    sync.sync([bare, site]);
    expect(sync.sync([bare]).model.loadBalancers).toEqual([]);
    expect(sync.sync([bare, broken]).model.loadBalancers).toEqual([]);
  });
});

describe("the events", () => {
  const NEG_NAMED = { "cloud.google.com/neg": '{"ingress":true,"exposed_ports":{"80":{"name":"n"}}}' };
  const custom =
    "configuration for negs in service (default/web) is invalid, custom neg name cannot be used with ingress enabled";
  const warnings = (objects: KubernetesObject[]) =>
    new IngressSync()
      .sync(objects)
      .events.filter(({ type }) => type === "Warning")
      .map(({ object, reason, message }) => [object, reason, message]);

  it("join all errors of the translation, and say no more", () => {
    const rules = [
      {
        paths: [
          { path: "a", backend: to("web") },
          { path: "/*", backend: to("gone") },
        ],
      },
    ];
    expect(warnings([bare, ingress({ rules })])).toEqual([
      [
        "Ingress default/site",
        "Translate",
        'Translation failed: invalid ingress spec: could not find service "default/gone"; invalid path a: must be an absolute path',
      ],
    ]);
  });

  it("say what the Compute API refuses when backends are synced", () => {
    expect(warnings([configured, backendConfig("a", { timeoutSec: -1 }), site])).toEqual([
      [
        "Ingress default/site",
        "Sync",
        "Error syncing to GCP: error running backend syncing routine: BackendConfig default/a is not valid: timeoutSec is -1, should be between 1 and 2147483647",
      ],
    ]);
  });

  it("report a NEG's errors to its Service as well", () => {
    expect(warnings([service("web", {}, NEG_NAMED), site])).toEqual([
      ["Service default/web", "ProcessServiceFailed", `error processing service "default/web": ${custom}`],
      [
        "Ingress default/site",
        "Sync",
        `Error syncing to GCP: error running backend syncing routine: ${custom}`,
      ],
    ]);
  });

  it("say that certificates are missing, and serve", () => {
    const tls = ingress({ defaultBackend: to("web"), tls: [{ secretName: "gone" }] });
    expect(warnings([bare, tls]).map(([, reason, message]) => [reason, message?.slice(0, 45)])).toEqual([
      ["Sync", 'Could not find TLS certificate: secrets "gone'],
      ["Sync", "Could not find any TLS certificates. Continui"],
    ]);
    const nothing = ingress({ defaultBackend: to("web") }, { "kubernetes.io/ingress.allow-http": "false" });
    expect(warnings([bare, nothing]).map(([, reason]) => reason)).toEqual(["WillNotConfigureFrontend"]);
  });

  it("don't speak of Google in class holdfast", () => {
    const holdfast = ingress({ defaultBackend: to("web") }, { [CLASS]: "holdfast" });
    expect(warnings([configured, backendConfig("a", { timeoutSec: -1 }), holdfast])[0]?.[2]).toMatch(
      /^Error syncing: BackendConfig/,
    );
  });

  it("come of those Ingresses alone that refer to something that changed", () => {
    const sync = new IngressSync();
    const web = named("web", ingress({ defaultBackend: to("web") }));
    const api = named("api", ingress({ defaultBackend: to("api") }));
    const config = backendConfig("a");
    const about = (objects: KubernetesObject[]) => sync.sync(objects).events.map(({ object }) => object);
    const both = ["Ingress default/web", "Ingress default/api"];
    expect(about([configured, config, service("api"), web, api])).toEqual(both);
    const second = service("api");
    expect(about([configured, config, second, web, api])).toEqual(["Ingress default/api"]);
    expect(about([configured, config, second, web, api])).toEqual([]);
    expect(about([configured, backendConfig("a"), second, web, api])).toEqual(["Ingress default/web"]);
    expect(about([configured, second, web, api])).toEqual(["Ingress default/web", "Ingress default/web"]);
    expect(about([configured, config, second, web, api])).toEqual(["Ingress default/web"]);
    expect(about([configured, config, second, deployment("web"), web, api])).toEqual(["Ingress default/web"]);
    expect(about([configured, config, second, deployment("other"), web, api])).toEqual([
      "Ingress default/web",
    ]);
  });
});

it("gives the very same objects for what didn't change", () => {
  const sync = new IngressSync();
  const other = named("other", ingress({ defaultBackend: to("api") }));
  const first = sync.sync([bare, service("api"), site, other]);
  const second = sync.sync([bare, service("api", { selector: { app: "b" } }), site, other]);
  expect(second.model).not.toBe(first.model);
  expect(second.model.loadBalancers[0]).toBe(first.model.loadBalancers[0]);
  expect(backendOf(second)).toBe(backendOf(first));
  expect(backendOf(second, "default/api:80")?.selector).toEqual({ app: "b" });
  const third = sync.sync([service("web", {}, NEG), service("api", { selector: { app: "b" } }), site, other]);
  expect(third.model.backendServices).toEqual(second.model.backendServices);
  expect(backendOf(third)).toBe(backendOf(first));
});

it("forgets what is no longer there", () => {
  const sync = new IngressSync();
  for (let round = 0; round < 50; round += 1) {
    const name = `s${round}`;
    const { model, statuses } = sync.sync([
      service(name),
      named(name, ingress({ defaultBackend: to(name) })),
    ]);
    expect(model.loadBalancers).toHaveLength(1);
    expect(model.backendServices.size).toBe(1);
    expect(statuses.size).toBe(1);
  }
});

it("takes over a thousand Ingresses of ten rules with ten thousand endpoints, and one change of them by itself", () => {
  const numbers = Array.from({ length: 1_000 }, (_, number) => number);
  const services = numbers.map((number) => service(`s${number}`));
  const rulesOf = (number: number) =>
    Array.from({ length: 10 }, (_, rule) => ({
      host: `h${rule}.n${number}.example.com`,
      paths: [{ path: "/*", backend: to(`s${(number + rule) % 1_000}`) }],
    }));
  const ingresses = numbers.map((number) => named(`i${number}`, ingress({ rules: rulesOf(number) })));
  const slices = numbers.map((number) =>
    slice(
      `s${number}`,
      `s${number}`,
      Array.from({ length: 10 }, (_, host) => ({
        addresses: [`10.${number >> 8}.${number & 255}.${host}`],
        ready: true,
        terminating: false,
      })),
    ),
  );
  const sync = new IngressSync();
  const { model, events } = sync.sync([...services, ...ingresses, ...slices]);
  expect(events).toHaveLength(1_000);
  const index = new EndpointIndex();
  const wanted = index.setBackendServices(model.backendServices);
  index.setSlices(slices);
  expect([...wanted].reduce((count, id) => count + index.endpointsOf(id).length, 0)).toBe(10_000);
  const changed = named("i7", ingress({ rules: rulesOf(8) }));
  const after = sync.sync([...services, ...ingresses.with(7, changed), ...slices]);
  expect(after.events.map(({ object }) => object)).toEqual(["Ingress default/i7"]);
  expect(after.model.loadBalancers.filter((one, at) => one !== model.loadBalancers[at])).toHaveLength(1);
  expect(index.setBackendServices(after.model.backendServices)).toEqual(new Set());
});
