import { describe, expect, it } from "vitest";
import { backendConfig, ingress, service, to } from "../test/objects.ts";
import { type IngressRule, type KubernetesObject, nameOf, type Service } from "./objects.ts";
import { translate } from "./translate.ts";

const GA = "cloud.google.com/backend-config";
const BETA = "beta.cloud.google.com/backend-config";
const NEG = "cloud.google.com/neg";
const NEG_ON = { [NEG]: '{"ingress":true}' };

function errors(objects: readonly KubernetesObject[]): string[] {
  const { findings, model } = translate(objects);
  const messages = findings.filter(({ severity }) => severity === "error").map(({ message }) => message);
  expect(model.loadBalancers.length).toBe(messages.length === 0 ? 1 : 0);
  return messages;
}

describe("which BackendConfig counts", () => {
  const configs = ["a", "b", "c", "d", "x"].map((name) => backendConfig(name));
  const effective = (annotations: Record<string, string>) => {
    const web = service("web", {}, { ...NEG_ON, ...annotations });
    const objects = [web, ...configs, ingress({ defaultBackend: to("web") })];
    return { name: translate(objects).model.backendServices.get("default/web:80")?.backendConfig, objects };
  };

  it.each([
    [{ [GA]: '{"default":"a"}' }, "a"],
    [{ [GA]: '{"ports":{"http":"b"},"default":"a"}' }, "b"],
    [{ [GA]: '{"ports":{"80":"c"}}' }, "c"],
    [{ [GA]: '{"ports":{"http":"b","80":"c"}}' }, "b"],
    [{ [GA]: '{"ports":{"3000":"d"}}' }, undefined],
    [{ [GA]: '{"ports":{"3000":"d"},"default":"a"}' }, "a"],
    [{ [BETA]: '{"default":"x"}' }, "x"],
    [{ [GA]: '{"default":"a"}', [BETA]: '{"ports":{"http":"x"}}' }, "a"],
    [{ [GA]: '{"Default":"a"}' }, "a"],
    [{ [GA]: '{"default":"a","ports":{"__proto__":"b","constructor":"c"}}' }, "a"],
  ] as [Record<string, string>, string | undefined][])("%j: %s", (annotations, name) => {
    const result = effective(annotations);
    expect(errors(result.objects)).toEqual([]);
    expect(result.name).toBe(name);
  });

  it.each([
    [{ [GA]: "{}" }, "no BackendConfig's found in annotation"],
    [{ [GA]: '{"default":""}' }, "no BackendConfig's found in annotation"],
    [{ [GA]: "null" }, "no BackendConfig's found in annotation"],
    [{ [GA]: "backendconfig-1" }, "BackendConfig annotation is invalid json"],
    [{ [GA]: "", [BETA]: '{"default":"x"}' }, "BackendConfig annotation is invalid json"],
    [{ [GA]: '["a"]' }, "BackendConfig annotation is invalid json"],
    [{ [GA]: '{"default":1}' }, "BackendConfig annotation is invalid json"],
    [{ [GA]: '{"ports":{"http":{}}}' }, "BackendConfig annotation is invalid json"],
    [{ [GA]: '{"default":"missing"}' }, "no BackendConfig for service port exists."],
  ] as [Record<string, string>, string][])("%j is refused: %s", (annotations, reason) => {
    expect(errors(effective(annotations).objects)).toEqual([
      `error getting BackendConfig for port "&ServiceBackendPort{Name:,Number:80,}" on service "default/web", err: ${reason}`,
    ]);
  });

  it("reads a port named by the Ingress as GKE prints it", () => {
    const web = service("web", {}, { ...NEG_ON, [GA]: "x" });
    const byName = ingress({ defaultBackend: { service: { name: "web", port: { name: "http" } } } });
    expect(errors([web, byName])[0]).toContain('"&ServiceBackendPort{Name:http,Number:0,}"');
  });
});

describe("NEG and Service type", () => {
  const wrongType = (type: string) =>
    `service "default/web" is type "${type}", expected "NodePort" or "LoadBalancer" when not using NEGs`;
  const custom =
    "configuration for negs in service (default/web) is invalid, custom neg name cannot be used with ingress enabled";
  it.each([
    ["ClusterIP", undefined, []],
    ["ClusterIP", '{"ingress":true}', []],
    ["ClusterIP", '{"Ingress":true}', []],
    ["ClusterIP", '{"exposed_ports":{"80":{"name":"n"}}}', [wrongType("ClusterIP")]],
    ["ClusterIP", '{"ingress":true,"exposed_ports":{"80":{}}}', []],
    ["ClusterIP", '{"ingress":true,"exposed_ports":{"80":{"name":"n"}}}', [custom]],
    [
      "ClusterIP",
      '{"ingress":true,"exposed_ports":{"81":{}}}',
      [`port 81 specified in "${NEG}" doesn't exist in the service`],
    ],
    ["ClusterIP", '{"ingress":"true"}', [`${wrongType("ClusterIP")} (NEG annotation is invalid.)`]],
    ["ClusterIP", "ingress: true", [`${wrongType("ClusterIP")} (NEG annotation is invalid.)`]],
    ["ClusterIP", "{}", [wrongType("ClusterIP")]],
    ["NodePort", undefined, []],
    ["NodePort", "broken", []],
    ["NodePort", '{"ingress":true}', []],
    ["LoadBalancer", '{"exposed_ports":{"80":{"name":"n"}}}', []],
    ["ExternalName", undefined, [wrongType("ExternalName")]],
    ["ExternalName", '{"ingress":true}', []],
  ] as const)("%s with %s: %j", (type, annotation, messages) => {
    const annotations: Record<string, string> = annotation === undefined ? {} : { [NEG]: annotation };
    expect(errors([service("web", { type }, annotations), ingress({ defaultBackend: to("web") })])).toEqual(
      messages,
    );
  });

  it.each([
    ["ClusterIP", undefined, ["GKE-N07"]],
    ["NodePort", "broken", ["GKE-N08", "GKE-N04"]],
    ["NodePort", undefined, ["GKE-N04"]],
    ["NodePort", '{"ingress":true}', []],
  ] as const)("a sticky %s with %s is worth saying: %j", (type, annotation, codes) => {
    const annotations = {
      [GA]: '{"default":"a"}',
      ...(annotation === undefined ? {} : { [NEG]: annotation }),
    };
    const config = backendConfig("a", { sessionAffinity: { affinityType: "CLIENT_IP" } });
    const { findings } = translate([
      service("web", { type }, annotations),
      config,
      ingress({ defaultBackend: to("web") }),
    ]);
    expect(findings.map(({ code }) => code)).toEqual(codes);
  });
});

describe("affinity", () => {
  it.each([
    [undefined, { type: "NONE" }],
    [{}, { type: "NONE" }],
    [{ affinityType: "" }, { type: "NONE" }],
    [{ affinityCookieTtlSec: 50 }, { type: "NONE" }],
    [{ affinityType: "NONE", affinityCookieTtlSec: 20 }, { type: "NONE" }],
    [{ affinityType: "CLIENT_IP" }, { type: "CLIENT_IP" }],
    [{ affinityType: "GENERATED_COOKIE" }, { type: "GENERATED_COOKIE", ttlSec: 0 }],
    [
      { affinityType: "GENERATED_COOKIE", affinityCookieTtlSec: 86_400 },
      { type: "GENERATED_COOKIE", ttlSec: 86_400 },
    ],
  ])("%j is %j", (sessionAffinity, affinity) => {
    const config = backendConfig("a", sessionAffinity === undefined ? {} : { sessionAffinity });
    const web = service("web", {}, { ...NEG_ON, [GA]: '{"default":"a"}' });
    const { model } = translate([web, config, ingress({ defaultBackend: to("web") })]);
    expect(model.backendServices.get("default/web:80")).toMatchObject({
      affinity,
      timeoutSec: 30,
      drainingTimeoutSec: 0,
    });
  });

  it.each([1, 50, 3_599])("warns of a cookie of %d s", (affinityCookieTtlSec) => {
    const config = backendConfig("a", {
      sessionAffinity: { affinityType: "GENERATED_COOKIE", affinityCookieTtlSec },
    });
    const web = service("web", {}, { ...NEG_ON, [GA]: '{"default":"a"}' });
    const { findings } = translate([web, config, ingress({ defaultBackend: to("web") })]);
    expect(findings.map(({ code }) => code)).toEqual(["GKE-A03"]);
  });

  it("takes a timeout of 0 for the default, as the Compute API does", () => {
    const web = service("web", {}, { ...NEG_ON, [GA]: '{"default":"a"}' });
    const { model } = translate([
      web,
      backendConfig("a", { timeoutSec: 0 }),
      ingress({ defaultBackend: to("web") }),
    ]);
    expect(model.backendServices.get("default/web:80")?.timeoutSec).toBe(30);
  });
});

describe("app-protocols", () => {
  it.each([
    ['{"http":"HTTP"}', []],
    ['{"http":"HTTP2"}', ["GKE-S01"]],
    ['{"http":"http"}', ["GKE-S05"]],
    ["broken", ["GKE-S05"]],
    ["null", ["GKE-S05"]],
  ])("%s gives %j", (value, codes) => {
    const web = service("web", {}, { ...NEG_ON, "cloud.google.com/app-protocols": value });
    const { findings } = translate([web, ingress({ defaultBackend: to("web") })]);
    expect(findings.map(({ code }) => code)).toEqual(codes);
  });
});

describe("the class of an Ingress", () => {
  it.each([
    [undefined, undefined, "gce", []],
    ["", undefined, "gce", []],
    ["gce", undefined, "gce", []],
    ["gce", "nginx", "gce", ["GKE-C03"]],
    ["gce-internal", undefined, "gce-envoy", ["GKE-C06"]],
    ["gce-regional-external", undefined, "gce-envoy", ["GKE-C06"]],
    ["holdfast", undefined, "holdfast", []],
    ["", "holdfast", "holdfast", []],
    [undefined, "holdfast", "holdfast", []],
    ["holdfast", "holdfast", "holdfast", ["GKE-C03"]],
    ["gce", "holdfast", "gce", ["GKE-C03"]],
    ["nginx", "holdfast", undefined, ["GKE-C01"]],
    ["Holdfast", undefined, undefined, ["GKE-C01"]],
    [undefined, "gce", undefined, ["GKE-C02"]],
    ["", "nginx", undefined, ["GKE-C02"]],
    ["nginx", undefined, undefined, ["GKE-C01"]],
    ["GCE", undefined, undefined, ["GKE-C01"]],
    ["gce ", undefined, undefined, ["GKE-C01"]],
    ["gce-multi-cluster", undefined, undefined, ["GKE-C01"]],
  ])("annotation %j with field %j: served as %s, %j", (annotation, field, face, codes) => {
    const site = ingress(
      { defaultBackend: to("web"), ...(field === undefined ? {} : { ingressClassName: field }) },
      annotation === undefined ? {} : { "kubernetes.io/ingress.class": annotation },
    );
    const { model, findings } = translate([service("web"), site]);
    expect(model.loadBalancers.map((one) => one.face)).toEqual(face === undefined ? [] : [face]);
    expect(findings.map(({ code, severity }) => [code, severity === "error"])).toEqual(
      codes.map((code) => [code, false]),
    );
  });
});

describe("an Ingress with an error", () => {
  it("takes nothing else down, and leaves no backend service behind", () => {
    const broken = ingress({
      defaultBackend: to("web"),
      rules: [{ paths: [{ path: "/*", backend: to("gone") }] }],
    });
    const sound = {
      ...ingress({ defaultBackend: to("api") }),
      metadata: { ...broken.metadata, name: "sound" },
    };
    const { model, findings } = translate([service("web"), service("api"), broken, sound]);
    expect(model.loadBalancers.map(({ name }) => name)).toEqual(["default/sound"]);
    expect([...model.backendServices.keys()]).toEqual(["default/api:80"]);
    expect(findings).toMatchObject([
      { code: "GKE-P08", message: 'could not find service "default/gone"', ingress: nameOf(broken) },
    ]);
  });

  it("is reported once for a Service that many of its paths use", () => {
    const paths = ["/a", "/b", "/c"].map((path) => ({ path, pathType: "Exact", backend: to("web") }));
    expect(errors([service("web", {}, { [NEG]: "{}" }), ingress({ rules: [{ paths }] })])).toHaveLength(1);
  });

  it("points at the field that is wrong", () => {
    const { findings } = translate([
      service("web", {}, { [NEG]: "{}" }),
      ingress({ defaultBackend: to("web") }),
    ]);
    expect(findings[0]?.at.file).toBe(`test.yaml#metadata.annotations.${NEG}`);
  });

  it("writes control characters of a manifest as escapes", () => {
    const path = "/\u001b[31m\u202e*";
    expect(
      errors([service("web"), ingress({ rules: [{ paths: [{ path, backend: to("web") }] }] })])[0],
    ).toContain("/\\u{1b}[31m\\u{202e}*");
  });
});

it("warns of a host that two Ingresses share", () => {
  const one = ingress({ rules: [{ host: "a.example.com", paths: [{ path: "/*", backend: to("web") }] }] });
  const two = { ...one, metadata: { ...one.metadata, name: "two" } };
  const { model, findings } = translate([service("web"), one, two]);
  expect(model.loadBalancers).toHaveLength(2);
  expect(findings).toMatchObject([{ code: "GKE-P07", object: "Ingress default/two" }]);
});

it("leaves the default backend undefined where the Ingress names none", () => {
  const { model } = translate([
    service("web"),
    ingress({ rules: [{ paths: [{ path: "/*", backend: to("web") }] }] }),
  ]);
  expect(model.loadBalancers[0]?.urlMap).toEqual({
    hosts: [{ host: "*", paths: [{ path: "/*", backend: "default/web:80" }] }],
  });
});

it("translates ten thousand Services behind one Ingress", () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `s${index}`);
  const rules = names.map((name) => ({
    host: `${name}.example.com`,
    paths: [{ path: "/*", backend: to(name) }],
  }));
  const { model, findings } = translate([...names.map((name) => service(name)), ingress({ rules })]);
  expect(findings).toEqual([]);
  expect(model.backendServices.size).toBe(10_000);
});

describe("an Ingress of class holdfast", () => {
  const HOLDFAST = { "kubernetes.io/ingress.class": "holdfast" };
  const only = (rules: IngressRule[]) => {
    const { model, findings } = translate([
      service("web", {}, {}),
      service("api", {}, {}),
      ingress({ rules }, HOLDFAST),
    ]);
    return { hosts: model.loadBalancers[0]?.urlMap.hosts, codes: findings.map(({ code }) => code) };
  };
  const path = (text: string, pathType: string, name = "web") => ({
    path: text,
    pathType,
    backend: to(name),
  });

  it.each(["ClusterIP", "NodePort", "LoadBalancer"] as const)(
    "is served by a Service of type %s without NEG annotation, or with a broken one",
    (type) => {
      for (const annotations of [
        {},
        { [NEG]: "broken" },
        { [NEG]: '{"exposed_ports":{"80":{"name":"n"}}}' },
      ]) {
        const { model, findings } = translate([
          service("web", { type }, annotations),
          ingress({ defaultBackend: to("web") }, HOLDFAST),
        ]);
        expect(findings).toEqual([]);
        expect([...model.backendServices.keys()]).toEqual(["default/web:80@holdfast"]);
      }
    },
  );

  it("is refused for a BackendConfig that is missing or invalid, like any other", () => {
    const web = service("web", {}, { [GA]: '{"default":"a"}' });
    const site = ingress({ defaultBackend: to("web") }, HOLDFAST);
    expect(errors([web, site])).toHaveLength(1);
    expect(
      errors([web, site, backendConfig("a", { sessionAffinity: { affinityType: "cookie" } })]),
    ).toHaveLength(1);
  });

  it("adds up the rules of one host", () => {
    const host = "a.example.com";
    expect(
      only([
        { host, paths: [path("/a", "Exact")] },
        { host: "b.example.com", paths: [path("/b", "Exact")] },
        { host, paths: [path("/c", "Exact")] },
      ]),
    ).toMatchObject({
      hosts: [{ host, paths: [{ path: "/a" }, { path: "/c" }] }, { host: "b.example.com" }],
      codes: [],
    });
  });

  it.each([
    [[path("/a", "Exact"), path("/a", "Prefix", "api")]],
    [[path("/a", "Prefix", "api"), path("/a", "Exact")]],
  ])("gives an exact path to its own Service, and what is below to the prefix's", (paths) => {
    const { hosts, codes } = only([{ paths }]);
    expect(Object.fromEntries(hosts?.[0]?.paths.map((one) => [one.path, one.backend]) ?? [])).toEqual({
      "/a": "default/web:80@holdfast",
      "/a/*": "default/api:80@holdfast",
    });
    expect(codes).toEqual([]);
  });

  it("warns of a path that comes twice", () => {
    expect(only([{ paths: [path("/a", "Exact"), path("/a", "Exact", "api")] }]).codes).toEqual(["GKE-P04"]);
  });

  it("has backend services apart from those of GKE's classes, for their settings differ", () => {
    const site = ingress({ defaultBackend: to("web") }, HOLDFAST);
    const google = {
      ...ingress({ defaultBackend: to("web") }),
      metadata: { ...site.metadata, name: "google", annotations: {} },
    };
    const { model } = translate([service("web"), site, google]);
    expect([...model.backendServices.values()]).toMatchObject([
      { id: "default/web:80@holdfast", timeoutSec: 300, drainingTimeoutSec: 30 },
      { id: "default/web:80", timeoutSec: 30, drainingTimeoutSec: 0 },
    ]);
  });
});

describe("a Service with IPv6 alone", () => {
  const web = service("web", { ipFamilies: ["IPv6"] });
  it("is refused on GKE in its words", () => {
    expect(errors([web, ingress({ defaultBackend: to("web") })])).toEqual([
      "NEG is not supported for ipv6 only service",
    ]);
  });

  it("is served in class holdfast by its IPv6 endpoints, and one with both by IPv4", () => {
    const holdfast = { "kubernetes.io/ingress.class": "holdfast" };
    const family = (one: Service) =>
      [
        ...translate([one, ingress({ defaultBackend: to("web") }, holdfast)]).model.backendServices.values(),
      ][0]?.ipFamily;
    expect(family(web)).toBe("IPv6");
    expect(family(service("web", { ipFamilies: ["IPv6", "IPv4"] }))).toBeUndefined();
  });
});

it("forces NEGs in the Envoy classes, after the Service's type was refused", () => {
  const internal = { "kubernetes.io/ingress.class": "gce-internal" };
  const sticky = { sessionAffinity: { affinityType: "CLIENT_IP" } };
  const config = backendConfig("a", sticky);
  const through = (type: "NodePort" | "ClusterIP", annotations: Record<string, string>) =>
    translate([
      service("web", { type }, { ...annotations, [GA]: '{"default":"a"}' }),
      config,
      ingress({ defaultBackend: to("web") }, internal),
    ]);
  expect(through("NodePort", {}).findings.map(({ code }) => code)).toEqual(["GKE-C06"]);
  expect(through("NodePort", {}).model.backendServices.get("default/web:80@gce-envoy")).toMatchObject({
    healthCheck: { intervalSec: 15 },
  });
  expect(through("ClusterIP", { [NEG]: "{}" }).model.loadBalancers).toEqual([]);
});
